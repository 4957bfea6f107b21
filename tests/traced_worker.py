"""Our worker with the steps of `tests.traced_steps`: ``celery -A tests.traced_worker worker``.

``VISIBILITY_S``: after so many seconds what a worker had in hand when it died is delivered again.
``KILL``: a folder; whoever is about to send the step that a file in it is named after takes it and is killed.
"""

import os
import signal
from pathlib import Path
from typing import Any

from celery.signals import before_task_publish

from tasks.celery import app
from tests import traced_steps

if "VISIBILITY_S" in os.environ:
    app.conf.broker_transport_options |= {
        "visibility_timeout": int(os.environ["VISIBILITY_S"]),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }


@before_task_publish.connect(sender="tasks.step", weak=False)
def kill(body: Any, **_: Any) -> None:
    """End the process that has just counted the last part before this step, and was to send it."""
    _, name = body[0]
    victim = Path(os.environ["KILL"]) / name
    if victim.exists():
        victim.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


__all__ = ["app", "traced_steps"]
