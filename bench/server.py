"""What the benchmark asks of a server: ours, a peer, or the floor."""

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from bench import machine
from bench.errors import NotMeasured
from bench.process import LOGS, ROOT, Child, free_port
from dev.leash import leashed

PREFIX: Final = "bench-"
_numbers: Final = count(1)


class Server(ABC):
    """One server on a free port of 127.0.0.1, for one run; leave the ``with`` to stop it.

    ``needs`` raises NotMeasured where it cannot be had; `launch` starts its processes through `child`.
    """

    name: ClassVar[str]
    headers: ClassVar[tuple[str, ...]] = ("Accept: text/event-stream",)
    most_streams: ClassVar[int | None] = None
    most_because: ClassVar[str] = ""
    one_process: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    late_head: ClassVar[bool] = False
    """Whether the head comes with the first event only, so that opening cannot be seen from outside."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.port = free_port()
        self._children: list[Child] = []
        self._publishers: list[subprocess.Popen[str]] = []

    @classmethod  # noqa: B027 - most need something, ours does not
    def needs(cls) -> None:
        """Bring what it needs. Raises: NotMeasured."""

    @abstractmethod
    def launch(self) -> None:
        """Start it and wait until it answers. Raises: NotMeasured."""

    @abstractmethod
    def path(self, topic: str) -> str:
        """Give the path of the stream of *topic*, in which ``%d`` may stand for the stream's number."""

    @abstractmethod
    def sink(self) -> dict[str, Any]:
        """Describe how bench.publisher reaches it."""

    def wait_until_open(self, streams: int) -> None:  # noqa: B027 - hidden by one peer only
        """Wait until it serves *streams* streams, if `late_head` hides that from the client."""

    def child(self, command: list[str], *, stdin: int = subprocess.DEVNULL, **env: str) -> Child:
        """Start one of its processes, logged under its name."""
        name = f"{self.name}-{next(_numbers)}".replace(" ", "-")
        child = Child(name, command, env=os.environ | env, stdin=stdin)
        self._children.append(child)
        return child

    def __enter__(self) -> Self:
        try:
            self.launch()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop its publishers and its processes."""
        for publisher in self._publishers:
            publisher.terminate()
            publisher.communicate()
        for child in reversed(self._children):
            child.stop()
        self._publishers, self._children = [], []

    @property
    def pids(self) -> list[int]:
        """Its processes; helpers such as Redis are not among them."""
        return self._children[-1].pids

    def pss_kb(self) -> int:
        """Give the memory of its processes."""
        return machine.pss_kb(self.pids)

    def cpu_s(self) -> float:
        """Give the CPU seconds of its processes so far."""
        return machine.cpu_s(self.pids)

    def publisher(self, **changed: str) -> "Publisher":
        """Start a process that publishes to it."""
        about = self.sink() | {"prefix": PREFIX} | changed
        passed = (about["descriptor"],) if about["kind"] == "pipe" else ()
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / "publisher.log").open("ab") as log:
            process = subprocess.Popen(
                leashed([sys.executable, "-m", "bench.publisher", json.dumps(about)]),
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                pass_fds=passed,
            )  # fmt: skip
        self._publishers.append(process)
        return Publisher(process)


@dataclass(frozen=True, slots=True)
class Publisher:
    """A process that publishes (bench.publisher). The server that made it ends it."""

    process: subprocess.Popen[str]

    def announce(self, operations: int) -> None:
        """Make *operations* operations known and count from one again."""
        self._do(f"announce {operations}")

    def publish(self, rounds: int, rate: float, size_bytes: int = 0) -> dict[str, Any]:
        """Publish; waits until all is sent. ``goal`` in the reply is the last sequence number."""
        self.start(rounds, rate, size_bytes)
        return self.finish()

    def start(self, rounds: int, rate: float, size_bytes: int = 0) -> None:
        """Begin to publish, and go on; `finish` waits."""
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        self.process.stdin.write(f"publish {rounds} {rate} {size_bytes}\n")
        self.process.stdin.flush()

    def finish(self) -> dict[str, Any]:
        """Wait for what `start` began."""
        assert self.process.stdout is not None  # noqa: S101 - for the type checker
        line = self.process.stdout.readline()
        if not line:
            raise NotMeasured(f"the publisher ended, see {(LOGS / 'publisher.log').relative_to(ROOT)}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _do(self, command: str) -> None:
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        self.finish()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server at a number of processes, as the tables name it."""

    label: str
    make: Callable[[int], Server]
    kind: type[Server]
    processes: int

    def for_streams(self, streams: int) -> Server:
        """Make it for that many streams. Raises: NotMeasured with the reason, where it cannot hold them."""
        most = self.kind.most_streams
        if most is not None and streams > most:
            raise NotMeasured(f"at most {most:,} streams: {self.kind.most_because}")
        wanted = machine.processes_for(streams, self.processes)
        if self.kind.one_process and wanted > 1:
            raise NotMeasured(
                f"it is one process, and one process has {machine.streams_per_process():,} descriptors here"
            )
        self.kind.needs()
        return self.make(wanted)
