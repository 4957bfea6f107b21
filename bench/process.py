"""Starts one process of the benchmark, and ends it and what it started, by their ids only."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from bench.errors import NotMeasured
from bench.machine import tree
from dev.leash import leashed

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "bench" / "build"
APPS: Final = ROOT / "bench" / "peers" / "apps"
LOGS: Final = BUILD / "logs"
START_S: Final = 60.0
STOP_S: Final = 15.0
"""A server with 100,000 open streams may take seconds to close them; then it is killed. Guessed."""
POLL_S: Final = 0.05
TAIL_CHARS: Final = 300


class Child:
    """One process that the benchmark started. Whoever makes it calls `stop`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        cwd: Path = ROOT,
    ) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = LOGS / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                leashed(list(command), signal.SIGTERM),
                env=dict(env) if env is not None else None,
                stdin=stdin,
                stdout=log,
                stderr=log,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pids(self) -> list[int]:
        """The process and its descendants."""
        return tree(self.process.pid)

    def wait_for(self, url: str) -> None:
        """Wait until *url* answers 200. Raises: NotMeasured with the end of its output."""
        deadline = time.monotonic() + START_S
        while not _answers(url):
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(encoding="utf-8", errors="replace").strip()[-TAIL_CHARS:]
                raise NotMeasured(f"{self.name} did not start: {' '.join(tail.split())}")
            time.sleep(POLL_S)

    def wait_for_port(self, port: int) -> None:
        """Wait until something listens on *port*. Raises: NotMeasured."""
        deadline = time.monotonic() + START_S
        while not _listens(port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NotMeasured(f"{self.name} did not start, see {self.log}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End it with SIGTERM; kill it and those of its descendants that are left after 15 s."""
        pids = self.pids
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as reply:  # noqa: S310 - our own, on loopback  # nosec B310
            return bool(reply.status == 200)  # noqa: PLR2004 - the status
    except (URLError, OSError):
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
