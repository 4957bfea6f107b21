"""(c) Streams on which nothing happens: memory, and the CPU that heartbeats cost."""

import time
from dataclasses import replace
from typing import Final

from bench.load import Load, warm_up
from bench.plan import GO, NCHAN, OURS, Plan, interleaved
from bench.server import Server
from bench.service import Tidings
from bench.table import Check, Figures, Table

SETTLE_S: Final = 2.0
"""For openings to be put away, and connections' garbage with them, before memory is read. Guessed."""
COLUMNS: Final = (
    ("connected", "connected"), ("kb", "KB/stream"), ("total_mb", "MB in all"), ("cpu", "CPU % of a core"),
    ("heartbeats", "heartbeats/stream"), ("seconds", "over s"), ("closed", "closed"),
)  # fmt: skip


def measure(plan: Plan) -> list[Table]:
    """Hold the plan's streams for some heartbeats' time."""
    streams = plan.streams
    ours_beating = replace(OURS, make=lambda processes: Tidings(processes, plan.heartbeat_s))
    table = Table("c", f"(c) {streams:,} idle streams", COLUMNS)
    table.rows = interleaved(
        plan, plan.among((ours_beating, NCHAN, GO)), streams, lambda one: _run(one, plan)
    )
    ours = table.row(OURS.label)
    table.checks = [
        Check("≤ 1 KB of process memory per stream", ours.get("kb"), 1, "KB", plan.full),
        Check("CPU with heartbeats ≤ 5 % of a core", ours.get("cpu"), 5, "%", plan.full),
    ]
    note = (
        f"Tidings' heartbeat here: every {plan.heartbeat_s:g} s of silence. The peers send none here; "
        "the others' memory is in (a)."
    )
    table.notes = [note]
    return [table]


def _run(server: Server, plan: Plan) -> Figures:
    publisher = server.publisher()
    publisher.announce(1)
    path = server.path("bench-0")
    warm_up(server.port, path, server.headers)
    empty_kb = server.pss_kb()
    with Load(server.port, path, headers=server.headers, streams=plan.streams) as load:
        opened = load.open()
        time.sleep(SETTLE_S)
        full_kb = server.pss_kb()
        load.zero()
        cpu, began = server.cpu_s(), time.monotonic()
        time.sleep(plan.idle_s)
        seconds = time.monotonic() - began
        cpu = server.cpu_s() - cpu
        seen = load.report()
    return {
        "connected": opened.connected,
        "kb": (full_kb - empty_kb) / plan.streams,
        "total_mb": full_kb / 1024,
        "cpu": cpu / seconds * 100,
        "heartbeats": seen.others / plan.streams,
        "seconds": seconds,
        "closed": seen.closed_by_peer,
    }
