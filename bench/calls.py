"""Times single calls in a loop, as a task would make them, without a worker: the caller's cost.

``python -m bench.calls NAME REDIS_URL CALLS`` answers one line of JSON. NAME: ``ours`` (`report_progress`),
``update_state`` (Celery's, Redis backend), ``append`` (our log, batch by batch), ``reporter`` (status events
through the reporter). `timed` is also used by a peer's script, which runs in another virtualenv: so this
module imports the project only where it needs it.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Final

EMPTY_CALLS: Final = 10_000
Figures = dict[str, float]


def timed(call: Callable[[int], object], calls: int) -> Figures:
    """Time *call* with 0, 1, 2, …; the cost of the clock itself, measured in the same way, is taken off."""
    empty = sorted(_times(lambda _: None, EMPTY_CALLS))[EMPTY_CALLS // 2]
    for number in range(min(calls, 100)):
        call(number)
    cpu, began = time.process_time_ns(), time.perf_counter_ns()
    taken = _times(call, calls)
    wall, cpu = time.perf_counter_ns() - began, time.process_time_ns() - cpu
    taken.sort()
    return {
        "calls": calls,
        "p50_us": max(taken[calls // 2] - empty, 0) / 1000,
        "p99_us": max(taken[calls * 99 // 100] - empty, 0) / 1000,
        "max_us": taken[-1] / 1000,
        "mean_us": wall / calls / 1000,
        "cpu_us": cpu / calls / 1000,
    }


def _times(call: Callable[[int], object], calls: int) -> list[int]:
    clock = time.perf_counter_ns
    taken = []
    for number in range(calls):
        began = clock()
        call(number)
        taken.append(clock() - began)
    return taken


def _work() -> None:
    """Stand for a task; never run."""


def ours(redis_url: str, calls: int) -> Figures:
    """Time `report_progress` inside an operation, with the settings as they come."""
    from tidings import Operation, report_progress  # noqa: PLC0415 - see above
    from tidings.process import configure  # noqa: PLC0415
    from tidings.settings import Settings  # noqa: PLC0415

    process = configure(Settings(redis_url=redis_url))
    with Operation(kind="batch"):
        figures = timed(lambda number: report_progress(number, calls, "Importing"), calls)
    process.reporter.flush(10)
    return figures


def update_state(redis_url: str, calls: int) -> Figures:
    """Time `Task.update_state` of a task whose request is there, as in a worker."""
    from celery import Celery  # noqa: PLC0415

    from tidings.settings import Settings  # noqa: PLC0415

    url = Settings(redis_url=redis_url).address.broker_url
    app = Celery("bench", broker="memory://", backend=url)

    task = app.task(name="bench.task")(_work)
    task.push_request(id="bench-task")
    meta = {"total": calls, "description": "Importing"}
    return timed(lambda number: task.update_state(state="PROGRESS", meta=meta | {"current": number}), calls)


def append(redis_url: str, calls: int) -> Figures:
    """Append *calls* events in full batches, one in flight."""
    from bench.publisher import LogSink, Publisher  # noqa: PLC0415

    publisher = Publisher(LogSink(redis_url, "bench"), "bench-")
    publisher.announce(100)
    said = publisher.publish(-(-calls // 100), 1e9, 0)
    return {
        "calls": said["sent"],
        "per_s": said["sent"] / said["seconds"],
        "cpu_us": said["cpu_s"] / said["sent"] * 1e6,
    }


def reporter(redis_url: str, calls: int) -> Figures:
    """Say *calls* statuses, none of which may be left out, and wait until all are in the log."""
    from tidings.log import Log  # noqa: PLC0415
    from tidings.operation import Operation  # noqa: PLC0415
    from tidings.reporter import Reporter  # noqa: PLC0415
    from tidings.settings import Settings  # noqa: PLC0415

    way = Reporter(Log(Settings(redis_url=redis_url)), buffer_records=calls + 100, interval_s=0.1)
    operations = [Operation("batch", reporter=way, strict=False).start() for _ in range(10)]
    cpu, began = time.process_time(), time.monotonic()
    for number in range(calls):
        operations[number % 10].status(f"phase {number}")
    way.flush(120)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return {"calls": calls, "per_s": calls / seconds, "cpu_us": cpu / calls * 1e6}


if __name__ == "__main__":
    measure = {"ours": ours, "update_state": update_state, "append": append, "reporter": reporter}[
        sys.argv[1]
    ]
    print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
