"""Steps whose every run can be counted, for the tests: known to a service and a worker that import this."""

import os
import time
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from tasks import pipeline, steps
from tasks.steps import Given
from tidings import check_cancelled, report_progress

TASK: Final = "trace"


class TraceParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Where its runs leave a line each, how many of them fail first, and which file they wait for."""

    file: str
    fails: Annotated[int, Meta(ge=0)] = 0
    waits_for: str | None = None


def trace(given: Given) -> dict[str, int]:
    """Leave a line with the id of this process, then wait, then fail or not."""
    file = Path(given.params["file"])
    with file.open("a") as runs:
        runs.write(f"{os.getpid()}\n")
    run = len(file.read_text().splitlines())
    gate = given.params["waits_for"]
    report_progress(1, 2)
    while gate is not None and not Path(gate).exists():
        check_cancelled()
        time.sleep(0.02)
    if run <= given.params["fails"]:
        raise ValueError(f"run {run} of {file.name}")
    return {"run": run}


pipeline.STEP_TASKS[TASK] = pipeline.StepTask(TASK, "trace", (), TraceParams)
steps.STEPS[TASK] = trace
