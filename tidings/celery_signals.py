"""Celery's signals, each with what it makes an operation say.

First stage of the flow for Celery projects: takes what Celery tells about tasks, gives
queued → running → succeeded | failed | cancelled and exactly one terminal event to the
reporter. The authority on an end is ``task_postrun`` in the process that ran the task
(`tidings.celery_ends`); what never gets there is told by the worker's parent
(`tidings.celery_outside`). Which signal fires where was traced in CELERY.md. It connects nothing itself.
"""

import math
import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

from celery import Task, current_app, signals

from tidings.celery_canvas import AFTER, HEADER, PLACE, USE, said_in, use_of_id
from tidings.celery_ends import TaskCancelled, on_end
from tidings.celery_messages import attempts_before, descriptor_of, is_hidden, redelivery_s_of, window_s
from tidings.celery_methods import gate
from tidings.celery_outside import lose, on_failure, on_revoked, on_unknown
from tidings.celery_process import Running, forking, running_by_id, say
from tidings.current import track
from tidings.events import QUEUED, RETRYING, Status
from tidings.operation import Operation
from tidings.process import FLUSH_S, this_process
from tidings.record import ATTEMPT, NEW, Record

_MAPS: Final = frozenset({"celery.map", "celery.starmap"})


def _before_publish(headers: MutableMapping[str, Any] | None = None, **_: Any) -> None:
    """Say which use of its id a message is; have what takes a running task's place know whose it is.

    `replace` keeps the id, but no header.
    """
    if headers is None or headers.get("retries"):
        return
    said = dict(said_in(headers))
    stack = running_by_id.get(headers.get("id", ""))
    if stack and HEADER not in headers:
        operation = stack[-1].operation
        about = operation.descriptor
        said = {"kind": about.kind, "owner": about.owner or None, AFTER: operation.attempt}
    headers[HEADER] = {USE: use_of_id(), **said}


def _on_publish(sender: str = "", headers: Mapping[str, Any] | None = None, **_: Any) -> None:
    headers = headers or {}
    said = said_in(headers)
    if is_hidden(sender, said) or not headers.get("id"):
        return
    attempts: int = headers.get("retries") or 0
    stack = running_by_id.get(headers["id"])
    if stack:  # the task itself
        stack[-1].successor = RETRYING if attempts else stack[-1].successor
        return
    descriptor = descriptor_of(headers["id"], sender, said)
    before = attempts_before(said)
    if before and not attempts and PLACE in said:  # a workflow does not end while it is on its way
        say([Record.of(descriptor, Status, condition=ATTEMPT, attempt=before, status=QUEUED)])
    elif not attempts:
        say([Record.of(descriptor, Status, condition=NEW, status=QUEUED)])
    else:
        # A worker's parent, by retry_on_worker_lost.
        delay_s: float = getattr(current_app.tasks.get(sender), "default_retry_delay", None) or 0
        lose(descriptor, before + attempts, math.ceil(delay_s) + window_s())


def _on_start(task_id: str, task: Task[Any, Any], kwargs: dict[str, Any] | None = None, **_: Any) -> None:
    header = getattr(task.request, HEADER, None)
    if is_hidden(task.name, header):
        return
    attempt = task.request.retries + 1 + attempts_before(header)
    operation = Operation.of(descriptor_of(task_id, task.name, header), attempt, redelivery_s_of(task))
    operation.cancelled_error = TaskCancelled
    running_by_id.setdefault(task_id, []).append(Running(operation.start(), len(task.request.chain or ())))
    if task.name in _MAPS and isinstance(kwargs, dict) and isinstance(kwargs.get("it"), list):
        kwargs["it"] = _Tracked(kwargs["it"])


class _Tracked(list[Any]):
    """The items of a map, whose progress is how many have been taken."""

    def __iter__(self) -> Iterator[Any]:
        return track(list(self[:]))


def _on_worker(sender: Any, **_: Any) -> None:
    """Have tasks that override ``before_start`` look as well: all are known, and none is traced yet."""
    for task in sender.app.tasks.values():
        gate(type(task))


def _on_fork(**_: Any) -> None:
    forking.clear()
    forking.add(os.getpid())


def _on_heartbeat(**_: Any) -> None:
    """Try again what Redis did not take, in a process that has no thread for it."""
    if os.getpid() in forking:
        this_process().threadless.put([])


def _on_shutdown(**_: Any) -> None:
    if os.getpid() in forking:
        this_process().threadless.close(FLUSH_S)
    this_process().reporter.close(FLUSH_S)


HANDLERS: Final = (
    (signals.before_task_publish, _before_publish),
    (signals.after_task_publish, _on_publish),
    (signals.task_prerun, _on_start),
    (signals.task_postrun, on_end),
    (signals.task_failure, on_failure),
    (signals.task_revoked, on_revoked),
    (signals.task_unknown, on_unknown),
    (signals.worker_init, _on_worker),
    (signals.worker_before_create_process, _on_fork),
    (signals.heartbeat_sent, _on_heartbeat),
    (signals.worker_process_shutdown, _on_shutdown),
    (signals.worker_shutdown, _on_shutdown),
)
