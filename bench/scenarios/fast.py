"""(a) Fifty events a second to all streams of one process, while it also answers /healthz."""

import json
import subprocess
import sys
from typing import Any, Final

from bench.load import Load
from bench.peers.go_hub import GoHub
from bench.peers.nchan import Nchan
from bench.plan import Plan, interleaved
from bench.process import ROOT
from bench.server import Candidate, Server
from bench.service import Tidings
from bench.table import Check, Figures, Table
from dev.leash import leashed

RATE: Final = 50
OURS: Final = Candidate("Tidings, 1 process", Tidings, Tidings, 1)
CANDIDATES: Final = (
    OURS,
    Candidate("nchan, 1 process", Nchan, Nchan, 1),
    Candidate("Go net/http, 1 core", GoHub, GoHub, 1),
)
COLUMNS: Final = (
    ("connected", "connected"), ("sent", "sent"), ("received", "received"), ("missing", "missing"),
    ("duplicate", "duplicate"), ("p50", "p50 ms"), ("p99", "p99 ms"), ("max", "max ms"),
    ("health_p50", "/healthz p50 ms"), ("health_p99", "/healthz p99 ms"), ("health_max", "/healthz max ms"),
    ("server_cpu", "server CPU %"), ("client_cpu", "client CPU %"),
)  # fmt: skip


def measure(plan: Plan) -> list[Table]:
    """Measure each candidate at the plan's size."""
    streams = plan.fast_streams
    table = Table(
        f"a-{RATE}-per-s", f"(a) {RATE} events/s broadcast to {streams:,} streams of one process", COLUMNS
    )
    table.rows = interleaved(
        plan, plan.among(CANDIDATES), streams, lambda server: _run(server, streams, plan.fast_s)
    )
    ours = table.row(OURS.label)
    table.checks = [
        Check("p99 ≤ 250 ms", ours.get("p99"), 250, "ms", plan.full),
        Check("/healthz p99 ≤ 20 ms", ours.get("health_p99"), 20, "ms", plan.full),
        Check("none missing", ours.get("missing"), 0, judged=plan.full),
    ]
    return [table]


def _run(server: Server, streams: int, seconds: float) -> Figures:
    publisher = server.publisher()
    publisher.announce(1)
    with Load(server.port, server.path("bench-0"), headers=server.headers, streams=streams) as load:
        opened = load.open()
        load.wait(publisher.publish(1, 1)["goal"], seconds)
        before, server_cpu = load.zero(), server.cpu_s()
        command = [sys.executable, "-m", "bench.probe", str(server.port), "/healthz", str(seconds)]
        with subprocess.Popen(leashed(command), cwd=ROOT, stdout=subprocess.PIPE, text=True) as probe:
            said = publisher.publish(int(seconds * RATE), RATE)
            answered, _ = probe.communicate(timeout=seconds + 60)
        server_cpu = server.cpu_s() - server_cpu
        seen = load.settle(said["goal"], 30)
    expected = said["sent"] * streams
    health = sorted(json.loads(answered))
    return {
        "connected": opened.connected,
        "sent": expected,
        "received": seen.received,
        "missing": expected - seen.received + seen.duplicate,
        "duplicate": seen.duplicate,
        "p50": seen.latency.quantile_ms(0.5),
        "p99": seen.latency.quantile_ms(0.99),
        "max": seen.latency.max_ms,
        "health_p50": _at(health, 0.5),
        "health_p99": _at(health, 0.99),
        "health_max": health[-1] / 1000,
        "server_cpu": server_cpu / seconds * 100,
        "client_cpu": (seen.cpu_s - before.cpu_s) / seconds * 100,
    }


def _at(ordered: list[Any], q: float) -> float:
    return float(ordered[min(int(len(ordered) * q), len(ordered) - 1)]) / 1000
