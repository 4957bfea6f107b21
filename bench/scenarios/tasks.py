"""(f) What it costs to see tasks that do nothing, singly and in a group, beside plain Celery in one run."""

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
from bench.process import BUILD, ROOT
from bench.table import Check, Figures, Row, Table, medians
from dev.redis_server import RedisServer

SHARE: Final = 75
"""Of the calls that are timed, a task takes so many times as long."""
LONGEST_S: Final = 300.0
BAR_MS: Final = 1.0
PLAIN: Final = "plain Celery"
OURS: Final = "with Tidings"
COLUMNS: Final = (
    ("tasks", "tasks"), ("publish_ms", "publish, ms a task"), ("run_ms", "run, ms a task"),
    ("publish_cpu_ms", "publish, CPU ms"), ("run_cpu_ms", "run and start, CPU ms"),
    ("shown_ms", "run and in the log, ms a task"),
)  # fmt: skip
GROUP_COLUMNS: Final = (*COLUMNS, ("told", "events for a watcher"), ("bar_kb", "KB of Redis for the bar"))


def measure(plan: Plan) -> list[Table]:
    """Publish and run without and with Tidings in turn, each time on a new Redis."""
    return [
        _table(plan, "f-tasks", "(f) A task that does nothing", COLUMNS, plan.calls // SHARE),
        _table(plan, "f-group", "(f) One group of them", GROUP_COLUMNS, plan.group, "group"),
    ]


def _table(
    plan: Plan, name: str, title: str, columns: Sequence[tuple[str, str]], tasks: int, *form: str
) -> Table:
    BUILD.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[Figures]] = {PLAIN: [], OURS: []}
    reasons: dict[str, str] = {}
    for _ in range(plan.runs):
        for label, figures in runs.items():
            print(f"  {title[4:]}: {label} …", file=sys.stderr, flush=True)
            try:
                figures.append(_run(tasks, {"BENCH_TIDINGS": "1"} if label == OURS else {}, *form))
            except NotMeasured as error:
                reasons[label] = str(error)
    table = Table(name, f"{title}, prefork worker of two processes", columns)
    table.rows = [Row(label, medians(runs[label]), reasons.get(label, "")) for label in runs]
    table.checks = [Check("≤ 1 ms a task over plain Celery", _overhead_ms(table), BAR_MS, "ms", plan.full)]
    return table


def _run(tasks: int, env: dict[str, str], *form: str) -> Figures:
    with tempfile.TemporaryDirectory(dir=BUILD) as folder, RedisServer(Path(folder)) as redis:
        known = os.environ | {"PYTHONPATH": str(ROOT), "REDIS_URL": redis.url} | env
        said = supplies.run([sys.executable, "-m", "bench.noop", str(tasks), *form], LONGEST_S, env=known)
    figures: Figures = json.loads(said.splitlines()[-1])
    return figures


def _overhead_ms(table: Table) -> float | None:
    """Give what Tidings adds to publishing and running one task."""
    plain, ours = table.row(PLAIN).figures, table.row(OURS).figures
    if not plain or not ours:
        return None
    return sum(ours[name] - plain[name] for name in ("publish_ms", "run_ms"))
