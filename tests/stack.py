"""The service as deployed, for the tests: gunicorn and a Celery worker as processes, on a real Redis."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import URLError

from tests.http_stream import HttpStream, get_json, open_stream, post_json
from tests.waiting import wait_until

ROOT: Final = Path(__file__).parent.parent
START_S: Final = 30.0
STOP_S: Final = 30.0


class Stack:
    """Web processes and a worker over the Redis at *redis_url*; leave the ``with`` to stop them.

    ``url`` is where the service is. Their output goes to files in *folder*.
    """

    def __init__(
        self, redis_url: str, folder: Path, *, pool: str = "prefork", web: int = 2, **env: str
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._pool = pool
        self._env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "REDIS_URL": redis_url,
            "WEB_CONCURRENCY": str(web),
            "TIDINGS_AUTH": "open",
            **env,
        }
        self.web: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start_web()
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
        self.web = self._spawn("web", ["gunicorn", "wsgi:app"])
        wait_until(self._is_ready, timeout_s=START_S)

    def start_worker(self) -> None:
        """Start the Celery worker; what is sent before it is there waits in the queue."""
        command = ["celery", "-A", "tasks", "worker", "--loglevel", "INFO", "--concurrency", "2"]
        self.worker = self._spawn("worker", [*command, "--pool", self._pool])

    def stop(self) -> None:
        """Stop the processes as a deploy would, and whoever will not go."""
        for process in (self.web, self.worker):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in (self.web, self.worker):
            if process is not None:
                _wait_or_kill(process)

    def output(self, name: str) -> str:
        """Give what ``web`` or ``worker`` has printed so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def start_operation(self, kind: str = "batch", **params: Any) -> str:
        """Start an operation and give its id."""
        reply = post_json(f"{self.url}/api/operations", {"kind": kind, "params": params})
        assert reply.status == 202, reply
        operation_id: str = reply.body["operationId"]
        return operation_id

    def stream(self, path: str, **headers: str) -> HttpStream:
        """Open a stream of the service; ``last_event_id`` becomes the header of that name."""
        return open_stream(
            f"{self.url}{path}", headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def _spawn(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self._env, stdout=log, stderr=log, start_new_session=True
            )

    def _is_ready(self) -> bool:
        if self.web is not None and self.web.poll() is not None:
            raise AssertionError(f"gunicorn ended:\n{self.output('web')}")
        with suppress(URLError, OSError):
            return get_json(f"{self.url}/readyz").status == 200
        return False


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
