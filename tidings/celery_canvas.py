"""A canvas that Celery is about to send, made one workflow: each of its messages gets its place.

First stage of the flow for Celery projects, beside `tidings.celery_signals`: takes what is published, writes
a placement into the header of every task in it, also of those that workers will send, and announces the
workflow. The objects of whoever publishes stay as they are. It wraps ``group._apply_tasks``, which is
private, and ``Task.on_replace``; where they are not as expected, tasks are operations of their own, and one
warning says so (CELERY.md, 2).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import chain, islice
from typing import Any, Final, NamedTuple
from uuid import uuid4

from celery import Task, signals
from celery.backends.base import Backend
from celery.canvas import group
from msgspec.structs import replace

from tidings import canvas
from tidings.descriptor import Descriptor
from tidings.errors import InvalidValue
from tidings.events import FAILED, RUNNING, Status
from tidings.failure import said_by
from tidings.once import is_first
from tidings.operation import Operation
from tidings.placement import Placement, grafted, planted
from tidings.process import shown_exceptions, this_process
from tidings.record import NEW, Record
from tidings.values import is_text
from tidings.workflow import Branch, Leaf, Part

HEADER: Final = "tidings"
"""The message header that carries an operation's kind and place; it survives retries."""
PLACE: Final = "in"
"""In that header: the placement."""
AFTER: Final = "attempts"
"""In that header: how many attempts the operation had before its task was replaced."""
USE: Final = "use"
"""In that header: which use of its task's id a message is. Retries and deliveries of it have the same."""
_APPLY: Final = "_apply_tasks"
_CANVASES: Final = frozenset({"celery.chain", "celery.group", "celery.chord"})
_PARTS: Final = 3  # of a body of protocol 2

logger = logging.getLogger(__name__)


class Replaced(NamedTuple):
    """The task that is being replaced: its operation, and how often it was replaced before."""

    task_id: str
    nesting: int
    operation: Operation
    header: Mapping[str, Any]


class Becoming:
    """The operation that is to be the workflow of the next canvas that is sent."""

    __slots__ = ("operation", "shows_all", "tasks")

    def __init__(self, operation: Operation, *, shows_all: bool) -> None:
        self.operation = operation
        self.shows_all = shows_all
        """Whether members of groups are shown as its steps, too."""
        self.tasks = 0
        """How many tasks have their place in it."""


_replaced: ContextVar[Replaced | None] = ContextVar("tidings_replaced", default=None)
_headers: ContextVar[Mapping[str, Mapping[str, Any]] | None] = ContextVar("tidings_headers", default=None)
"""What the messages of the canvas that is being sent have to say, by task id."""
_becoming: ContextVar["Becoming | None"] = ContextVar("tidings_becoming", default=None)


def install(identify: Callable[[str], str], running: Callable[[], tuple[str, Operation] | None]) -> None:
    """Place what is published from here on. Celery is changed once per process.

    *identify* gives the operation of a task's id; *running* the task and operation of the caller.
    """
    _Wraps.identify, _Wraps.running = staticmethod(identify), staticmethod(running)
    signals.before_task_publish.connect(_on_send, weak=False, dispatch_uid="tidings._on_send")
    signals.after_task_publish.connect(_on_sent, weak=False, dispatch_uid="tidings._on_sent")
    if _Wraps.is_done:
        return
    _Wraps.is_done = True
    apply_tasks = getattr(group, _APPLY, None)
    if apply_tasks is None:
        logger.warning("this Celery sends groups in a way that is not known: their tasks have no common bar")
    else:
        setattr(group, _APPLY, _placing(apply_tasks))
    kind: Any = Task
    kind.on_replace = _replacing(kind.on_replace)


class _Wraps:
    """What was wrapped in this process, and what it needs to know of the task that runs."""

    is_done = False
    identify: Callable[[str], str]
    running: Callable[[], tuple[str, Operation] | None]


@contextmanager
def becoming(operation: Operation, *, shows_all: bool) -> Iterator[Becoming]:
    """Have the canvas that is sent inside be the workflow that *operation* is."""
    flow = Becoming(operation, shows_all=shows_all)
    token = _becoming.set(flow)
    try:
        yield flow
    finally:
        _becoming.reset(token)


def said_in(headers: object) -> Mapping[str, Any]:
    """Give what a message's headers, or a signature's, say to us."""
    said = headers.get(HEADER) if isinstance(headers, Mapping) else None
    return said if isinstance(said, Mapping) else {}


def use_of_id() -> str:
    """Give what tells apart what is sent now: one of its own, or that of the task that sends it.

    A task that is delivered again sends what it has sent before, under the same ids: this is the same use.
    """
    current = _Wraps.running()
    return (current[1].descriptor.use if current else None) or uuid4().hex[:8]


def place_of(task_id: str, said: Mapping[str, Any]) -> Placement | None:
    """Give the placement of a task in what its header *said*; None if it has none, or another task's."""
    placement = Placement.decode(said.get(PLACE))
    if placement is None or placement.place.partition("~")[0] != task_id.partition("~")[0]:
        return None
    return placement


def _replacing(on_replace: Callable[..., Any]) -> Callable[..., Any]:
    def replacing(self: Task[Any, Any], signature: Any) -> Any:
        current = _Wraps.running()
        if current is None or current[0] != self.request.id:
            return on_replace(self, signature)
        nesting = (self.request.get("replaced_task_nesting") or 0) + 1
        said = said_in({HEADER: getattr(self.request, HEADER, None)})
        token = _replaced.set(Replaced(self.request.id, nesting, current[1], said))
        try:
            return on_replace(self, signature)
        finally:
            _replaced.reset(token)

    return replacing


def _placing(apply_tasks: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def place(self: Any, tasks: Iterable[Any], *args: Any, **options: Any) -> Iterator[Any]:
        tasks = iter(tasks)
        frozen = list(islice(tasks, canvas.MAX_PARTS + 1))
        send = partial(apply_tasks, self, chain(frozen, tasks), *args, **options)
        if not frozen or _headers.get() or _is_placed(frozen[0][0]):
            yield from send()
            return
        yield from _send_group(frozen, (options.get("app") or self.app).backend, send)

    return place


def _send_group(
    frozen: list[tuple[Any, Any, str]], backend: Any, send: Callable[[], Iterator[Any]]
) -> Iterator[Any]:
    group_id, members = frozen[0][2], [signature for signature, _, _ in frozen]
    host = _replaced.get()
    plan = canvas.read_group(group_id, members, alone=host is None)
    if plan is not None and canvas.has_chord(plan) and _polls(backend):
        _say_separate("this result backend has chords polled for by a task")
        plan = None
    sent = None if plan is None else _headers_of(plan, group_id, members)
    if sent is None:
        yield from send()
        return
    headers, is_new = sent
    flow = _announced(group_id, members) if is_new else None
    token = _headers.set(headers)
    try:
        yield from send()
    except Exception as error:
        if flow is not None:
            flow.error(
                FAILED,
                f"Not all of it could be sent: {said_by(error, shown_exceptions(), type(error).__name__)}",
            )
        raise
    finally:
        _headers.reset(token)
        if flow is not None and not flow.is_over:
            flow.leave(RUNNING, {"published": len(headers)})


def _announced(group_id: str, members: list[Any]) -> Operation:
    """Announce a workflow that its publisher runs until all of it is sent."""
    owner = said_in(members[0].get("options", {}).get("headers")).get("owner")
    return Operation.of(_about(_Wraps.identify(group_id), owner), 1).start()


def _about(workflow: str, owner: object) -> Descriptor:
    current = None if _replaced.get() else _Wraps.running()
    parent = current[1].id if current else None
    return Descriptor.of(workflow, "workflow", parent=parent, owner=owner if is_text(owner) else None)


def _headers_of(plan: Part, name: str, known_in: object) -> tuple[dict[str, dict[str, Any]], bool] | None:
    """Say what each task of a *plan* is told, and whether they make a workflow of their own, *name*."""
    host = _replaced.get()
    placement = host.operation.descriptor.placement if host else None
    try:
        flow = _becoming.get()
        if flow is not None:
            placements, is_new = _planted_in(flow, plan), False
        elif host is None or not isinstance(placement, Placement):
            placements, is_new = planted(plan, _Wraps.identify(name)), True
        else:
            part = canvas.in_place_of(plan, host.task_id, host.nesting, _placed_in(known_in))
            if part is None:
                return None
            kept = host.operation.hand_over()
            placements = grafted(part, placement, host.operation.attempt, kept, host.operation.run)
            is_new = False
    except InvalidValue as error:
        _say_separate(str(error))
        return None
    use = use_of_id()
    headers: dict[str, dict[str, Any]] = {
        place.partition("~")[0]: {PLACE: at.encode(), USE: use} for place, at in placements.items()
    }
    if host is not None and host.task_id in headers:
        headers[host.task_id] |= _handed_on(host)
        if is_new:
            host.operation.take_place(placements[host.task_id])
    return headers, is_new


def _planted_in(flow: Becoming, plan: Part) -> dict[str, Placement]:
    placements = planted(plan, flow.operation.id)
    flow.tasks = len(placements)
    if not flow.shows_all:
        return placements
    return {place: replace(placement, is_member=False) for place, placement in placements.items()}


def _handed_on(host: Replaced) -> dict[str, Any]:
    """Say what the task that takes over an operation has to know of it."""
    about = host.operation.descriptor
    said = {key: host.header[key] for key in ("kind", "owner") if key in host.header}
    return said | {"name": about.name or "", "kind": about.kind, AFTER: host.operation.attempt}


def _on_send(headers: dict[str, Any] | None = None, body: object = None, **_: Any) -> None:
    """Write into a message what its task, and those that it will lead to, are to be told."""
    if headers is None or not isinstance(body, tuple | list) or len(body) != _PARTS:
        return
    task_id = headers.get("id")
    if not isinstance(task_id, str):
        return
    told = _headers.get()
    if not told and not headers.get("retries") and place_of(task_id, said_in(headers)) is None:
        told = _of_message(headers, body)
    if not told:
        return
    if task_id in told:
        headers[HEADER] = {**said_in(headers), **told[task_id]}
    embed = body[2]
    for key in ("chain", "chord"):
        if embed.get(key):
            embed[key] = _placed(embed[key], told)


def _of_message(headers: dict[str, Any], body: Any) -> Mapping[str, Mapping[str, Any]]:
    """Read what one message leads to; a workflow that it makes is announced when it is sent."""
    host = _replaced.get()
    embed = body[2]
    if host is None and not embed.get("chain"):
        return {}
    if host is not None and headers["id"] == host.task_id and not embed.get("chain"):
        return _of_single(host)
    plan = canvas.read_message(headers, body, alone=host is None)
    if not isinstance(plan, Branch):
        return {}
    name = f"wf-{headers['id']}"
    sent = _headers_of(plan, name, embed)
    if sent is None:
        return {}
    told, is_new = sent
    if is_new:
        headers[HEADER] = {**said_in(headers), "flow": _Wraps.identify(name)}
    return told


def _of_single(host: Replaced) -> Mapping[str, Mapping[str, Any]]:
    """Say what a single task in the place of another is told."""
    placement = host.operation.descriptor.placement
    told = _handed_on(host)
    if isinstance(placement, Placement):
        leaf = Leaf(f"{host.task_id}~{host.nesting}")
        kept = host.operation.hand_over()
        parts = grafted(leaf, placement, host.operation.attempt, kept, host.operation.run)
        told[PLACE] = parts[leaf.place].encode()
    return {host.task_id: told}


def _on_sent(headers: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Announce the workflow of a chain: what follows is sent before what it follows has ended."""
    said = said_in(headers)
    flow = said.get("flow")
    if flow is None or (headers or {}).get("retries"):
        return
    about = _about(flow, said.get("owner"))
    announced = Record.of(about, Status, condition=NEW, status=RUNNING)
    this_process().reporter.put([announced._replace(leaves=True)])


def _placed(said: Any, told: Mapping[str, Mapping[str, Any]]) -> Any:
    """Copy signatures, and write into their headers what their tasks are *told*."""
    if isinstance(said, list | tuple):
        return [_placed(each, told) for each in said]
    if not isinstance(said, Mapping) or "options" not in said:
        return said
    options = dict(said["options"])
    for key in ("chain", "chord"):
        if options.get(key):
            options[key] = _placed(options[key], told)
    mine = told.get(options.get("task_id", ""))
    if mine and said.get("task") not in _CANVASES:  # a canvas has the id of its last task
        headers = dict(options.get("headers") or {})
        options["headers"] = headers | {HEADER: {**said_in(headers), **mine}}
    kwargs = dict(said.get("kwargs") or {})
    for key in ("tasks", "header", "body"):
        if key in kwargs and str(said.get("task", "")).startswith("celery."):
            kwargs[key] = _placed(kwargs[key], told)
    return {**said, "options": options, "kwargs": kwargs}


def _placed_in(said: Any) -> set[str]:
    """Give the ids of the tasks in signatures that have been placed already."""
    found: set[str] = set()
    if isinstance(said, list | tuple):
        return found.union(*map(_placed_in, said))
    if not isinstance(said, Mapping):
        return found
    options = said.get("options") or {}
    task_id = options.get("task_id")
    if isinstance(task_id, str) and place_of(task_id, said_in(options.get("headers"))):
        found.add(task_id)
    kwargs = said.get("kwargs") or {}
    inner = [options.get("chain"), options.get("chord"), said.get("chain"), said.get("chord")]
    if str(said.get("task", "")).startswith("celery."):
        inner += [kwargs.get(key) for key in ("tasks", "header", "body")]
    return found.union(*map(_placed_in, inner))


def _is_placed(signature: Any) -> bool:
    """Tell whether the first task of what is sent has its place: then all of it has."""
    return _first_place(signature) is not None


def _first_place(signature: Any) -> Placement | None:
    options, kwargs = signature.get("options") or {}, signature.get("kwargs") or {}
    match signature.get("task"):
        case "celery.chain":
            inner = kwargs.get("tasks")
        case "celery.group":
            inner = kwargs.get("tasks")
        case "celery.chord":
            header = kwargs.get("header")
            inner = [header] if isinstance(header, Mapping) else header
        case _:
            return place_of(options.get("task_id") or "", said_in(options.get("headers")))
    return _first_place(inner[0]) if inner else None


def _polls(backend: Any) -> bool:
    """Tell whether a task of Celery's own asks again and again whether a chord's group is done."""
    return getattr(backend.apply_chord, "__func__", None) is Backend.apply_chord


def _say_separate(reason: str) -> None:
    if is_first("canvas", reason):
        logger.warning(
            "a canvas is shown as separate operations: %s (said once per process and reason)", reason
        )
