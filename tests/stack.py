"""The service as deployed, for the tests: gunicorn and a Celery worker as processes, on a real Redis."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import URLError

from dev.port import free_port
from tests.http_stream import HttpStream, get_json, open_stream, post_json
from tests.sse import Message
from tests.waiting import wait_until
from tidings import Operation
from tidings.cursor import Cursor
from tidings.log import Log
from tidings.reporter import Reporter
from tidings.settings import Settings

ROOT: Final = Path(__file__).parent.parent
START_S: Final = 30.0
STOP_S: Final = 30.0
READ_S: Final = 60.0
"""How long a test waits for what comes within a second on a machine that does nothing else."""


class Stack:
    """Web processes and a worker over the Redis at *redis_url*; leave the ``with`` to stop them.

    ``url`` is where the service is. Their output goes to files in *folder*. Without *worker* there are
    only the web processes, and what tests report themselves, through `operation`. *gunicorn* is added to
    the web process' command line, which follows *under*; *tasks* is what the worker runs.
    """

    def __init__(
        self,
        redis_url: str,
        folder: Path,
        *,
        pool: str = "prefork",
        web: int = 2,
        worker: bool = True,
        gunicorn: Sequence[str] = (),
        under: Sequence[str] = (),
        tasks: str = "tasks",
        **env: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._pool = pool
        self._has_worker = worker
        self._tasks = tasks
        self._web_command = [*under, "gunicorn", *gunicorn, "wsgi:app"]
        self.env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "REDIS_URL": redis_url,
            "WEB_CONCURRENCY": str(web),
            "TIDINGS_AUTH": "open",
            "TIDINGS_STORAGE": str(folder / "storage"),
            "TIDINGS_UPLOADS": str(folder / "uploads"),
            **env,
        }
        self.web: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start_web()
            if self._has_worker:
                self.start_worker()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start_web(self) -> None:
        """Start gunicorn and wait until it can deliver."""
        self.spawn_web()
        wait_until(self.is_ready, timeout_s=START_S)

    def spawn_web(self) -> None:
        """Start gunicorn, as who restarts it when it is gone."""
        self.web = self._spawn("web", self._web_command)

    def stop_web(self) -> None:
        """Stop gunicorn as a deploy would."""
        if self.web is not None:
            self.web.send_signal(signal.SIGTERM)
            _wait_or_kill(self.web)

    def start_worker(self) -> None:
        """Start the Celery worker; what is sent before it is there waits in the queue."""
        command = ["celery", "-A", self._tasks, "worker", "--loglevel", "INFO", "--concurrency", "2"]
        self.worker = self._spawn("worker", [*command, "--pool", self._pool])

    def stop(self) -> None:
        """Stop the processes as a deploy would, and whoever will not go."""
        for process in (self.web, self.worker):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in (self.web, self.worker):
            if process is not None:
                _wait_or_kill(process)
        if "log" in self.__dict__:
            self.reporter.flush(1)
            self.log.close()

    def output(self, name: str) -> str:
        """Give what ``web`` or ``worker`` has printed so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def start_operation(self, kind: str = "batch", **params: Any) -> str:
        """Start an operation and give its id."""
        reply = post_json(f"{self.url}/api/operations", {"kind": kind, "params": params})
        assert reply.status == 202, reply
        operation_id: str = reply.body["operationId"]
        return operation_id

    @cached_property
    def log(self) -> Log:
        """The log of the service, for the test's own process."""
        return Log(Settings.from_env(self.env))

    @cached_property
    def reporter(self) -> Reporter:
        """A reporter of the test's own process into the service's log, almost without throttle."""
        return Reporter(self.log, buffer_records=100_000, interval_s=0.000_1)

    def operation(self, kind: str = "import", **descriptor: Any) -> Operation:
        """Start an operation that the test itself works on; `flush` has what it says arrive."""
        operation = Operation(kind, reporter=self.reporter, strict=False, **descriptor).start()
        self.flush()
        return operation

    def flush(self) -> None:
        """Wait until all that the test reported is in the log."""
        assert self.reporter.flush(READ_S)

    def history(self, operation_id: str) -> list[Message]:
        """Give every event of an operation that ends, as a stream from its beginning has them."""
        with self.stream(f"/api/events/operations/{operation_id}?history=all") as stream:
            return logged(stream.read_to_end(READ_S))

    def connections(self) -> dict[int, int]:
        """Give the connections that are open: inode of the socket → the web process that holds it."""
        held = {inode: pid for pid in self.web_pids() for inode in _sockets_of(str(pid))}
        return {inode: held[inode] for inode in _established(self.port) if inode in held}

    def web_pids(self) -> list[int]:
        """Give the process ids of gunicorn's workers."""
        assert self.web is not None
        children = Path(f"/proc/{self.web.pid}/task/{self.web.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def stream(self, path: str, **headers: str) -> HttpStream:
        """Open a stream of the service; ``last_event_id`` becomes the header of that name."""
        return open_stream(
            f"{self.url}{path}", headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def _spawn(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def is_ready(self) -> bool:
        """Tell whether the service can deliver. Raises: AssertionError if gunicorn has ended."""
        if self.web is not None and self.web.poll() is not None:
            raise AssertionError(f"gunicorn ended:\n{self.output('web')}")
        with suppress(URLError, OSError):
            return get_json(f"{self.url}/readyz").status == 200
        return False


def logged(messages: Iterable[Message], after: str = "") -> list[Message]:
    """Give of *messages* the events of the log: those with an id of their own that are no heartbeat.

    *after* is the cursor that the stream was opened with.
    """
    found = []
    for message in messages:
        if message.last_event_id != after and message.type != "heartbeat":
            found.append(message)
        after = message.last_event_id
    return found


def place(event_id: str) -> Cursor:
    """Give an event id as something that can be compared."""
    return Cursor.parse(event_id)


def _sockets_of(pid: str) -> list[int]:
    """Give the inodes of the sockets that process *pid* holds."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            links.append(str(descriptor.readlink()))
    return [int(link[8:-1]) for link in links if link.startswith("socket:")]


def _established(port: int) -> list[int]:
    """Give the inodes of the connections to *port* of this machine, seen from the server. Source: proc(5)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[9]) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
