"""The methods of tasks that are heard, because no signal tells of them: a state, a replacement, a beginning.

First stage of the flow for Celery projects, beside `tidings.celery_signals`: takes calls of ``update_state``,
``on_replace`` and ``before_start``, gives progress, what is to follow, and the gate's answer. Each method is
wrapped once in a process, and still does what it did; only a task that was cancelled while it waited does
not begin.
"""

from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Any

from celery import Task, states

from tidings.celery_ends import TaskCancelled
from tidings.celery_process import gated_classes, running_by_id
from tidings.events import QUEUED
from tidings.process import this_process


def listen_to_tasks() -> None:
    """Hear of what tasks do that has no signal, once however often Tidings is installed."""
    gate(Task)
    if hasattr(Task.update_state, "__wrapped__"):
        return
    Task.update_state = _told(Task.update_state, _on_state)  # type: ignore[method-assign]
    Task.on_replace = _told(Task.on_replace, _on_replace)  # type: ignore[method-assign]


def gate(task_class: type) -> None:
    """Have ``before_start`` look first, wherever it is defined for this class of tasks."""
    for owner in task_class.mro():
        method = vars(owner).get("before_start")
        if owner not in gated_classes and isfunction(method):
            gated = _told(method, _on_before_start)
            # Else Celery takes Task's own for one that does nothing, and skips it.
            gated.__module__ = __name__
            owner.before_start = gated  # type: ignore[attr-defined]
            gated_classes.add(owner)


def _told(method: Any, hear: Callable[..., None]) -> Any:
    """Give a *method* of tasks that first has *hear* know with what it was called."""

    @wraps(method)
    def heard(task: Task[Any, Any], *args: Any, **kwargs: Any) -> Any:
        hear(task, *args, **kwargs)
        return method(task, *args, **kwargs)

    return heard


def _on_before_start(task: Task[Any, Any], task_id: str, *_: object, **__: object) -> None:
    """Stop a task whose operation was cancelled before it began. Raises: TaskCancelled."""
    stack = running_by_id.get(task_id)
    if stack and not task.request.is_eager:
        operation = stack[-1].operation
        if this_process().gate.is_closed(operation.descriptor):
            raise TaskCancelled(operation.id)


def _on_replace(task: Task[Any, Any], *_: object, **__: object) -> None:
    """Hear that another task, or the last of a canvas, is about to get the id of this one."""
    stack = running_by_id.get(task.request.id or "")
    if stack and not task.request.is_eager:
        stack[-1].successor = QUEUED


def _on_state(
    task: Task[Any, Any],
    task_id: str | None = None,
    state: str | None = None,
    meta: object = None,
    **_: object,
) -> None:
    """Hear what a task says of itself in Celery's own way: ``current`` and ``total`` are progress."""
    stack = running_by_id.get(task_id or task.request.id or "")
    if not stack:
        return
    stack[-1].state = state, meta
    match meta:
        case {"current": int() | float() as current, **more} if state not in states.ALL_STATES:
            texts = (more.get(name) for name in ("message", "status", "description"))
            message = next((text for text in texts if isinstance(text, str) and text), None)
            stack[-1].operation.progress(current, _number(more.get("total")), message)


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None
