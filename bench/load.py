"""Drives the load client: one process per some 18,000 streams, their answers added up.

Takes a server's address and path, gives `Report`s. Starts bench/build/client and ends it.
"""

import json
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from bench.errors import NotMeasured
from bench.histogram import Histogram
from bench.machine import streams_per_process
from bench.supplies import client
from dev.leash import leashed

STREAMS_PER_SOURCE: Final = 8_000
"""The same in bench/client.c; the reason is in DESIGN.md, 7."""
SETTLE_S: Final = 0.3
"""How long a second copy of the last event may lag behind the first before we would not see it. Guessed."""
WARM_STREAMS: Final = 20
"""Some for each process; their memory is used again, so that of all others shows less. Guessed."""
OPEN_S: Final = 120.0
"""Bound of opening; 100,000 at 1,000/s take 100 s."""


@dataclass(slots=True)
class Report:
    """What the clients have seen since the last `reset` or `zero`; ``cpu_s`` since their start."""

    in_time: bool = True
    streams: int = 0
    connected: int = 0
    failed: int = 0
    retries: int = 0
    closed_by_peer: int = 0
    received: int = 0
    missing: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    others: int = 0
    behind: int = 0
    bytes: int = 0
    elapsed_us: int = 0
    cpu_s: float = 0.0
    failure: str = ""
    latency: Histogram = field(default_factory=Histogram)
    opening: Histogram = field(default_factory=Histogram)
    reaching: Histogram = field(default_factory=Histogram)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the phase began: for `open` and `reopen`, until the last stream was open."""
        return self.elapsed_us / 1e6

    def add(self, printed: dict[str, Any]) -> None:
        """Add what one client printed."""
        self.in_time &= printed["in_time"]
        self.failure = self.failure or printed["failure"]
        self.elapsed_us = max(self.elapsed_us, printed["elapsed_us"])
        for name in (
            "streams", "connected", "failed", "retries", "closed_by_peer", "received", "missing", "duplicate",
            "out_of_order", "others", "behind", "bytes", "cpu_s",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + printed[name])
        self.latency += Histogram.from_json(printed["latency"])
        self.opening += Histogram.from_json(printed["opening"])
        self.reaching += Histogram.from_json(printed["reaching"])


def warm_up(port: int, path: str, headers: Sequence[str]) -> None:
    """Open some streams and cut them, so that what a server makes once is there before memory is read."""
    with Load(port, path, headers=headers, streams=WARM_STREAMS, late_head=True) as load:
        load.open()
        time.sleep(SETTLE_S)
        load.cut()
    time.sleep(SETTLE_S)


class Load:
    """Some client processes; leave the ``with`` to end them. Each method waits for every client's answer."""

    def __init__(
        self,
        port: int,
        path: str,
        *,
        headers: Sequence[str] = (),
        streams: int,
        stuck: bool = False,
        receive_buffer: int = 0,
        late_head: bool = False,
        first_source: int = 0,
        concurrency: int = 128,
        per_client: int = 0,
    ) -> None:
        per_client = per_client or min(streams_per_process(), streams)
        self._shares = [min(per_client, streams - first) for first in range(0, streams, per_client)]
        sources = -(-per_client // STREAMS_PER_SOURCE)
        common = [str(client()), "--port", str(port), "--path", path, "--sources", str(sources)]
        common += ["--concurrency", str(concurrency), "--stuck", str(int(stuck)), "--room", str(per_client)]
        common += ["--late-head", str(int(late_head))]
        common += [word for header in headers for word in ("--header", header)]
        if receive_buffer:
            common += ["--receive-buffer", str(receive_buffer)]
        self._clients = [
            subprocess.Popen(
                leashed(
                    [*common, "--first", str(number * per_client),
                     "--first-source", str(first_source + number * sources)],
                    signal.SIGTERM,
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(len(self._shares))
        ]  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._clients:
            process.communicate("quit\n" if process.poll() is None else None)

    def open(self) -> Report:
        """Open all streams; up to two minutes."""
        return self._report(f"open {share} {int(OPEN_S * 1000)}" for share in self._shares)

    def wait(self, goal: int, timeout_s: float) -> Report:
        """Wait until each open stream has seen sequence number *goal*."""
        return self._all(f"wait {goal} {int(timeout_s * 1000)}")

    def settle(self, goal: int, timeout_s: float) -> Report:
        """Wait as `wait` does, then a little longer for what should not come; count up to *goal*."""
        in_time = self.wait(goal, timeout_s).in_time
        time.sleep(SETTLE_S)
        report = self.report(goal)
        report.in_time = in_time
        return report

    def report(self, goal: int = 0) -> Report:
        """Say what was seen so far."""
        return self._all(f"report {goal}")

    def reset(self) -> Report:
        """Forget counts, latencies and sequence numbers."""
        return self._all("reset")

    def zero(self) -> Report:
        """Forget counts and latencies, keep sequence numbers."""
        return self._all("zero")

    def cut(self) -> Report:
        """Reset every connection."""
        return self._all("cut")

    def reopen(self, goal: int, timeout_s: float) -> Report:
        """Open all again with Last-Event-ID; ``reaching`` counts from now until each has seen *goal*."""
        return self._all(f"reopen {int(timeout_s * 1000)} {goal}")

    def ports(self) -> frozenset[int]:
        """Give the local ports of the open streams."""
        return frozenset(
            port for printed in self._ask(["ports"] * len(self._clients)) for port in printed["ports"]
        )

    def _all(self, command: str) -> Report:
        return self._report(command for _ in self._clients)

    def _report(self, commands: Iterable[str]) -> Report:
        report = Report()
        for printed in self._ask(commands):
            report.add(printed)
        return report

    def _ask(self, commands: Iterable[str]) -> list[dict[str, Any]]:
        for process, command in zip(self._clients, commands, strict=True):
            assert process.stdin is not None  # noqa: S101 - for the type checker
            process.stdin.write(f"{command}\n")
            process.stdin.flush()
        answers = []
        for process in self._clients:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            line = process.stdout.readline()
            if not line:
                raise NotMeasured(f"the load client ended with status {process.wait()}")
            answers.append(json.loads(line))
        return answers
