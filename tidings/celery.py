"""The Celery integration's public face: one line makes a project visible.

Before the first stage of the flow for Celery projects: takes an app, has Celery's signals heard
(`tidings.celery_signals`), and what tasks do that has no signal (`tidings.celery_methods`). It changes
nothing in Celery, and only listens where a task updates its state or is replaced; it keeps a task from
beginning that was cancelled while it waited, and stores REVOKED of one that met its cancelling. It also sends
tasks whose operations are announced first, and has workers drop what waits.
"""

import logging
import os
from collections.abc import Collection, Mapping
from typing import Any, Final

from celery import Celery, Signature
from kombu.exceptions import OperationalError

from tidings import celery_canvas
from tidings.celery_canvas import HEADER, USE
from tidings.celery_ends import Failed, TaskCancelled
from tidings.celery_messages import digest, operation_id_of
from tidings.celery_methods import listen_to_tasks
from tidings.celery_process import hidden, running_by_id, running_task
from tidings.celery_signals import HANDLERS
from tidings.descriptor import Descriptor
from tidings.errors import DispatchFailed, InvalidValue
from tidings.events import QUEUED, RUNNING, Status
from tidings.lost import ending
from tidings.operation import new_id
from tidings.process import configure, this_process
from tidings.record import ANY, NEW, Record
from tidings.settings import Settings
from tidings.tickets import NOBODY, Tickets

__all__ = ["Dispatched", "Failed", "TaskCancelled", "become", "dispatch", "install", "revoke"]

WORKFLOW: Final = "workflow"
_SEND_RETRIES: Final = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1}
logger = logging.getLogger(__name__)


class Dispatched(Descriptor, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What was dispatched."""

    def ticket(self) -> str:
        """Make a ticket that opens its stream, once and within 30 s, for who has no token. Waits for Redis.

        To be handed to who waits for it, as ``<eventsUrl>?ticket=…``. Raises: LogUnavailable.
        """
        return Tickets(this_process().log).issue(self.topics, self.owner or NOBODY)


def install(app: Celery, settings: Settings | None = None, *, ignore: Collection[str] = ()) -> None:
    """Show every task of *app* as an operation, except those whose names are in *ignore*.

    Reads the environment unless given *settings*. Connects to Redis when the first task is
    published or run. Celery's signals know no app: with several apps in one process, all
    their tasks are shown. Raises: SettingsError.
    """
    configure(settings or Settings.from_env(os.environ))
    hidden.update(ignore)
    celery_canvas.install(operation_id_of, running_task)
    for signal, handler in HANDLERS:
        signal.connect(handler, weak=False, dispatch_uid=f"tidings.{handler.__name__}")
    listen_to_tasks()
    app.finalize()


def dispatch(
    app: Celery,
    task: str,
    kwargs: Mapping[str, Any],
    *,
    kind: str,
    id: str | None = None,  # noqa: A002 - the word that authors use
    owner: str | None = None,
    queue: str | None = None,
    goes_on: bool = False,
) -> Dispatched:
    """Announce an operation, then send the *task* that does it; return what was announced, ``queued``.

    *owner*: whose it is; who has a token for that name may see and cancel it. The one given here stays.

    Waits for Redis and the broker, some seconds at most. Either the operation is queued and
    the task sent, or an error is raised and nothing will run. *goes_on*: the operation of that *id* is there
    and nobody runs it; if its task cannot be sent it stays as it is, to be tried again.
    Raises: InvalidValue; LogUnavailable; DispatchFailed if the broker did not take the task.
    """
    process = this_process()
    operation_id = new_id() if id is None else id
    use = digest(operation_id)[:8]  # the same for each that has this id: only one of them is announced
    descriptor = Dispatched.of(operation_id, kind, name=task, owner=owner, use=use)
    condition = ANY if goes_on else NEW
    outcome = process.writer.append(Record.of(descriptor, Status, condition=condition, status=QUEUED))
    if outcome.code in {"late", "over", "unknown"}:
        allowed = "of an operation that is not over" if goes_on else "unused"
        raise InvalidValue("id", allowed, descriptor.id)
    try:
        app.send_task(
            task,
            kwargs=dict(kwargs),
            task_id=descriptor.id,
            queue=queue,
            headers={HEADER: {"kind": kind, "owner": owner, USE: use}},
            ignore_result=True,  # the stream is the result channel
            retry=True,
            retry_policy=_SEND_RETRIES,
        )
    except (OperationalError, OSError) as error:
        if not goes_on:
            process.reporter.put(
                ending(descriptor, "not_started", "The task could not be sent.", condition=ANY)
            )
        raise DispatchFailed(f"the broker did not take the task: {error}") from error
    return descriptor


def become(canvas: Signature[Any], *, shows_all: bool = False) -> None:
    """Send *canvas*, and have the current task's operation be its workflow from now on.

    The operation, of kind ``workflow``, has the canvas' bar, and ends when all of its tasks have; the task
    that calls this should then return. *shows_all*: members of groups are steps, too, told to who watches it.
    Waits for the broker. Raises: RuntimeError outside a task; InvalidValue for another kind, and for a
    canvas that makes no bar, some of which may have been sent.
    """
    current = running_task()
    if current is None:
        raise RuntimeError("become() was called outside any task")
    running = running_by_id[current[0]][-1]
    kind = running.operation.descriptor.kind
    if kind != WORKFLOW:
        raise InvalidValue("kind", f"{WORKFLOW} of an operation that becomes one (tidings_kind)", kind)
    with celery_canvas.becoming(running.operation, shows_all=shows_all) as flow:
        canvas.apply_async()
    if not flow.tasks:
        raise InvalidValue("canvas", "a chain, group or chord of at least two tasks", canvas)
    running.successor = RUNNING


def revoke(app: Celery, task_ids: list[str]) -> None:
    """Have the workers that are up drop these tasks when their turn comes. Waits for the broker, for seconds.

    Never raises on the broker's account: a task that begins all the same hears of its cancelling itself.
    """
    try:
        app.control.revoke(task_ids)
    except (OperationalError, OSError) as error:
        logger.warning("%d tasks were not revoked: %s", len(task_ids), error)
