"""Our worker with the steps of `tests.traced_steps`: ``celery -A tests.traced_worker worker``.

``VISIBILITY_S``: after so many seconds what a worker had in hand when it died is delivered again.
"""

import os

from tasks.celery import app
from tests import traced_steps

if "VISIBILITY_S" in os.environ:
    app.conf.broker_transport_options |= {
        "visibility_timeout": int(os.environ["VISIBILITY_S"]),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }

__all__ = ["app", "traced_steps"]
