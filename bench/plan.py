"""How much is measured: sizes, repeats and whom. The full plan is the issue's; the quick one is a trial."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from subprocess import SubprocessError

from redis.exceptions import RedisError

from bench import machine
from bench.errors import NotMeasured
from bench.peers.better_sse import BetterSse
from bench.peers.flask_sse import FlaskSse
from bench.peers.floor import Floor
from bench.peers.go_hub import GoHub
from bench.peers.nchan import Nchan
from bench.peers.sse_starlette import SseStarlette
from bench.server import Candidate, Server
from bench.service import Tidings
from bench.table import Figures, Row, medians

OURS = Candidate("Tidings, 2 processes", Tidings, Tidings, 2)
NCHAN = Candidate("nchan, 2 processes", Nchan, Nchan, 2)
GO = Candidate("Go net/http, 2 cores", GoHub, GoHub, 2)
STARLETTE = Candidate("sse-starlette, 2 processes", SseStarlette, SseStarlette, 2)
FLASK_SSE = Candidate("flask-sse, 2 processes", FlaskSse, FlaskSse, 2)
BETTER_SSE = Candidate("better-sse, 1 process", BetterSse, BetterSse, 1)
FLOOR_1 = Candidate("floor, 1 process", Floor, Floor, 1)
FLOOR = Candidate("floor, 2 processes", Floor, Floor, 2)
EVERYBODY = (OURS, NCHAN, GO, STARLETTE, FLASK_SSE, BETTER_SSE, FLOOR_1, FLOOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run's sizes. Only where *full* are the issue's bars judged."""

    full: bool
    runs: int
    broadcast: Sequence[int]
    everybody_upto: int
    events: int
    streams: int
    fast_streams: int
    fast_s: float
    rates: Sequence[int]
    rates_s: float
    idle_s: float
    heartbeat_s: float
    stuck: int
    stuck_s: float
    growth_streams: int
    growth_rates: Sequence[int]
    calls: int
    group: int
    peers: frozenset[str] = field(default_factory=frozenset)

    def among(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Leave out the peers that were not asked for."""
        return [one for one in candidates if not self.peers or one.kind.name in {*self.peers, Tidings.name}]


FULL = Plan(
    full=True, runs=3, broadcast=(1_000, 10_000, 50_000, 100_000), everybody_upto=10_000, events=10,
    streams=10_000, fast_streams=6_000, fast_s=10, rates=(1_000, 5_000, 10_000), rates_s=10, idle_s=30,
    heartbeat_s=15, stuck=200, stuck_s=20, growth_streams=1_000,
    growth_rates=(100, 1_000, 5_000, 10_000, 20_000), calls=300_000, group=10_000,
)  # fmt: skip
QUICK = Plan(
    full=False, runs=1, broadcast=(100, 500), everybody_upto=500, events=5, streams=500, fast_streams=300,
    fast_s=3, rates=(500, 2_000), rates_s=2, idle_s=6, heartbeat_s=2, stuck=20, stuck_s=16,
    growth_streams=200, growth_rates=(100, 1_000, 5_000), calls=30_000, group=500,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """One row to be measured: under what name, on which server, and how."""

    label: str
    candidate: Candidate
    measure: Callable[[Server], Figures]


def interleaved(
    plan: Plan,
    candidates: Sequence[Candidate],
    streams: int,
    measure: Callable[[Server], Figures],
) -> list[Row]:
    """Measure each candidate in the same way (see `in_turn`)."""
    return in_turn(plan, [Job(one.label, one, measure) for one in candidates], streams)


def in_turn(plan: Plan, jobs: Sequence[Job], streams: int) -> list[Row]:
    """Do each job in turn, *plan.runs* times round, each time on a new server, and give the medians as rows.

    In turn, so that what the machine does beside it falls on all alike. A job that fails is not repeated.
    """
    runs: dict[str, list[Figures]] = {job.label: [] for job in jobs}
    reasons: dict[str, str] = {}
    for _ in range(plan.runs):
        for job in jobs:
            if job.label in reasons:
                continue
            print(f"  {streams:,} streams: {job.label} …", file=sys.stderr, flush=True)
            try:
                machine.check_room(streams)
                with job.candidate.for_streams(streams) as server:
                    runs[job.label].append(job.measure(server))
            except (NotMeasured, OSError, RuntimeError, SubprocessError, RedisError) as error:
                reasons[job.label] = " ".join(str(error).split()) or type(error).__name__
                print(f"    not measured: {reasons[job.label]}", file=sys.stderr, flush=True)
    return [Row(job.label, medians(runs[job.label]), reasons.get(job.label, "")) for job in jobs]
