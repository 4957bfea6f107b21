"""(g) How it grows: with streams, with events a second, with processes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bench.peers.floor import Floor
from bench.plan import FLOOR, NCHAN, OURS, Job, Plan, in_turn, interleaved
from bench.scenarios import broadcast, operations
from bench.server import Candidate
from bench.service import Tidings
from bench.table import Row, Table

PROCESSES: Final = (1, 2, 3, 4)
RATES_S: Final = 5.0
STREAM_COLUMNS: Final = (
    ("connect_s", "connect s"), ("p50", "p50 ms"), ("p99", "p99 ms"), ("us_per_stream", "p99 µs/stream"),
    ("connect_us", "connect µs/stream"), ("kb", "KB/stream"), ("missing", "missing"),
)  # fmt: skip
RATE_COLUMNS: Final = (
    ("rate", "events/s"), ("received", "received"), ("missing", "missing"), ("p50", "p50 ms"),
    ("p99", "p99 ms"),
    ("max", "max ms"), ("server_cpu", "server CPU %"), ("publisher_cpu", "publisher CPU %"),
    ("late_ms", "publisher late ms"),
)  # fmt: skip


def measure(plan: Plan, broadcasts: Sequence[Table]) -> list[Table]:
    """Take the growth with streams from (a)'s tables, and measure the others."""
    return [_by_streams(broadcasts), _by_rate(plan), _by_processes(plan)]


def _by_streams(broadcasts: Sequence[Table]) -> Table:
    table = Table("g-streams", "(g) Broadcast, by the number of streams", STREAM_COLUMNS)
    for one in (OURS, NCHAN, FLOOR):
        for measured in broadcasts:
            streams, row = int(measured.key.removeprefix("a-")), measured.row(one.label)
            figures = dict(row.figures)
            if figures:
                figures["us_per_stream"] = figures["p99"] / streams * 1e3
                figures["connect_us"] = figures["connect_s"] / streams * 1e6
            if figures or row.reason:
                table.rows.append(Row(f"{one.kind.name}, {streams:,} streams", figures, row.reason))
    return table


def _by_rate(plan: Plan) -> Table:
    streams = plan.growth_streams
    title = f"(g) {streams:,} streams, each on its own operation, by events/s"
    table = Table("g-rate", title, RATE_COLUMNS)
    for one in plan.among((OURS, NCHAN)):
        for rate in plan.growth_rates:
            (row,) = interleaved(
                replace(plan, runs=1),
                [one],
                streams,
                lambda server, rate=rate: operations.run(server, streams, rate, RATES_S),  # type: ignore[misc]
            )
            table.rows.append(Row(f"{one.kind.name}, {rate:,} events/s", row.figures, row.reason))
    return table


def _by_processes(plan: Plan) -> Table:
    streams = plan.streams
    title = f"(g) Broadcast to {streams:,} streams, by processes"
    table = Table("g-processes", title, (*STREAM_COLUMNS[:3], *STREAM_COLUMNS[5:]))
    candidates = [
        Candidate(f"{kind.name}, {processes}", kind, kind, processes)
        for kind in (Tidings, Floor)
        for processes in PROCESSES
    ]
    jobs = [
        Job(one.label, one, lambda server: broadcast.run(server, streams, plan.events)) for one in candidates
    ]
    table.rows = in_turn(plan, jobs, streams)
    return table
