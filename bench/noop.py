"""A Celery project whose one task does nothing, with Tidings if ``BENCH_TIDINGS`` says so.

``python -m bench.noop TASKS [group]`` publishes that many to the broker at ``REDIS_URL``, singly or in one
group, then has a prefork worker of two processes run them all, and answers one line of JSON: what each cost.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from celery import Celery, group
from redis import Redis

import tidings.celery
from tidings.process import this_process

LONGEST_S: Final = 120.0
URL: Final = os.environ["REDIS_URL"]
WORKER: Final = ("-A", "bench.noop", "worker", "--pool", "prefork", "--concurrency", "2", "-l", "ERROR")
HAS_TIDINGS: Final = bool(os.environ.get("BENCH_TIDINGS"))
_CELERY_URL: Final = URL.replace("unix://", "redis+socket://")

app = Celery("noop", broker=_CELERY_URL, backend=_CELERY_URL)
if HAS_TIDINGS:
    tidings.celery.install(app)


@app.task(name="noop")
def noop() -> None:
    """Do nothing."""


def main(tasks: int, *, as_group: bool) -> dict[str, float]:
    """Publish and run so many tasks; give milliseconds per task; a worker's CPU with its start."""
    redis = Redis.from_url(URL)
    noop.delay()  # connects
    began, cpu = time.perf_counter(), time.process_time()
    flow = publish(tasks, as_group=as_group)
    publish_s = time.perf_counter() - began
    if HAS_TIDINGS:
        this_process().reporter.flush(LONGEST_S)
    publish_cpu_s = time.process_time() - cpu
    worker = subprocess.Popen([sys.executable, "-m", "celery", *WORKER])
    try:
        _wait(lambda: redis.llen("celery") < tasks)
        began = time.perf_counter()
        _wait(lambda: not redis.llen("celery") and not redis.hlen("unacked"))
        run_s = time.perf_counter() - began
        _wait(lambda: not redis.zcard("{tidings}:running"))
        shown_s = time.perf_counter() - began
    finally:
        worker.terminate()
        worker.wait(LONGEST_S)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "tasks": tasks,
        "publish_cpu_ms": publish_cpu_s / tasks * 1000,
        "run_cpu_ms": (used.ru_utime + used.ru_stime) / tasks * 1000,
        "publish_ms": publish_s / tasks * 1000,
        "run_ms": run_s / tasks * 1000,
        "shown_ms": shown_s / tasks * 1000,
        **(_bar(redis, flow) if flow and HAS_TIDINGS else {}),
    }


def publish(tasks: int, *, as_group: bool) -> str:
    """Publish so many; give the group's id."""
    if as_group:
        return str(group(noop.s() for _ in range(tasks)).apply_async().id)
    for _ in range(tasks):
        noop.delay()
    return ""


def _bar(redis: Any, flow: str) -> dict[str, float]:
    """Say what became of a group's bar: what a watcher was told, and what it takes in Redis."""
    state = this_process().log.operation(flow)
    if state is None or state.end is None:
        sys.exit(f"the workflow has no end: {state}")
    return {
        "told": redis.xinfo_stream(f"{{tidings}}:t:workflows:{flow}")["entries-added"],
        "bar_kb": redis.memory_usage(f"{{tidings}}:wf:{flow}", samples=0) / 1_000,
    }


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("the worker did not get on")
        time.sleep(0.005)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), as_group=sys.argv[2:] == ["group"])))
