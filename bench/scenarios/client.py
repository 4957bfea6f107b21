"""The measuring itself: that the client sees what is lost or doubled, and that it is not what is measured."""

from typing import Final

from bench.load import Load
from bench.peers.floor import Floor
from bench.plan import FLOOR, FLOOR_1, Job, Plan, in_turn
from bench.server import Candidate, Server
from bench.table import Check, Figures, Table

STREAMS: Final = 500
CLIENTS: Final = 2
EVENTS: Final = 30
FAULTS: Final = 10 * 10 * STREAMS // 100
"""bench/floor.c errs at every third event, on every tenth connection of each process."""
RATE: Final = 200
COLUMNS: Final = (
    ("streams", "streams"), ("sent", "sent"), ("received", "received"), ("missing", "missing"),
    ("duplicate", "duplicate"), ("counted", "in the histogram"), ("p50", "p50 ms"), ("p99", "p99 ms"),
    ("per_s", "deliveries/s"), ("client_cpu", "client CPU %"), ("client_us", "client µs/event"),
    ("server_us", "floor µs/event"),
)  # fmt: skip


def measure(plan: Plan) -> list[Table]:
    """Run the client against floors that do right and floors that err on purpose."""
    table = Table("client", "The load client against the floor", COLUMNS)
    skips = Candidate("floor that withholds", lambda processes: Floor(processes, "skip"), Floor, 1)
    doubles = Candidate("floor that repeats", lambda processes: Floor(processes, "double"), Floor, 1)
    jobs = [
        Job(one.label, one, lambda server: _run(server, STREAMS, EVENTS, STREAMS // CLIENTS))
        for one in (skips, doubles)
    ]
    jobs += [
        Job(
            f"{one.label}, {RATE} events/s",
            one,
            lambda server: _run(server, plan.growth_streams, RATE * 3, 0),
        )
        for one in (FLOOR_1, FLOOR)
    ]
    table.rows = in_turn(plan, jobs, plan.growth_streams)
    skipped, doubled = table.row(skips.label), table.row(doubles.label)
    wrong = [(doubled.get("counted") or 0) - STREAMS * EVENTS - FAULTS, (doubled.get("missing") or 0)]
    table.checks = [
        Check(f"the {FAULTS} withheld events are missed", skipped.get("missing"), FAULTS, at_least=True),
        Check(f"the {FAULTS} repeated events are seen", doubled.get("duplicate"), FAULTS, at_least=True),
        Check(f"{CLIENTS} clients' histograms add up", float(sum(map(abs, wrong))), 0, "off"),
    ]
    return [table]


def _run(server: Server, streams: int, events: int, per_client: int) -> Figures:
    publisher = server.publisher()
    publisher.announce(1)
    with Load(server.port, server.path("x"), streams=streams, per_client=per_client) as load:
        load.open()
        before, server_cpu = load.report(), server.cpu_s()
        said = publisher.publish(events, RATE)
        seen = load.settle(said["goal"], 5)
        server_cpu = server.cpu_s() - server_cpu
    client_cpu, sent = seen.cpu_s - before.cpu_s, events * streams
    return {
        "streams": streams,
        "sent": sent,
        "received": seen.received,
        "missing": seen.missing,
        "duplicate": seen.duplicate,
        "counted": seen.latency.count,
        "p50": seen.latency.quantile_ms(0.5),
        "p99": seen.latency.quantile_ms(0.99),
        "per_s": seen.received / said["seconds"],
        "client_cpu": client_cpu / said["seconds"] * 100,
        "client_us": client_cpu / sent * 1e6,
        "server_us": server_cpu / sent * 1e6,
    }
