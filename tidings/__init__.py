"""Tidings: report the progress of tasks, see it move in browsers.

The library that a Celery project installs. It is the contract that both sides share::

    task → report_progress → reporter → log (Redis) → feed → hub → subscriber → frame → browser

What task authors call is exported here; the Celery integration is ``tidings.celery.install``.
"""

from tidings.current import (
    check_cancelled,
    current_operation,
    report_progress,
    report_status,
    report_warning,
    step,
    track,
)
from tidings.errors import (
    Cancelled,
    InvalidValue,
    LogUnavailable,
    SettingsError,
    StorageUnavailable,
    TidingsError,
)
from tidings.failure import Failure
from tidings.operation import Operation
from tidings.results import ResultReference, load_result, save_result

__all__ = [
    "Cancelled",
    "Failure",
    "InvalidValue",
    "LogUnavailable",
    "Operation",
    "ResultReference",
    "SettingsError",
    "StorageUnavailable",
    "TidingsError",
    "check_cancelled",
    "current_operation",
    "load_result",
    "report_progress",
    "report_status",
    "report_warning",
    "save_result",
    "step",
    "track",
]
