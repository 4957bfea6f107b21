"""What one process of Celery has once: the attempts that run in it, and whether it is one that forks.

Beside the first stage of the flow for Celery projects: takes an attempt from where it begins to where it
ends, gives it to whatever hears of its task by id. All that signals and methods of tasks keep from one call
to the next is here, each in one object; a prefork child inherits it. It does not say what an end means.
"""

import os
from collections.abc import Sequence
from typing import Final

from celery import current_task

from tidings.current import activate
from tidings.operation import Operation
from tidings.process import this_process
from tidings.record import Record

_HIDDEN: Final = frozenset({"celery.chord_unlock", "celery.backend_cleanup"})
"""What Celery does for itself. Not ``celery.accumulate``: it ends what a group replaced, under its id."""


class Running:
    """One attempt that runs in this process, and what Celery was told of it on the way."""

    __slots__ = ("following", "operation", "state", "successor", "token")

    def __init__(self, operation: Operation, following: int) -> None:
        self.operation = operation
        self.following = following
        """How many steps of a chain its message brought along."""
        self.token = activate(operation)
        self.successor = ""
        """What it leaves its operation in, once it has sent a message that takes its place."""
        self.state: tuple[str | None, object] = (None, None)
        """The state that the task gave itself last, with its meta."""


running_by_id: dict[str, list[Running]] = {}
"""The attempts that run in this process, by task id; a stack, because eager tasks nest."""
hidden: set[str] = set(_HIDDEN)
gated_classes: set[type] = set()
"""The classes of tasks whose ``before_start`` looks whether the task may begin."""
forking: set[int] = set()
"""The id of this process if it is a prefork worker's parent; its children inherit it, and are not."""


def running_task() -> tuple[str, Operation] | None:
    """Give the task whose code publishes something, and its operation."""
    request = getattr(current_task, "request", None)
    stack = running_by_id.get(getattr(request, "id", None) or "")
    return (request.id, stack[-1].operation) if request is not None and stack else None


def say(records: Sequence[Record]) -> None:
    """Say what no attempt in this process says, without a thread where this process forks."""
    process = this_process()
    (process.threadless if os.getpid() in forking else process.reporter).put(records)
