"""(a) One event to all of many streams."""

from typing import Final

from bench.load import Load, warm_up
from bench.plan import EVERYBODY, FLOOR, GO, NCHAN, OURS, Plan, interleaved
from bench.server import Candidate, Server
from bench.table import Check, Figures, Table, ratio

WARM_UP: Final = 2
EVENT_S: Final = 20.0
"""How long one event may take to reach everybody before the run goes on without."""
COLUMNS: Final = (
    ("connected", "connected"), ("connect_s", "connect s"), ("sent", "sent"), ("received", "received"),
    ("missing", "missing"), ("duplicate", "duplicate"), ("p50", "p50 ms"), ("p90", "p90 ms"),
    ("p99", "p99 ms"),
    ("p999", "p99.9 ms"), ("max", "max ms"), ("kb", "KB/stream"), ("server_us", "server µs/event"),
    ("client_us", "client µs/event"),
)  # fmt: skip


def measure(plan: Plan) -> list[Table]:
    """Broadcast to each of the plan's sizes."""
    tables = []
    for streams in plan.broadcast:
        chosen = EVERYBODY if streams <= plan.everybody_upto else (OURS, NCHAN, FLOOR)
        tables.append(table_of(plan, plan.among(chosen), streams))
    _judge(plan, tables)
    return tables


def table_of(plan: Plan, candidates: list[Candidate], streams: int) -> Table:
    """Broadcast to *streams* streams of each candidate."""
    table = Table(f"a-{streams}", f"(a) Broadcast of one event to {streams:,} streams", COLUMNS)
    table.rows = interleaved(plan, candidates, streams, lambda server: run(server, streams, plan.events))
    return table


def run(server: Server, streams: int, events: int) -> Figures:
    """Open *streams* streams of one topic, then send *events* events, each when all have the one before."""
    publisher = server.publisher()
    publisher.announce(1)
    path = server.path("bench-0")
    warm_up(server.port, path, server.headers)
    empty_kb = server.pss_kb()
    with Load(server.port, path, headers=server.headers, streams=streams, late_head=server.late_head) as load:
        opened = load.open()
        server.wait_until_open(opened.connected)
        for _ in range(WARM_UP):
            load.wait(publisher.publish(1, 1)["goal"], EVENT_S)
        full_kb = server.pss_kb()
        before = load.zero()
        server_cpu = server.cpu_s()
        goal = WARM_UP
        for _ in range(events):
            goal = publisher.publish(1, 1)["goal"]
            load.wait(goal, EVENT_S)
        server_cpu = server.cpu_s() - server_cpu
        seen = load.settle(goal, EVENT_S)
    expected = events * streams
    return {
        "connected": opened.connected,
        "connect_s": opened.elapsed_s,
        "sent": expected,
        "received": seen.received,
        "missing": expected - seen.received + seen.duplicate,
        "duplicate": seen.duplicate,
        "p50": seen.latency.quantile_ms(0.5),
        "p90": seen.latency.quantile_ms(0.9),
        "p99": seen.latency.quantile_ms(0.99),
        "p999": seen.latency.quantile_ms(0.999),
        "max": seen.latency.max_ms,
        "kb": max(full_kb - empty_kb, 0) / streams,
        "server_us": server_cpu / expected * 1e6,
        "client_us": (seen.cpu_s - before.cpu_s) / expected * 1e6,
    }


def _judge(plan: Plan, tables: list[Table]) -> None:
    """Set the bars beside the tables at 10,000 and at 100,000 streams (quick: its two sizes)."""
    base = next((table for table in tables if table.key == f"a-{plan.streams}"), tables[-1])
    ours, p99 = base.row(OURS.label), base.row(OURS.label).get("p99")
    base.checks = [
        Check("p99 ≤ 100 ms", p99, 100, "ms", plan.full),
        Check("p99 ≤ 0.6 x nchan's", ratio(p99, base.row(NCHAN.label).get("p99")), 0.6, "x", plan.full),
        Check("p99 < Go's", ratio(p99, base.row(GO.label).get("p99")), 1, "x", plan.full, strictly=True),
        Check("p99 ≤ 1.3 x the floor's", ratio(p99, base.row(FLOOR.label).get("p99")), 1.3, "x", plan.full),
        Check("none missing", ours.get("missing"), 0, judged=plan.full),
    ]
    last = tables[-1]
    if last is base:
        return
    many = last.row(OURS.label)
    connected, sent = many.get("connected"), int(last.key.removeprefix("a-"))
    per_stream = ratio(_per_stream(many.get("p99"), last), _per_stream(p99, base))
    per_connect = ratio(_per_stream(many.get("connect_s"), last), _per_stream(ours.get("connect_s"), base))
    last.checks = [
        Check(f"all {sent:,} connect", None if connected is None else sent - connected, 0, "not", plan.full),
        Check("none missing", many.get("missing"), 0, judged=plan.full),
        Check(f"p99 per stream ≤ 1.3 x that at {plan.streams:,}", per_stream, 1.3, "x", plan.full),
        Check("connecting grows linearly (≤ 1.3 x per stream)", per_connect, 1.3, "x", plan.full),
    ]


def _per_stream(figure: float | None, table: Table) -> float | None:
    return ratio(figure, int(table.key.removeprefix("a-")))
