"""What a task's message says: whose operation it is, which attempt comes with it, and when it comes again.

Beside the first stage of the flow for Celery projects: takes a task's id, name and header, gives the
descriptor of its operation, the same from every process that sees the message. Of the app it asks only for
what a task's class says and how the broker redelivers. It says nothing to anybody.
"""

import hashlib
import math
from typing import Any

from celery import Task, current_app

from tidings.celery_canvas import AFTER, HEADER, PLACE, USE, place_of, said_in
from tidings.celery_process import hidden
from tidings.descriptor import Descriptor
from tidings.errors import InvalidValue
from tidings.placement import Placement
from tidings.topics import check_identifier
from tidings.values import is_text


def is_hidden(name: str, header: object) -> bool:
    """Tell whether a task is shown to nobody. One that a workflow counts on is shown all the same."""
    return name in hidden and PLACE not in said_in({HEADER: header})


def attempts_before(header: object) -> int:
    """Give how many attempts the task had before its place was taken by the one with this header."""
    attempts = said_in({HEADER: header}).get(AFTER)
    return attempts if isinstance(attempts, int) else 0


def descriptor_of(task_id: str, name: str, header: object) -> Descriptor:
    """Describe a task's operation: kind, owner and place from its message, else from the task itself."""
    said = said_in({HEADER: header})
    kind = said.get("kind") or getattr(current_app.tasks.get(name), "tidings_kind", None) or "task"
    operation_id, place = operation_id_of(task_id), place_of(task_id, said)
    owner, use = said.get("owner"), said.get(USE)
    return Descriptor.of(
        operation_id,
        kind,
        name=said.get("name") or name,
        owner=owner if is_text(owner) else None,
        workflow=place.workflow if place else None,
        parent=_parent(operation_id, place),
        placement=place,
        use=use if is_text(use) else None,
    )


def _parent(operation_id: str, place: Placement | None) -> str | None:
    """Name what is just above an operation: the task that it replaces a part of, or the workflow."""
    if place is None:
        return None
    hosts = [operation_id_of(host.place.partition("~")[0]) for host in place.hosts]
    return next((host for host in hosts if host != operation_id), place.workflow)


def operation_id_of(task_id: str) -> str:
    """Return the task's id if it can name an operation, else a digest of it: callers choose ids freely."""
    try:
        return check_identifier("id", task_id)
    except InvalidValue:
        return f"task_{digest(task_id)[:32]}"


def digest(text: str) -> str:
    """Return 64 hexadecimal digits, the same for the same text in every process."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def redelivery_s_of(task: Task[Any, Any]) -> int:
    """Say within how long the broker delivers the task again if its worker is lost; 0: it does not."""
    return window_s() if task.acks_late and not task.request.is_eager else 0


def window_s() -> int:
    """Give the broker's visibility timeout, and how seldom what passed it is looked for.

    Source: kombu 5.7, transport/redis.py; defaults as there. Brokers that redeliver at once are within it.
    """
    options: dict[str, float] = current_app.conf.broker_transport_options
    sweep_s = options.get("unacked_restore_interval", 10) * options.get("unacked_restore_throttle", 10)
    return math.ceil(options.get("visibility_timeout", 3_600) + sweep_s)
