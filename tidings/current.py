"""The operation that this context works for, and the reports that find it by themselves.

Beside the first stage of the flow: sugar over `tidings.operation.Operation`, held by a context
variable. Threads, executors and greenlets do not inherit it: hand them the operation.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from operator import length_hint
from typing import TYPE_CHECKING, TypeVar

from tidings.once import is_first

if TYPE_CHECKING:
    from tidings.operation import Operation

T = TypeVar("T")
logger = logging.getLogger(__name__)
_current: ContextVar["Operation | None"] = ContextVar("tidings_operation", default=None)


def current_operation() -> "Operation | None":
    """Return the operation that this context works for, or None outside any."""
    return _current.get()


def report_progress(current: float, total: float | None = None, message: str | None = None) -> None:
    """Say how far the current operation is (see Operation.progress)."""
    operation = _current.get()
    if operation is None:
        _say_nowhere("report_progress")
    else:
        operation.progress(current, total, message)


def report_status(status: str, details: object = None) -> None:
    """Say that the current operation enters a phase (see Operation.status)."""
    operation = _current.get()
    if operation is None:
        _say_nowhere("report_status")
    else:
        operation.status(status, details)


def report_warning(code: str, message: str, details: object = None) -> None:
    """Say that something went wrong while the current operation goes on (see Operation.warning)."""
    operation = _current.get()
    if operation is None:
        _say_nowhere("report_warning")
    else:
        operation.warning(code, message, details)


@contextmanager
def step(name: str, weight: float | None = None) -> Iterator[None]:
    """Do a part of the current operation's work, *weight* (0 to 1) of it (see Operation.step)."""
    operation = _current.get()
    if operation is None:
        _say_nowhere("step")
        yield
    else:
        with operation.step(name, weight):
            yield


def check_cancelled() -> None:
    """Raise Cancelled if somebody asked for the current operation to be cancelled (see Operation)."""
    operation = _current.get()
    if operation is None:
        _say_nowhere("check_cancelled")
    else:
        operation.check_cancelled()


def track(
    items: Iterable[T],
    total: float | None = None,
    message: str | None = None,
    *,
    operation: "Operation | None" = None,
) -> Iterator[T]:
    """Yield *items* and report how many are done, out of *total* (default: their length, if they have one).

    An item counts as done when the next one is asked for. Where the operation is to be cancelled, Cancelled
    is raised in the place of the next one.
    """
    if total is None:
        length = length_hint(items, -1)
        total = length if length >= 0 else None
    report = operation.progress if operation is not None else report_progress
    report(0, total, message)
    for done, item in enumerate(items, start=1):
        worked_for = operation or _current.get()
        if worked_for is not None:
            worked_for.check_cancelled()
        yield item
        report(done, total, message)


def activate(operation: "Operation") -> "Token[Operation | None]":
    """Make *operation* the current one of this context; hand the token to `deactivate`."""
    return _current.set(operation)


def deactivate(token: "Token[Operation | None]") -> None:
    """Make the operation current again that was so before `activate`."""
    _current.reset(token)


def _say_nowhere(function: str) -> None:
    if is_first(function, "outside"):
        logger.warning(
            "%s was called outside any operation and reports nothing (said once per process): "
            "threads and greenlets need the Operation itself",
            function,
        )
