"""(b) Every stream on an operation of its own, events spread over all of them."""

from typing import Final

from bench.load import Load
from bench.plan import GO, NCHAN, OURS, Plan, interleaved
from bench.server import Server
from bench.table import Check, Figures, Table, ratio

LAST_S: Final = 30.0
COLUMNS: Final = (
    ("connected", "connected"), ("connect_s", "connect s"), ("rate", "events/s"), ("sent", "sent"),
    ("received", "received"), ("missing", "missing"), ("duplicate", "duplicate"),
    ("out_of_order", "out of order"),
    ("p50", "p50 ms"), ("p90", "p90 ms"), ("p99", "p99 ms"), ("p999", "p99.9 ms"), ("max", "max ms"),
    ("server_cpu", "server CPU %"), ("client_cpu", "client CPU %"), ("publisher_cpu", "publisher CPU %"),
    ("late_ms", "publisher late ms"),
)  # fmt: skip


def measure(plan: Plan) -> list[Table]:
    """Measure each of the plan's rates; the lowest also through the whole reporter."""
    tables = []
    for rate in plan.rates:
        streams = plan.streams
        table = Table(
            f"b-{rate}",
            f"(b) {streams:,} streams, each on its own operation: {rate:,} events/s in all",
            COLUMNS,
        )
        table.rows = interleaved(
            plan,
            plan.among((OURS, NCHAN, GO)),
            streams,
            lambda server, rate=rate: run(server, plan.streams, rate, plan.rates_s),  # type: ignore[misc]
        )
        tables.append(table)
    reported = interleaved(
        plan,
        [OURS],
        plan.streams,
        lambda server: run(server, plan.streams, plan.rates[0], plan.rates_s, "reporter"),
    )
    tables[0].rows += [
        type(row)(f"{row.label}, through report_progress", row.figures, row.reason) for row in reported
    ]
    ours = tables[-1].row(OURS.label)
    p99 = ours.get("p99")
    tables[-1].checks = [
        Check("none missing", ours.get("missing"), 0, judged=plan.full),
        Check("in order", ours.get("out_of_order"), 0, judged=plan.full),
        Check("p50 ≤ 1 ms", ours.get("p50"), 1, "ms", plan.full),
        Check("p99 ≤ 10 ms", p99, 10, "ms", plan.full),
        Check("p99 ≤ nchan's", ratio(p99, tables[-1].row(NCHAN.label).get("p99")), 1, "x", plan.full),
    ]
    return tables


def run(server: Server, streams: int, rate: int, seconds: float, sink: str = "") -> Figures:
    """Open a stream per operation, then speak of each in turn for about *seconds* seconds."""
    publisher = server.publisher(**({"kind": sink} if sink else {}))
    publisher.announce(streams)
    with Load(server.port, server.path("bench-%d"), headers=server.headers, streams=streams) as load:
        opened = load.open()
        before, server_cpu = load.reset(), server.cpu_s()
        said = publisher.publish(max(round(rate * seconds / streams), 1), rate)
        server_cpu = server.cpu_s() - server_cpu
        seen = load.settle(said["goal"], LAST_S)
    expected, took = said["sent"], said["seconds"]
    return {
        "connected": opened.connected,
        "connect_s": opened.elapsed_s,
        "rate": expected / took,
        "sent": expected,
        "received": seen.received,
        "missing": seen.missing,
        "duplicate": seen.duplicate,
        "out_of_order": seen.out_of_order,
        "p50": seen.latency.quantile_ms(0.5),
        "p90": seen.latency.quantile_ms(0.9),
        "p99": seen.latency.quantile_ms(0.99),
        "p999": seen.latency.quantile_ms(0.999),
        "max": seen.latency.max_ms,
        "server_cpu": server_cpu / took * 100,
        "client_cpu": (seen.cpu_s - before.cpu_s) / took * 100,
        "publisher_cpu": said["cpu_s"] / took * 100,
        "late_ms": said["late_ms"],
    }
