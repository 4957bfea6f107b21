"""What the end of an attempt means: which terminal event it is, or which status it leaves.

First stage of the flow for Celery projects, in the process that ran the task: takes the state and the
value that Celery has at ``task_postrun``, and what the task said of itself before; gives exactly one terminal
event, or leaves the operation to what follows. It changes nothing that Celery stores, but for REVOKED of a
task that met its cancelling.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from celery import Task, states
from celery.exceptions import (
    Ignore,
    SoftTimeLimitExceeded,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)

from tidings.celery_messages import redelivery_s_of
from tidings.celery_process import Running, running_by_id
from tidings.current import deactivate
from tidings.errors import Cancelled
from tidings.events import CANCELLED, FAILED, RETRYING, RUNNING
from tidings.failure import said_by, told_of
from tidings.lost import WORKER_LOST
from tidings.operation import CANCELLED_MESSAGE, Operation
from tidings.process import shown_exceptions, this_process

END_S: Final = 1.0
"""How long a task that acknowledges late waits for the log: else a process that is killed behind its
acknowledgement takes the end along, and nobody delivers it again. A look at a busy machine; 1 ms is usual."""
LOST: Final = "The worker process that ran the task was lost."


class TaskCancelled(Cancelled, Ignore):
    """`Cancelled` in a task: Celery retries it by no rule, and calls no errback."""


class Failed(NamedTuple):
    """What a task returns that has failed while its canvas goes on: its operation ends with this error."""

    code: str
    message: str
    details: dict[str, Any] | None = None


def on_end(task_id: str, task: Task[Any, Any], retval: Any, state: str | None, **_: Any) -> None:
    """Say what an attempt came to in this process, once Celery is done with it.

    Blocks only where the message is acknowledged behind it: until the log has its end, for at most `END_S`.
    """
    stack = running_by_id.get(task_id)
    if not stack:
        return
    running = stack.pop()
    if not stack:
        del running_by_id[task_id]
    deactivate(running.token)
    _say_end(running, task_id, task, retval, state)
    if redelivery_s_of(task):
        this_process().reporter.settle(END_S)


def _say_end(running: Running, task_id: str, task: Task[Any, Any], retval: Any, state: str | None) -> None:
    operation = running.operation
    follows = _what_follows(running, task, retval, state)
    if follows is not None:
        status, reason = follows
        operation.leave(status, {"reason": reason})
        return
    if operation.is_over:  # its own code has said how it ended
        return
    match state:
        case "SUCCESS":
            _end_well(operation, retval, cuts=running.following > 0 and task.request.chain is None)
        case "IGNORED" if isinstance(retval, Cancelled):
            operation.error(CANCELLED, CANCELLED_MESSAGE)
            _store_revoked(task, task_id)
        case "IGNORED":
            _end_ignored(operation, *running.state)
        case "REJECTED":
            operation.error("rejected", "The worker rejected the task.")
        case None:
            _end_unknown(operation, sys.exc_info()[1])
        case _:
            operation.error(*failure(retval))


def _store_revoked(task: Task[Any, Any], task_id: str) -> None:
    """Store what Celery has for a cancelled task, for it and what was to follow: nobody's ``get`` hangs."""
    task.backend.mark_as_failure(
        task_id,
        TaskRevokedError("cancelled"),
        request=task.request,
        store_result=not (task.ignore_result or task.request.ignore_result or task.request.is_eager),
        call_errbacks=False,
        state=states.REVOKED,
    )


def _what_follows(
    running: Running, task: Task[Any, Any], retval: Any, state: str | None
) -> tuple[str, str] | None:
    """Give the status that the attempt leaves its operation in, and why, if it is not the last one."""
    if state == states.RETRY:
        return RETRYING, _why_again(retval)
    if state == states.SUCCESS and running.successor == RUNNING:
        return RUNNING, "sent"
    if running.successor == RETRYING:
        return RETRYING, "superseded"  # whatever this attempt came to: it has no say any more
    if state == states.IGNORED and running.successor:
        return running.successor, "replaced"
    if state == states.REJECTED and retval.requeue and redelivery_s_of(task):
        return RETRYING, "rejected"
    return None


def _why_again(retry: Any) -> str:
    """Say why Celery tries again: its own words repeat the exception's."""
    if not isinstance(retry.exc, BaseException):
        return "retry"
    return said_by(retry.exc, shown_exceptions(), type(retry.exc).__name__)


def _end_well(operation: Operation, retval: Any, *, cuts: bool) -> None:
    """End a task that returned: only to Celery, if it says that it failed."""
    if isinstance(retval, Failed):
        operation.error(*retval)
    else:
        operation.complete(retval, cuts=cuts)


def _end_ignored(operation: Operation, state: str | None, meta: object) -> None:
    """End a task that raised Ignore: as the end that it had stored itself, if it had."""
    match state:
        case states.FAILURE | states.REVOKED:
            code = FAILED if state == states.FAILURE else CANCELLED
            operation.error(code, _stored_words(meta) or "The task ended itself.")
        case states.SUCCESS:
            operation.complete(meta, cuts=True)
        case _:
            operation.complete({"ignored": True}, cuts=True)


def _stored_words(meta: object) -> str:
    """Give the words that a task stored with its end, if they may be told: often it is a traceback."""
    if shown_exceptions() == "name":
        return ""
    said = meta.get("exc_message") if isinstance(meta, Mapping) else meta
    return str(said or "")


def _end_unknown(operation: Operation, error: BaseException | None) -> None:
    """End a task of which Celery has no state: what it raised passes by Celery, and may end its process."""
    if isinstance(error, Exception):  # an eager task's, on its way to the caller
        operation.error(*failure(error))
    else:  # its process is being ended, or it ended its thread: who knows how says so, or the lease
        operation.abandon()


def failure(exception: BaseException) -> tuple[str, str, dict[str, Any]]:
    """Say an exception as code, message and details."""
    details = {"exception": type(exception).__name__}
    match exception:
        case SoftTimeLimitExceeded() | TimeLimitExceeded():
            return "timeout", "The task took longer than its time limit.", details
        case WorkerLostError():
            return WORKER_LOST, LOST, details
        case _:
            return told_of(exception, shown_exceptions())
