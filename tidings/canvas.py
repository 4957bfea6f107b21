"""Celery's canvases, read as plans of workflows.

Beside the first stage of the flow: takes frozen signatures, as objects or as a message carries
them, gives the plan that `tidings.workflow` counts by. What it does not wholly understand gives
no plan, and one warning: those tasks are operations of their own, which is no bar rather than a
wrong one. Pure but for that warning; needs no Celery. Source: CELERY.md, 1.2 and 2 (Celery 5.7).
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from tidings.once import is_first
from tidings.workflow import Branch, Leaf, Part

MAX_PARTS: Final = 100_000
"""Of one group; a longer one would have to be held whole, 1.4 KB each (CELERY.md, 2)."""
_HEADER: Final = "tidings"  # as in tidings/celery_canvas.py
_TYPES: Final = frozenset({None, "chain", "group", "chord", "xmap", "xstarmap", "chunks"})
_ALL, _NONE = "*", ""
_CHUNKS: Final = "celery.chunks"
_ACCUMULATE: Final = "celery.accumulate"  # gives a replaced task's id to a group's results
_MAPS: Final = frozenset({"celery.map", "celery.starmap"})
logger = logging.getLogger(__name__)


class _NotUnderstood(Exception):
    """A signature that may mean something else than we would read in it."""


def read(signature: Any) -> Part | None:
    """Read a frozen signature and all that it leads to; None where that is not wholly understood.

    A task's place is its id, a canvas' ``<kind>.<id>``. A weight is taken from the signature's
    headers, ``{"tidings": {"weight": 2}}``; map and starmap weigh what they have items.
    """
    return _or_none(lambda: _part(signature, among=_NONE))


def read_group(group_id: str, members: Iterable[Any], *, alone: bool = True) -> Part | None:
    """Read what a group or a chord is about to publish: its frozen *members*, and the body that they name.

    Not *alone*: in the place of a task, whose siblings are known.
    """
    return _or_none(lambda: _published(group_id, members, group_id if alone else _ALL))


def read_message(headers: Mapping[str, Any], body: Sequence[Any], *, alone: bool = True) -> Part | None:
    """Read a message of protocol 2: its task and what follows; None if it has siblings, for it names none.

    Not *alone*: in the place of a task, whose siblings are known.
    """
    return _or_none(lambda: _message(headers, body, _NONE if alone else _ALL))


def has_chord(part: Part) -> bool:
    """Tell whether anything in it waits for a group."""
    if isinstance(part, Leaf):
        return False
    return part.place.startswith("chord.") or any(map(has_chord, part.parts))


def read_replacement(signature: Any, host: str, known: Iterable[str] = ()) -> Part | None:
    """Read what a task, the *host*, is replaced by, frozen under the host's id; what is *known* is left out.

    The task that now has the host's id gets the place ``<id>~<nesting>``, for the host keeps its own.
    """
    return _or_none(lambda: _replacement(signature, host, frozenset(known)))


def in_place_of(part: Part, host: str, nesting: int, known: Iterable[str]) -> Part | None:
    """Give what a published *part* has that replaces *host*, as `read_replacement` does."""
    return _or_none(lambda: _standing_in(part, host, nesting, frozenset(known)))


def _or_none(reading: Callable[[], Part]) -> Part | None:
    try:
        part = reading()
    except _NotUnderstood as problem:
        if is_first("canvas", str(problem)):
            logger.warning(
                "a canvas is shown as separate operations: %s (said once per process and reason)", problem
            )
        return None
    return part


def _part(signature: Any, *, among: str) -> Part:
    """Read one signature *among* siblings that are known: all that it has, none, or those of one group."""
    kind, options = _kind(signature), _mapping(signature, "options")
    if among != _ALL and (options.get("chord") or (options.get("group_id") or among) != among):
        raise _NotUnderstood("a member of a group was met without its group")
    reader: Callable[..., Part] = _READERS.get(kind, _leaf)
    part = reader(signature, among=among)
    following = options.get("chain")
    if not following:
        return part
    rest = [_step(step, among=among) for step in reversed(_list(following))]
    return Branch(f"then.{part.place}", (part, *rest))


def _leaf(signature: Any, *, among: str) -> Leaf:
    del among
    name = signature["task"]
    if name == _CHUNKS:
        raise _NotUnderstood("chunks() that its publisher divides has no task of its own")
    if name.startswith("celery.") and name not in _MAPS and name != _ACCUMULATE:
        raise _NotUnderstood(f"{name} is no shape that is known")
    return _task(signature)


def _task(signature: Any) -> Leaf:
    options, name = _mapping(signature, "options"), signature["task"]
    headers = options.get("headers")
    return Leaf(_id(signature), _weight(name, headers, _mapping(signature, "kwargs")))


def _weight(name: str, headers: object, kwargs: Mapping[str, Any]) -> float:
    """Say what a task weighs: what its author said, else as many as the items that it goes through."""
    ours = headers.get(_HEADER) if isinstance(headers, Mapping) else None
    if isinstance(ours, Mapping) and "weight" in ours:
        weight: float = ours["weight"]
        return weight
    if name == _ACCUMULATE:
        return 0
    return len(_list(kwargs.get("it"))) or 1 if name in _MAPS else 1


def _chain(signature: Any, *, among: str) -> Part:
    first, *rest = _steps(signature)
    parts = (_part(first, among=among), *(_step(step, among=among) for step in rest))
    return parts[0] if len(parts) == 1 else Branch(f"chain.{_last(parts[-1])}", parts)


def _steps(signature: Any) -> list[Any]:
    """Give a chain's steps in their order, at least one."""
    frozen = getattr(signature, "_frozen", None)  # where groups have become the chords that will run
    steps = list(reversed(frozen[0])) if frozen else _list(_mapping(signature, "kwargs").get("tasks"))
    if not steps:
        raise _NotUnderstood("a chain has no steps")
    return steps


def _step(signature: Any, *, among: str) -> Part:
    """Read what a worker will publish: there, chunks() is a task that sends its group and is done."""
    if _kind(signature) == _CHUNKS:
        return _task(signature)
    return _part(signature, among=among)


def _group(signature: Any, *, among: str = _ALL) -> Branch:
    del among
    return _members(_id(signature), _mapping(signature, "kwargs").get("tasks"))


def _members(group_id: str, members: Any) -> Branch:
    parts = tuple(_part(member, among=_ALL) for member in _list(members))
    if not parts:
        raise _NotUnderstood("a group has no members")
    return Branch(f"group.{group_id}", parts)


def _chord(signature: Any, *, among: str) -> Branch:
    kwargs = _mapping(signature, "kwargs")
    header, group_id = kwargs.get("header"), _id(signature)
    members = _group(header) if isinstance(header, Mapping) else _members(group_id, header)
    body = kwargs.get("body")
    if body is None:
        raise _NotUnderstood("a chord has no body")
    return Branch(f"chord.{group_id}", (members, _step(body, among=among)))


def _published(group_id: str, members: Iterable[Any], among: str) -> Part:
    whole = list(islice(members, MAX_PARTS + 1))
    group = _members(group_id, whole)
    bodies = [_awaited_by(member) for member in whole]
    if not any(bodies):
        return group
    if len({_id(body) if body else "" for body in bodies}) > 1:
        raise _NotUnderstood("the members of a chord name different bodies")
    body = _step(bodies[0], among=among)  # Celery sends it with the group id of its own header
    return Branch(f"chord.{group_id}", (group, body))


def _awaited_by(member: Any) -> Any:
    """Give the body of the chord that waits for a member: where that is a canvas, its last task names it."""
    match _kind(member):
        case "celery.chain":
            return _awaited_by(_steps(member)[-1])
        case "celery.chord":
            return _awaited_by(_mapping(member, "kwargs").get("body"))
        case _:
            return _mapping(member, "options").get("chord")


def _message(headers: Mapping[str, Any], body: Sequence[Any], among: str) -> Part:
    task_id, name = headers.get("id"), headers.get("task")
    if not isinstance(task_id, str) or not isinstance(name, str) or len(body) != 3:  # noqa: PLR2004 - protocol 2
        raise _NotUnderstood("a message is not of protocol 2")
    _, kwargs, embed = body
    options = {"task_id": task_id, "group_id": headers.get("group"), "chord": embed.get("chord"),
               "chain": embed.get("chain"), "headers": headers}  # fmt: skip
    return _part({"task": name, "kwargs": kwargs, "options": options}, among=among)


def _replacement(signature: Any, host: str, known: frozenset[str]) -> Part:
    nesting = _mapping(signature, "options").get("replaced_task_nesting")
    if not isinstance(nesting, int) or nesting < 1:
        raise _NotUnderstood("a replacement does not say how deep it is nested")
    return _standing_in(_part(signature, among=_ALL), host, nesting, known)


def _standing_in(part: Part, host: str, nesting: int, known: frozenset[str]) -> Part:
    kept = _renamed(part, host, f"{host}~{nesting}", known)
    if kept is None or f"{host}~{nesting}" not in _leaf_places(kept):
        raise _NotUnderstood("a replacement does not have the id of what it replaces")
    return kept


def _renamed(part: Part, host: str, place: str, known: frozenset[str]) -> Part | None:
    if isinstance(part, Leaf):
        if part.place == host:
            return part._replace(place=place)
        return None if part.place in known else part
    parts = tuple(kept for each in part.parts if (kept := _renamed(each, host, place, known)) is not None)
    return Branch(part.place, parts) if parts else None


def _leaf_places(part: Part) -> set[str]:
    if isinstance(part, Leaf):
        return {part.place}
    return set().union(*map(_leaf_places, part.parts))


def _last(part: Part) -> str:
    """Give the place of the last leaf: a chain's own id is that of its last step."""
    return part.place if isinstance(part, Leaf) else _last(part.parts[-1])


def _kind(signature: Any) -> str:
    kind = signature.get("task") if isinstance(signature, Mapping) else None
    if not isinstance(kind, str):
        raise _NotUnderstood("a part of it is no signature")
    if signature.get("subtask_type") not in _TYPES:
        raise _NotUnderstood(f"{signature['subtask_type']} is no type of signature that is known")
    return kind


def _id(signature: Any) -> str:
    task_id = _mapping(signature, "options").get("task_id")
    if not isinstance(task_id, str) or not task_id:
        raise _NotUnderstood("a part of it has no id yet")
    return task_id


def _mapping(signature: Any, field: str) -> Mapping[str, Any]:
    value = signature.get(field) if isinstance(signature, Mapping) else None
    if not isinstance(value, Mapping):
        raise _NotUnderstood(f"a signature's {field} are none")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise _NotUnderstood("its parts are no list")
    items = list(islice(value, MAX_PARTS + 1))
    if len(items) > MAX_PARTS:
        raise _NotUnderstood(f"it has more than {MAX_PARTS} parts")
    return items


_READERS: Final[Mapping[str, Callable[..., Part]]] = {
    "celery.chain": _chain,
    "celery.group": _group,
    "celery.chord": _chord,
}
