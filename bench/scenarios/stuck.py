"""(e) Good streams with stuck readers among them."""

import threading
import time
from typing import Final

from bench import machine
from bench.load import Load
from bench.plan import GO, NCHAN, OURS, Job, Plan, in_turn
from bench.server import Candidate, Server
from bench.table import Check, Figures, Table, ratio

RATE: Final = 5
SIZE_BYTES: Final = 4_000
"""Such that what a stuck reader's socket holds here and at its own end fills within some seconds."""
RECEIVE_BUFFER: Final = 4_096
LOOK_S: Final = 0.5
LAST_S: Final = 30.0
STUCK_SOURCE: Final = 200
STUCK_ADDRESS: Final = "127.0.0.202"
"""The address that the client takes for that source (bench/client.c)."""
COLUMNS: Final = (
    ("connected", "good"), ("stuck", "stuck"), ("received", "received"), ("missing", "missing"),
    ("duplicate", "duplicate"), ("p50", "p50 ms"), ("p99", "p99 ms"), ("max", "max ms"), ("cut", "cut"),
    ("cut_p50_s", "cut after s, median"), ("cut_max_s", "slowest s"), ("grown_kb", "memory grown KB"),
    ("kernel_kb", "kernel KB each"),
)  # fmt: skip


def measure(plan: Plan) -> list[Table]:
    """Measure with and without, in turn."""
    streams = plan.streams
    table = Table("e", f"(e) {streams:,} good streams, with and without {plan.stuck} stuck readers", COLUMNS)
    jobs = [
        Job(_label(one, stuck), one, lambda server, stuck=stuck: _run(server, plan, stuck))  # type: ignore[misc]
        for one in plan.among((OURS, NCHAN, GO))
        for stuck in (0, plan.stuck)
    ]
    table.rows = in_turn(plan, jobs, streams)
    alone, beside = table.row(_label(OURS, 0)), table.row(_label(OURS, plan.stuck))
    cut, grown, grown_alone = beside.get("cut"), beside.get("grown_kb"), alone.get("grown_kb")
    each_kb = None if grown is None or grown_alone is None else max(grown - grown_alone, 0) / plan.stuck
    table.checks = [
        Check(
            "p99 of the others ≤ 1.1 x without",
            ratio(beside.get("p99"), alone.get("p99")),
            1.1,
            "x",
            plan.full,
        ),
        Check("each stuck one is cut", None if cut is None else plan.stuck - cut, 0, "not", plan.full),
        Check("cut ≤ 10 s after it blocked", beside.get("cut_max_s"), 10, "s", plan.full),
        Check("≤ 64 KB each here (memory grown more than without)", each_kb, 64, "KB", plan.full),
        Check(
            "≤ 64 KB each in the kernel (DESIGN.md, promise 6)", beside.get("kernel_kb"), 64, "KB", plan.full
        ),
        Check("none missing", beside.get("missing"), 0, judged=plan.full),
    ]
    note = (
        f"{RATE} events/s of {SIZE_BYTES:,} bytes. Blocked: from the first look (every {LOOK_S} s) at which "
        "bytes wait unsent in the server's socket and wait until it is cut; so up to two looks imprecise."
    )
    table.notes = [note]
    return [table]


def _label(one: Candidate, stuck: int) -> str:
    return f"{one.label}, {stuck or 'none'} stuck"


class _Watch(threading.Thread):
    """Looks at the server's end of the stuck connections until it is told to stop."""

    def __init__(self, server: Server, ports: frozenset[int], empty_kb: int) -> None:
        super().__init__(daemon=True)
        self._server, self._ports, self._empty_kb = server, ports, empty_kb
        self._over = threading.Event()
        self.blocked_at: dict[int, float] = {}
        self.cut_after: dict[int, float] = {}
        self.kernel_bytes = 0
        self.process_kb = 0

    def run(self) -> None:
        """Look twice a second."""
        while not self._over.wait(LOOK_S):
            now, waiting = time.monotonic(), machine.unsent(self._server.port, STUCK_ADDRESS)
            for port in self._ports:
                if port not in waiting:
                    self.cut_after.setdefault(port, now - self.blocked_at.get(port, now))
                elif waiting[port] == 0:
                    self.blocked_at.pop(port, None)
                else:
                    self.blocked_at.setdefault(port, now)
                    self.kernel_bytes = max(self.kernel_bytes, waiting[port])
            if not self._ports or len(self.cut_after) < len(self._ports):
                self.process_kb = max(self.process_kb, self._server.pss_kb() - self._empty_kb)

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


def _run(server: Server, plan: Plan, stuck: int) -> Figures:
    publisher = server.publisher()
    publisher.announce(1)
    path, port = server.path("bench-0"), server.port
    with (
        Load(port, path, headers=server.headers, streams=plan.streams) as load,
        Load(
            port, path, headers=server.headers, streams=max(stuck, 1), stuck=True,
            receive_buffer=RECEIVE_BUFFER, first_source=STUCK_SOURCE,
        ) as stuck_load,
    ):  # fmt: skip
        opened = load.open()
        for _ in range(RATE):  # so that what each process keeps of events is there before memory is read
            load.wait(publisher.publish(1, 1, SIZE_BYTES)["goal"], LAST_S)
        if stuck:
            stuck_load.open()
        ports = stuck_load.ports() if stuck else frozenset()
        watch = _Watch(server, ports, server.pss_kb())
        load.zero()
        watch.start()
        try:
            said = publisher.publish(int(plan.stuck_s * RATE), RATE, SIZE_BYTES)
            seen = load.settle(said["goal"], LAST_S)
        finally:
            watch.stop()
    expected = said["sent"] * plan.streams
    figures: Figures = {
        "connected": opened.connected,
        "stuck": stuck,
        "received": seen.received,
        "missing": expected - seen.received + seen.duplicate,
        "duplicate": seen.duplicate,
        "p50": seen.latency.quantile_ms(0.5),
        "p99": seen.latency.quantile_ms(0.99),
        "max": seen.latency.max_ms,
        "grown_kb": max(watch.process_kb, 0),
    }
    if stuck:
        after = sorted(watch.cut_after.values())
        figures |= {
            "cut": len(after),
            "kernel_kb": watch.kernel_bytes / 1024,
        }
        if after:
            figures |= {"cut_p50_s": after[len(after) // 2], "cut_max_s": after[-1]}
    return figures
