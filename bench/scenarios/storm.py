"""(d) All streams cut and back at once, each some events behind."""

from typing import Final

from bench.load import Load
from bench.plan import NCHAN, OURS, Plan, interleaved
from bench.server import Server
from bench.table import Check, Figures, Table

BEHIND: Final = 50
LONGEST_S: Final = 60.0
COLUMNS: Final = (
    ("streams", "streams"), ("connected", "back"), ("head_s", "last head s"), ("p50_s", "50 % live s"),
    ("p99_s", "99 % live s"), ("all_s", "all live s"), ("expected", "expected"), ("received", "received"),
    ("missing", "missing"), ("duplicate", "duplicate"), ("out_of_order", "out of order"),
)  # fmt: skip


def measure(plan: Plan) -> list[Table]:
    """Measure those that can resume."""
    streams = plan.streams
    table = Table("d", f"(d) {streams:,} streams cut and back at once, each {BEHIND} events behind", COLUMNS)
    table.rows = interleaved(plan, plan.among((OURS, NCHAN)), streams, lambda server: _run(server, streams))
    ours = table.row(OURS.label)
    wrong = [ours.get(name) for name in ("missing", "duplicate", "out_of_order")]
    table.checks = [
        Check("99 % live again ≤ 2 s", ours.get("p99_s"), 2, "s", plan.full),
        Check("all ≤ 5 s", ours.get("all_s"), 5, "s", plan.full),
        Check(
            "nothing lost or doubled",
            None if None in wrong else sum(one or 0 for one in wrong),
            0,
            judged=plan.full,
        ),
    ]
    table.notes = ["The other peers keep no history: what was said while a stream was away is lost to it."]
    return [table]


def _run(server: Server, streams: int) -> Figures:
    publisher = server.publisher()
    publisher.announce(1)
    with Load(
        server.port, server.path("bench-0"), headers=server.headers, streams=streams, concurrency=100_000
    ) as load:
        load.open()
        load.wait(publisher.publish(1, 1)["goal"], LONGEST_S)  # from here on each has an id
        load.cut()
        goal = publisher.publish(BEHIND, 1_000)["goal"]
        load.zero()
        back = load.reopen(goal, LONGEST_S)
        seen = load.settle(goal, LONGEST_S)
        live = load.settle(publisher.publish(1, 1)["goal"], LONGEST_S)  # and they are live, not only replayed
    expected = (BEHIND + 1) * streams
    return {
        "streams": streams,
        "connected": back.connected,
        "head_s": seen.opening.max_ms / 1000,
        "p50_s": seen.reaching.quantile_ms(0.5) / 1000,
        "p99_s": seen.reaching.quantile_ms(0.99) / 1000,
        "all_s": seen.reaching.max_ms / 1000,
        "expected": expected,
        "received": live.received,
        "missing": live.missing,
        "duplicate": live.duplicate,
        "out_of_order": live.out_of_order,
    }
