"""Log records of a running operation become its warnings and errors.

Beside the first stage of the flow: a handler for the standard library's logging. Takes records that are
made where an operation is current, gives ``warning`` and (not terminal) ``error`` events with the code
``log``. A browser is no log file: what is too fast or too much is left out, and that is said once.
Records below WARNING are not sent; no event is meant for them.

Celery sets up its loggers by itself, and takes away what was there; in a worker add it by its signals::

    @signals.after_setup_logger.connect
    @signals.after_setup_task_logger.connect
    def show_logs(logger, **_):
        logger.addHandler(OperationHandler())
"""

import logging
import time
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from tidings.current import current_operation
from tidings.operation import Operation
from tidings.values import MAX_MESSAGE_CHARS

MAX_RECORDS: Final = 100
"""Per attempt: more than anybody reads beside a bar, and a tenth of what a topic keeps. Guessed."""
RECORDS_PER_S: Final = 5.0
"""Over time; as many as `BURST` may come at once."""
BURST: Final = 20
LOG: Final = "log"
OMITTED: Final = "log_omitted"
_QUIET: Final = ("tidings", "celery", "kombu", "amqp", "redis")
"""Those that log about the task, not for it: its end is told anyway. Ours log while they hold locks."""


class OperationHandler(logging.Handler):
    """Sends what is logged in an operation to those who watch it.

    Lives as long as the logger that it was added to; any thread may log. Emitting never waits for Redis.
    """

    def __init__(
        self,
        level: int = logging.WARNING,
        *,
        max_records: int = MAX_RECORDS,
        records_per_s: float = RECORDS_PER_S,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(max(level, logging.WARNING))
        self._max_records, self._records_per_s, self._burst = max_records, records_per_s, burst
        self._clock = clock
        self._allowances: WeakKeyDictionary[Operation, _Allowance] = WeakKeyDictionary()
        # Before the handler's lock is taken: the reporter logs while it holds a lock that `emit` needs.
        self.addFilter(_is_for_an_operation)

    def emit(self, record: logging.LogRecord) -> None:
        """Send *record*, unless the operation has had its share."""
        operation = current_operation()
        if operation is None:
            return
        try:
            self._send(record, operation)
        except Exception:  # noqa: BLE001 - as the standard library's handlers: a format may be wrong
            self.handleError(record)

    def _send(self, record: logging.LogRecord, operation: Operation) -> None:
        allowance = self._allowances.get(operation)
        if allowance is None:
            allowance = _Allowance(self._max_records, self._records_per_s, self._burst, self._clock())
            self._allowances[operation] = allowance
        if not allowance.take(self._clock()):
            if allowance.omitted == 1:
                operation.warning(OMITTED, "Log records are left out here; the worker's own log has them.")
            return
        message, details = _text(record.getMessage()), _details(record)
        if record.levelno >= logging.ERROR:
            operation.error(LOG, message, details, terminal=False)
        else:
            operation.warning(LOG, message, details)


class _Allowance:
    """What one attempt may still send: so many in all, and so many a second."""

    def __init__(self, most: int, per_s: float, burst: int, now: float) -> None:
        self._left, self._per_s, self._burst = most, per_s, burst
        self._tokens, self._at = float(burst), now
        self.omitted = 0

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._left and self._tokens >= 1:
            self._left -= 1
            self._tokens -= 1
            return True
        self.omitted += 1
        return False


def _is_for_an_operation(record: logging.LogRecord) -> bool:
    top = record.name.partition(".")[0]
    return top not in _QUIET and current_operation() is not None


def _text(message: str) -> str:
    """Make *message* fit for an event, so that a strict operation takes it too."""
    message = message.encode("utf-8", "replace").decode()
    return message if len(message) <= MAX_MESSAGE_CHARS else message[: MAX_MESSAGE_CHARS - 1] + "…"


def _details(record: logging.LogRecord) -> dict[str, str]:
    details = {"logger": _text(record.name), "level": _text(record.levelname)}
    if record.exc_info and record.exc_info[0] is not None:
        details["exception"] = record.exc_info[0].__name__
    return details
