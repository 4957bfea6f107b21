"""Where faults are made: a Redis, a service with two web processes, two authors, and a cable to each side.

::

    author ─┐                              ┌─ web process ─┐
    author ─┴─ authors_cable ─ Redis ─ web_cable ─ web process ─┴─ browsers

Everything is real and a process of its own, but the cables and the browsers: they live in the tests' process.
"""

import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import URLError

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from dev.redis_server import RedisServer
from tests.faults.author import Author
from tests.faults.cable import Cable
from tests.faults.judge import Kept
from tests.http_stream import get_json
from tests.stack import Stack
from tidings.cursor import Cursor

NAMESPACE: Final = "faults"
AUTHORS: Final = 2
WEB: Final = 2
WAIT_S: Final = 60.0
"""How long a test waits for what comes within some seconds on a machine that does nothing else."""
EYE_S: Final = 10.0
SAMPLE_S: Final = 0.05
IN_A_ROW: Final = 6
"""So many refusals one after another are of both processes: the kernel gives a connection to either."""
SERVICE: Final = {
    "TIDINGS_NAMESPACE": NAMESPACE,
    "TIDINGS_HEARTBEAT_S": "0.25",
    "TIDINGS_DRAIN_S": "0.2",
    "TIDINGS_LOG_EVENTS": "1000000",  # so that at the end the log still has what was said
    "TIDINGS_TOPIC_EVENTS": "100000",
    "TIDINGS_REPORTS_PER_S": "50",
}


class Arena:
    """All processes, from ``with`` to its end; runs one test's faults after another's.

    *web_url*: where the web processes find Redis, if not through the cable. *env* is added to everybody's.
    """

    def __init__(self, folder: Path, redis: RedisServer, *, web_url: str = "", **env: str) -> None:
        self.redis = redis
        self.spoiled = False
        """A run has not come to its end: what is left is in no known state."""
        self._folder = folder
        self._env = SERVICE | env
        self._web_url = web_url
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            enter = opened.enter_context
            self._folder.mkdir(parents=True, exist_ok=True)
            enter(self.redis)
            self.web_cable = enter(Cable(self._connect))
            self.authors_cable = enter(Cable(self._connect))
            self.authors = [enter(Author(self.authors_cable.url, **self._env)) for _ in range(AUTHORS)]
            url = self._web_url or self.web_cable.url
            self.stack = enter(Stack(url, self._folder, web=WEB, worker=False, **self._env))
            patience = Retry(NoBackoff(), 0)
            self.eye = enter(Redis.from_url(self.redis.url, socket_timeout=EYE_S, retry=patience))
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.redis.alive:
            self.redis.thaw()
        self.web_cable.mend()
        self.authors_cable.mend()
        self._opened.close()

    def key(self, name: str) -> str:
        """Give the name of a key of the service's."""
        return f"{{{NAMESPACE}}}:{name}"

    def accepts(self) -> bool:
        """Tell whether Redis answers us, who need no cable, and does not say that it takes no writes."""
        with suppress(RedisError):
            return bool(self.eye.ping())
        return False

    def forget(self) -> None:
        """Empty Redis, its file too, so that a long series of runs does not fill the disk."""
        self.eye.flushall()
        self.eye.bgrewriteaof()

    def end_of_log(self) -> Cursor:
        """Give the place of the log's last entry."""
        info: Any = self.eye.xinfo_stream(self.key("log"))
        return Cursor.from_stream(info["last-generated-id"])

    def kept(self) -> list[Kept]:
        """Give all events that the log still has, in its order."""
        raw: Any = self.eye.xrange(self.key("log"))
        return [
            Kept(Cursor.from_stream(place), _operation(fields[b"k"]), fields[b"t"].decode())
            for place, fields in raw
            if fields[b"t"] != b"era"
        ]

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.redis.url.removeprefix("unix://"))
        except OSError:
            connection.close()
            raise
        return connection


def _operation(topics: bytes) -> str:
    """Give the operation whose event is on *topics*: its own comes first."""
    return topics.split()[0].decode().removeprefix("operations:")


class Health:
    """Asks the service again and again whether it can deliver, from ``with`` to its end, and remembers."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/readyz"
        self._samples: list[tuple[float, bool]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(WAIT_S)

    def is_degraded(self) -> bool:
        """Tell whether all web processes have said so lately."""
        latest = self._samples[-IN_A_ROW:]
        return len(latest) == IN_A_ROW and not any(ready for _, ready in latest)

    def is_ready(self) -> bool:
        """Tell whether all web processes can deliver."""
        latest = self._samples[-IN_A_ROW:]
        return len(latest) == IN_A_ROW and all(ready for _, ready in latest)

    def noticed_s(self, since: float, until: float) -> float | None:
        """Say how long after *since* the last of the processes noticed; None unless all had by *until*."""
        within = [sample for sample in self._samples if since < sample[0] < until]
        refused = []
        for at, ready in reversed(within):
            if ready:
                break
            refused.append(at)
        return refused[-1] - since if len(refused) >= IN_A_ROW else None

    def _sample(self) -> None:
        while not self._stopped.wait(SAMPLE_S):
            ready = False
            with suppress(URLError, OSError):
                ready = get_json(self._url, timeout_s=WAIT_S).status == 200
            self._samples.append((time.monotonic(), ready))
