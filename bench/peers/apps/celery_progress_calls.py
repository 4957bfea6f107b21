"""Times celery-progress' ``set_progress`` in a loop; runs in the peers' virtualenv. See bench/calls.py."""

import json
import sys

from celery import Celery
from celery_progress.backend import ProgressRecorder  # type: ignore[import-not-found]

from bench.calls import timed


def work() -> None:
    """Stand for a task; never run."""


if __name__ == "__main__":
    redis_url, calls = sys.argv[1], int(sys.argv[2])
    app = Celery("bench", broker="memory://", backend=redis_url.replace("unix://", "redis+socket://"))
    task = app.task(name="bench.task")(work)
    task.push_request(id="bench-task")
    recorder = ProgressRecorder(task)
    print(json.dumps(timed(lambda number: recorder.set_progress(number, calls, "Importing"), calls)))
