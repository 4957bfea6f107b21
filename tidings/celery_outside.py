"""Ends that the process that ran the task could not tell: a lost child, a hard time limit, a revoked message.

First stage of the flow for Celery projects, in a worker's parent: takes what Celery tells there of a task,
gives records about an operation that does not run here. The log refuses them where it is over or has gone
on. What nobody hears of, not even the parent, is for the lease.
"""

from typing import Any

from celery.exceptions import TimeLimitExceeded, WorkerLostError

from tidings.celery_canvas import HEADER
from tidings.celery_ends import LOST, failure
from tidings.celery_messages import attempts_before, descriptor_of, is_hidden
from tidings.celery_process import running_by_id, say
from tidings.descriptor import Descriptor
from tidings.events import CANCELLED, QUEUED, Status
from tidings.lost import ending, lost_attempt
from tidings.record import ANY, ATTEMPT, NEW, Record


def on_failure(task_id: str | None, exception: BaseException, sender: Any = None, **_: Any) -> None:
    """Hear of an end that the task's own process could not tell: a lost child, a hard time limit."""
    if (
        task_id is None
        or task_id in running_by_id
        or not isinstance(exception, WorkerLostError | TimeLimitExceeded)
    ):
        return
    if isinstance(exception, TimeLimitExceeded) and sender.acks_late and not sender.acks_on_timeout:
        return  # delivered again at once: the next attempt says so, else the lease
    header = None
    attempt = None
    request = getattr(sender, "request", None)
    if request is not None and request.id == task_id:
        header = getattr(request, HEADER, None)
        attempt = request.retries + 1 + attempts_before(header)
    _end_from_outside(task_id, getattr(sender, "name", ""), header, failure(exception), attempt=attempt)


def on_revoked(request: Any, expired: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002 - Celery's signature
    """Hear that a worker has dropped a message, or ended its task, because it was revoked or has expired."""
    name: str = getattr(request, "task_name", "") or getattr(request, "task", "")
    header = getattr(request, HEADER, None)
    if expired:
        _end_from_outside(request.id, name, header, ("expired", "The task expired before it could run."))
    else:
        _end_from_outside(request.id, name, header, (CANCELLED, "The task was revoked."))


def on_unknown(name: str, id: str, message: Any = None, **_: Any) -> None:  # noqa: A002 - Celery's signature
    """Hear of a message whose task the worker does not know."""
    header = (getattr(message, "headers", None) or {}).get(HEADER)
    _end_from_outside(id, name, header, ("unknown_task", f"No worker knows the task {name}."))


def _end_from_outside(
    task_id: str,
    name: str,
    header: object,
    end: tuple[str, str] | tuple[str, str, object],
    *,
    attempt: int | None = None,
) -> None:
    """End an operation that does not run in this process, and may have been announced by nobody.

    Refused by the log if it is over, or has gone on to another attempt than *attempt*.
    """
    if is_hidden(name, header):
        return
    descriptor = descriptor_of(task_id, name, header)
    announced = Record.of(descriptor, Status, condition=NEW, status=QUEUED)
    condition = ANY if attempt is None else ATTEMPT
    say([announced, *ending(descriptor, *end, condition=condition, attempt=attempt or 1)])


def lose(descriptor: Descriptor, attempt: int, redelivery_s: int) -> None:
    """Say from outside that an attempt was lost, and that its message has been sent again."""
    say(lost_attempt(descriptor, LOST, condition=ATTEMPT, attempt=attempt, redelivery_s=redelivery_s))
