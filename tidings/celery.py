"""Celery's signals, turned into what operations say: one line makes a project visible.

First stage of the flow for Celery projects: takes what Celery tells about tasks, gives
queued → running → succeeded | failed | cancelled and exactly one terminal event to the
reporter. The authority on an end is ``task_postrun`` in the process that ran the task; what
never gets there (a lost child, a hard time limit, a revoked message) is told by the worker's
parent. Which signal fires where was traced in CELERY.md. It changes nothing in Celery, and only
listens where a task updates its state or is replaced; it keeps a task from beginning that was
cancelled while it waited, and stores REVOKED of one that met its cancelling.
"""

import hashlib
import logging
import math
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from functools import wraps
from inspect import isfunction
from typing import Any, Final, NamedTuple

from celery import Celery, Signature, Task, current_app, current_task, signals, states
from celery.exceptions import (
    Ignore,
    SoftTimeLimitExceeded,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from kombu.exceptions import OperationalError

from tidings import celery_canvas
from tidings.celery_canvas import AFTER, HEADER, PLACE, USE, place_of, said_in, use_of_id
from tidings.current import activate, deactivate, track
from tidings.descriptor import Descriptor
from tidings.errors import Cancelled, DispatchFailed, InvalidValue
from tidings.events import CANCELLED, FAILED, QUEUED, RETRYING, RUNNING, Status
from tidings.lost import WORKER_LOST, ending, lost_attempt
from tidings.operation import CANCELLED_MESSAGE, Operation, new_id
from tidings.placement import Placement
from tidings.process import FLUSH_S, configure, this_process
from tidings.record import ANY, ATTEMPT, NEW, Record
from tidings.settings import Settings
from tidings.topics import check_identifier

_HIDDEN: Final = frozenset({"celery.chord_unlock", "celery.backend_cleanup"})
"""What Celery does for itself. Not ``celery.accumulate``: it ends what a group replaced, under its id."""
WORKFLOW: Final = "workflow"
_MAPS: Final = frozenset({"celery.map", "celery.starmap"})
_SEND_RETRIES: Final = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1}


logger = logging.getLogger(__name__)


class TaskCancelled(Cancelled, Ignore):
    """`Cancelled` in a task: Celery retries it by no rule, and calls no errback."""


class Failed(NamedTuple):
    """What a task returns that has failed while its canvas goes on: its operation ends with this error."""

    code: str
    message: str
    details: dict[str, Any] | None = None


class _Running:
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


_running: dict[str, list[_Running]] = {}
"""The attempts that run in this process, by task id; a stack, because eager tasks nest."""
_hidden: set[str] = set(_HIDDEN)
_gated: set[type] = set()
"""The classes of tasks whose ``before_start`` looks whether the task may begin."""
_forking: set[int] = set()
"""The id of this process if it is a prefork worker's parent; its children inherit it, and are not."""
LOST: Final = "The worker process that ran the task was lost."


def install(app: Celery, settings: Settings | None = None, *, ignore: Collection[str] = ()) -> None:
    """Show every task of *app* as an operation, except those whose names are in *ignore*.

    Reads the environment unless given *settings*. Connects to Redis when the first task is
    published or run. Celery's signals know no app: with several apps in one process, all
    their tasks are shown. Raises: SettingsError.
    """
    configure(settings or Settings.from_env(os.environ))
    _hidden.update(ignore)
    celery_canvas.install(_operation_id, _current)
    for signal, handler in _HANDLERS:
        signal.connect(handler, weak=False, dispatch_uid=f"tidings.{handler.__name__}")
    _listen_to_tasks()
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
) -> Descriptor:
    """Announce an operation, then send the *task* that does it; return what was announced, ``queued``.

    Waits for Redis and the broker, some seconds at most. Either the operation is queued and
    the task sent, or an error is raised and nothing will run. *goes_on*: the operation of that *id* is there
    and nobody runs it; if its task cannot be sent it stays as it is, to be tried again.
    Raises: InvalidValue; LogUnavailable; DispatchFailed if the broker did not take the task.
    """
    process = this_process()
    operation_id = new_id() if id is None else id
    use = _digest(operation_id)[:8]  # the same for each that has this id: only one of them is announced
    descriptor = Descriptor.of(operation_id, kind, name=task, owner=owner, use=use)
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
    current = _current()
    if current is None:
        raise RuntimeError("become() was called outside any task")
    running = _running[current[0]][-1]
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


def _before_publish(headers: MutableMapping[str, Any] | None = None, **_: Any) -> None:
    """Say which use of its id a message is; have what takes a running task's place know whose it is.

    `replace` keeps the id, but no header.
    """
    if headers is None or headers.get("retries"):
        return
    said = dict(said_in(headers))
    stack = _running.get(headers.get("id", ""))
    if stack and HEADER not in headers:
        operation = stack[-1].operation
        about = operation.descriptor
        said = {"kind": about.kind, "owner": about.owner or None, AFTER: operation.attempt}
    headers[HEADER] = {USE: use_of_id(), **said}


def _on_publish(sender: str = "", headers: Mapping[str, Any] | None = None, **_: Any) -> None:
    headers = headers or {}
    said = said_in(headers)
    if _is_hidden(sender, said) or not headers.get("id"):
        return
    attempts: int = headers.get("retries") or 0
    stack = _running.get(headers["id"])
    if stack:  # the task itself
        stack[-1].successor = RETRYING if attempts else stack[-1].successor
        return
    descriptor = _descriptor(headers["id"], sender, said)
    before = _attempts_before(said)
    if before and not attempts and PLACE in said:  # a workflow does not end while it is on its way
        _say([Record.of(descriptor, Status, condition=ATTEMPT, attempt=before, status=QUEUED)])
    elif not attempts:
        _say([Record.of(descriptor, Status, condition=NEW, status=QUEUED)])
    else:
        # A worker's parent, by retry_on_worker_lost.
        delay_s: float = getattr(current_app.tasks.get(sender), "default_retry_delay", None) or 0
        _lose(descriptor, before + attempts, math.ceil(delay_s) + _window_s())


def _on_start(task_id: str, task: Task[Any, Any], kwargs: dict[str, Any] | None = None, **_: Any) -> None:
    header = getattr(task.request, HEADER, None)
    if _is_hidden(task.name, header):
        return
    attempt = task.request.retries + 1 + _attempts_before(header)
    operation = Operation.of(_descriptor(task_id, task.name, header), attempt, _redelivery_s(task))
    operation.cancelled_error = TaskCancelled
    _running.setdefault(task_id, []).append(_Running(operation.start(), len(task.request.chain or ())))
    if task.name in _MAPS and isinstance(kwargs, dict) and isinstance(kwargs.get("it"), list):
        kwargs["it"] = _Tracked(kwargs["it"])


def _on_before_start(task: Task[Any, Any], task_id: str, *_: object, **__: object) -> None:
    """Stop a task whose operation was cancelled before it began. Raises: TaskCancelled."""
    stack = _running.get(task_id)
    if stack and not task.request.is_eager:
        operation = stack[-1].operation
        if this_process().gate.is_closed(operation.descriptor):
            raise TaskCancelled(operation.id)


def _on_replace(task: Task[Any, Any], *_: object, **__: object) -> None:
    """Hear that another task, or the last of a canvas, is about to get the id of this one."""
    stack = _running.get(task.request.id or "")
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
    stack = _running.get(task_id or task.request.id or "")
    if not stack:
        return
    stack[-1].state = state, meta
    match meta:
        case {"current": int() | float() as current, **more} if state not in states.ALL_STATES:
            texts = (more.get(name) for name in ("message", "status", "description"))
            message = next((text for text in texts if isinstance(text, str) and text), None)
            stack[-1].operation.progress(current, _number(more.get("total")), message)


def _on_end(task_id: str, task: Task[Any, Any], retval: Any, state: str | None, **_: Any) -> None:
    stack = _running.get(task_id)
    if not stack:
        return
    running = stack.pop()
    operation = running.operation
    if not stack:
        del _running[task_id]
    deactivate(running.token)
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
            operation.error(*_failure(retval))


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
    running: _Running, task: Task[Any, Any], retval: Any, state: str | None
) -> tuple[str, str] | None:
    """Give the status that the attempt leaves its operation in, and why, if it is not the last one."""
    if state == states.RETRY:
        return RETRYING, str(retval)
    if state == states.SUCCESS and running.successor == RUNNING:
        return RUNNING, "sent"
    if running.successor == RETRYING:
        return RETRYING, "superseded"  # whatever this attempt came to: it has no say any more
    if state == states.IGNORED and running.successor:
        return running.successor, "replaced"
    if state == states.REJECTED and retval.requeue and _redelivery_s(task):
        return RETRYING, "rejected"
    return None


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
            said = meta.get("exc_message") if isinstance(meta, Mapping) else meta
            code = FAILED if state == states.FAILURE else CANCELLED
            operation.error(code, str(said or "The task ended itself."))
        case states.SUCCESS:
            operation.complete(meta, cuts=True)
        case _:
            operation.complete({"ignored": True}, cuts=True)


def _end_unknown(operation: Operation, error: BaseException | None) -> None:
    """End a task of which Celery has no state: what it raised passes by Celery, and may end its process."""
    if isinstance(error, Exception):  # an eager task's, on its way to the caller
        operation.error(*_failure(error))
    else:  # its process is being ended, or it ended its thread: who knows how says so, or the lease
        operation.abandon()


def _on_failure(task_id: str | None, exception: BaseException, sender: Any = None, **_: Any) -> None:
    """Hear of an end that the task's own process could not tell: a lost child, a hard time limit."""
    if (
        task_id is None
        or task_id in _running
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
        attempt = request.retries + 1 + _attempts_before(header)
    _end_from_outside(task_id, getattr(sender, "name", ""), header, _failure(exception), attempt=attempt)


def _on_revoked(request: Any, expired: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002 - Celery's signature
    name: str = getattr(request, "task_name", "") or getattr(request, "task", "")
    header = getattr(request, HEADER, None)
    if expired:
        _end_from_outside(request.id, name, header, ("expired", "The task expired before it could run."))
    else:
        _end_from_outside(request.id, name, header, (CANCELLED, "The task was revoked."))


def _on_unknown(name: str, id: str, message: Any = None, **_: Any) -> None:  # noqa: A002 - Celery's signature
    header = (getattr(message, "headers", None) or {}).get(HEADER)
    _end_from_outside(id, name, header, ("unknown_task", f"No worker knows the task {name}."))


def _on_worker(sender: Any, **_: Any) -> None:
    """Have tasks that override ``before_start`` look as well: all are known, and none is traced yet."""
    for task in sender.app.tasks.values():
        _gate(type(task))


def _on_fork(**_: Any) -> None:
    _forking.clear()
    _forking.add(os.getpid())


def _on_heartbeat(**_: Any) -> None:
    """Try again what Redis did not take, in a process that has no thread for it."""
    if os.getpid() in _forking:
        this_process().threadless.put([])


def _on_shutdown(**_: Any) -> None:
    if os.getpid() in _forking:
        this_process().threadless.close(FLUSH_S)
    this_process().reporter.close(FLUSH_S)


_HANDLERS: Final = (
    (signals.before_task_publish, _before_publish),
    (signals.after_task_publish, _on_publish),
    (signals.task_prerun, _on_start),
    (signals.task_postrun, _on_end),
    (signals.task_failure, _on_failure),
    (signals.task_revoked, _on_revoked),
    (signals.task_unknown, _on_unknown),
    (signals.worker_init, _on_worker),
    (signals.worker_before_create_process, _on_fork),
    (signals.heartbeat_sent, _on_heartbeat),
    (signals.worker_process_shutdown, _on_shutdown),
    (signals.worker_shutdown, _on_shutdown),
)


def _say(records: Sequence[Record]) -> None:
    """Say what no attempt in this process says, without a thread where this process forks."""
    process = this_process()
    (process.threadless if os.getpid() in _forking else process.reporter).put(records)


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
    if _is_hidden(name, header):
        return
    descriptor = _descriptor(task_id, name, header)
    announced = Record.of(descriptor, Status, condition=NEW, status=QUEUED)
    condition = ANY if attempt is None else ATTEMPT
    _say([announced, *ending(descriptor, *end, condition=condition, attempt=attempt or 1)])


def _lose(descriptor: Descriptor, attempt: int, redelivery_s: int) -> None:
    """Say from outside that an attempt was lost, and that its message has been sent again."""
    _say(lost_attempt(descriptor, LOST, condition=ATTEMPT, attempt=attempt, redelivery_s=redelivery_s))


def _listen_to_tasks() -> None:
    """Hear of what tasks do that has no signal, once however often Tidings is installed."""
    _gate(Task)
    if hasattr(Task.update_state, "__wrapped__"):
        return
    Task.update_state = _told(Task.update_state, _on_state)  # type: ignore[method-assign]
    Task.on_replace = _told(Task.on_replace, _on_replace)  # type: ignore[method-assign]


def _gate(task_class: type) -> None:
    """Have ``before_start`` look first, wherever it is defined for this class of tasks."""
    for owner in task_class.mro():
        method = vars(owner).get("before_start")
        if owner not in _gated and isfunction(method):
            gated = _told(method, _on_before_start)
            # Else Celery takes Task's own for one that does nothing, and skips it.
            gated.__module__ = __name__
            owner.before_start = gated  # type: ignore[attr-defined]
            _gated.add(owner)


def _told(method: Any, hear: Callable[..., None]) -> Any:
    """Give a *method* of tasks that first has *hear* know with what it was called."""

    @wraps(method)
    def heard(task: Task[Any, Any], *args: Any, **kwargs: Any) -> Any:
        hear(task, *args, **kwargs)
        return method(task, *args, **kwargs)

    return heard


def _redelivery_s(task: Task[Any, Any]) -> int:
    """Say within how long the broker delivers the task again if its worker is lost; 0: it does not."""
    return _window_s() if task.acks_late and not task.request.is_eager else 0


def _window_s() -> int:
    """Give the broker's visibility timeout, and how seldom what passed it is looked for.

    Source: kombu 5.7, transport/redis.py; defaults as there. Brokers that redeliver at once are within it.
    """
    options: dict[str, float] = current_app.conf.broker_transport_options
    sweep_s = options.get("unacked_restore_interval", 10) * options.get("unacked_restore_throttle", 10)
    return math.ceil(options.get("visibility_timeout", 3_600) + sweep_s)


def _failure(exception: object) -> tuple[str, str, dict[str, str]]:
    """Say an exception as code, message and details; a traceback is for the worker's own log."""
    name = type(exception).__name__
    match exception:
        case SoftTimeLimitExceeded() | TimeLimitExceeded():
            code, message = "timeout", "The task took longer than its time limit."
        case WorkerLostError():
            code, message = WORKER_LOST, LOST
        case _:
            code, message = FAILED, str(exception) or name
    return code, message, {"exception": name}


def _is_hidden(name: str, header: object) -> bool:
    """Tell whether a task is shown to nobody. One that a workflow counts on is shown all the same."""
    return name in _hidden and PLACE not in said_in({HEADER: header})


def _current() -> tuple[str, Operation] | None:
    """Give the task whose code publishes something, and its operation."""
    request = getattr(current_task, "request", None)
    stack = _running.get(getattr(request, "id", None) or "")
    return (request.id, stack[-1].operation) if request is not None and stack else None


class _Tracked(list[Any]):
    """The items of a map, whose progress is how many have been taken."""

    def __iter__(self) -> Iterator[Any]:
        return track(list(self[:]))


def _attempts_before(header: object) -> int:
    """Give how many attempts the task had before its place was taken by the one with this header."""
    attempts = said_in({HEADER: header}).get(AFTER)
    return attempts if isinstance(attempts, int) else 0


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def _descriptor(task_id: str, name: str, header: object) -> Descriptor:
    """Describe a task's operation: kind, owner and place from its message, else from the task itself."""
    said = said_in({HEADER: header})
    kind = said.get("kind") or getattr(current_app.tasks.get(name), "tidings_kind", None) or "task"
    operation_id, place = _operation_id(task_id), place_of(task_id, said)
    return Descriptor.of(
        operation_id,
        kind,
        name=said.get("name") or name,
        owner=said.get("owner"),
        workflow=place.workflow if place else None,
        parent=_parent(operation_id, place),
        placement=place,
        use=said.get(USE),
    )


def _parent(operation_id: str, place: Placement | None) -> str | None:
    """Name what is just above an operation: the task that it replaces a part of, or the workflow."""
    if place is None:
        return None
    hosts = [_operation_id(host.place.partition("~")[0]) for host in place.hosts]
    return next((host for host in hosts if host != operation_id), place.workflow)


def _operation_id(task_id: str) -> str:
    """Return the task's id if it can name an operation, else a digest of it: callers choose ids freely."""
    try:
        return check_identifier("id", task_id)
    except InvalidValue:
        return f"task_{_digest(task_id)[:32]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
