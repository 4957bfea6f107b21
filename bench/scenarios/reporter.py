"""(f) What reporting costs the task that reports."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import supplies
from bench.errors import NotMeasured
from bench.plan import Plan
from bench.process import APPS, BUILD, ROOT
from bench.table import Check, Figures, Row, Table, medians, ratio
from dev.redis_server import RedisServer

PACKAGES: Final = ("celery[redis]==5.7.*", "celery-progress==0.5", "django==5.2.*")
PEER_SHARE: Final = 30
"""A peer's call waits for Redis and takes that much longer: as many fewer calls are made."""
CALLS_S: Final = 180.0
OURS: Final = "Tidings report_progress"
UPDATE_STATE: Final = "Celery update_state"
SET_PROGRESS: Final = "celery-progress set_progress"
APPEND: Final = "Tidings Log.append, 64 at once"
REPORTER: Final = "Tidings report_status, until in the log"
COLUMNS: Final = (
    ("calls", "calls"), ("p50_us", "p50 µs"), ("p99_us", "p99 µs"), ("max_us", "max µs"),
    ("mean_us", "mean µs, wall"), ("cpu_us", "CPU µs"), ("per_s", "events/s"),
)  # fmt: skip


def measure(plan: Plan) -> list[Table]:
    """Time each in turn, as often as the plan says, on a Redis of their own."""
    BUILD.mkdir(parents=True, exist_ok=True)
    few = plan.calls // PEER_SHARE
    runs: dict[str, list[Figures]] = {}
    reasons: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=BUILD) as folder, RedisServer(Path(folder)) as redis:
        for _ in range(plan.runs):
            for label, name, calls in (
                (OURS, "ours", plan.calls),
                (UPDATE_STATE, "update_state", few),
                (SET_PROGRESS, "", few),
                (APPEND, "append", plan.calls // 10),
                (REPORTER, "reporter", plan.calls // 10),
            ):
                print(f"  {label} …", file=sys.stderr, flush=True)
                try:
                    command = [sys.executable, "-m", "bench.calls", name] if name else _in_the_peers()
                    runs.setdefault(label, []).append(_timed([*command, redis.url, str(calls)]))
                except NotMeasured as error:
                    reasons[label] = str(error)
    table = Table("f", "(f) The cost of one report in a task's loop", COLUMNS)
    table.rows = [
        Row(label, medians(runs.get(label, [])), reasons.get(label, ""))
        for label in (OURS, UPDATE_STATE, SET_PROGRESS, APPEND, REPORTER)
    ]
    _judge(plan, table)
    return [table]


def _judge(plan: Plan, table: Table) -> None:
    p50 = table.row(OURS).get("p50_us")
    table.checks = [
        Check("a throttled call ≤ 2 µs, median", p50, 2, "µs", plan.full),
        Check(
            "≤ 1/50 of update_state",
            ratio(p50, table.row(UPDATE_STATE).get("p50_us")),
            1 / 50,
            "x",
            plan.full,
        ),
        Check(
            "appends ≥ 5,000/s from one process",
            table.row(APPEND).get("per_s"),
            5_000,
            "/s",
            plan.full,
            at_least=True,
        ),
    ]


def _in_the_peers() -> list[str]:
    python = supplies.python_with(*PACKAGES)
    return [str(python), str(APPS / "celery_progress_calls.py")]


def _timed(command: Sequence[str]) -> Figures:
    said = supplies.run(command, CALLS_S, env=os.environ | {"PYTHONPATH": str(ROOT)})
    figures: Figures = json.loads(said.splitlines()[-1])
    return figures
