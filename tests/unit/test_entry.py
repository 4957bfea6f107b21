"""Entries: whether one follows another, whom it is for, and whether it ends its operation."""

from typing import Any

import pytest

from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.entry import ERA, Entry
from tidings.errors import InvalidValue
from tidings.events import Complete, Error, Event, Progress, Status, Warning  # noqa: A004 - the wire's name
from tidings.record import OWN, Record
from tidings.topics import Filter

OP = Descriptor.of("op", "batch", workflow="w")
SOMEWHERE = Cursor(9, 1)


def entry(
    event: type[Event] = Warning, cursor: Cursor = SOMEWHERE, *, topics: bool = True, **said: Any
) -> Entry:
    """Make an entry as it is read from the log, or from a topic's own stream."""
    if not said and event is not Complete:
        said = {"code": "c", "message": "m"}
    data = Record.of(OP, event, condition=OWN, **said).data
    return Entry(cursor, event.type, data, OP.topics if topics else ())


@pytest.mark.parametrize(
    ("cursor", "position", "follows"),
    [
        (Cursor(9, 2), Cursor(9, 1), True),
        (Cursor(9, 1), Cursor(9, 0), True),
        (Cursor(9, 3), Cursor(9, 1), False),
        (Cursor(9, 1), Cursor(9, 1), False),
        (Cursor(9, 1), Cursor(9, 2), False),
        (Cursor(9, 2), Cursor(8, 1), False),
    ],
)
def test_an_entry_follows_its_predecessor_alone(cursor: Cursor, position: Cursor, *, follows: bool) -> None:
    """Within an era it is the next number and nothing else (A6, A7)."""
    assert entry(cursor=cursor).follows(position) == follows


@pytest.mark.parametrize(
    ("previous", "position", "follows"),
    [
        (Cursor(8, 5), Cursor(8, 5), True),
        (Cursor(8, 5), Cursor(8, 4), False),
        (Cursor(8, 5), Cursor(8, 6), False),
        (None, Cursor(8, 5), False),
        (Cursor(8, 5), Cursor(9, 0), False),
    ],
)
def test_an_eras_first_entry_follows_what_it_names(
    previous: Cursor | None, position: Cursor, *, follows: bool
) -> None:
    """A linked era continues exactly one place, an unlinked one none."""
    assert Entry(Cursor(9, 0), ERA, previous=previous).follows(position) == follows


def test_an_entry_is_for_the_filters_that_cover_its_topics_type_and_kind() -> None:
    """All three must fit."""
    one = entry()
    fitting = [Filter(), Filter.of(["workflows:w"]), Filter.of(["operations:*"], ["warning"], ["batch"])]
    others = [
        Filter.of(["operations:x"]),
        Filter.of(["agents:*"]),
        Filter.of([], ["error"]),
        Filter.of([], (), ["x"]),
    ]
    assert [one.is_for(wanted) for wanted in fitting + others] == [True] * 3 + [False] * 4


def test_an_entry_of_a_topics_own_stream_is_on_it() -> None:
    """What was read from a topic's stream is on that topic, and on no other."""
    fields = {b"t": b"warning", b"d": entry().data}
    one = Entry.from_stream(b"9-1", fields, ("agents:any",))
    assert one.is_for(Filter.of(["agents:any"]))
    assert not one.is_for(Filter.of(["agents:other"]))
    assert not one.is_for(Filter.of(["agents:any"], ["error"]))


def test_an_entry_without_topics_is_on_none() -> None:
    """What a stranger wrote into the log without saying for whom reaches no named topic."""
    assert not entry(topics=False).is_for(Filter.of(["agents:any"]))


def test_an_eras_first_entry_is_for_nobody() -> None:
    """It is between the log and its readers."""
    assert not Entry(Cursor(9, 0), ERA).is_for(Filter())


ENDS: dict[str, tuple[type[Event], dict[str, Any], bool]] = {
    "complete": (Complete, {}, True),
    "a terminal error": (Error, {"code": "c", "message": "m", "terminal": True}, True),
    "an error": (Error, {"code": "c", "message": "m"}, False),
    "an error whose details say terminal": (
        Error,
        {"code": "c", "message": "m", "details": {"terminal": True}},
        False,
    ),
    "an error whose message says terminal": (Error, {"code": "c", "message": '"terminal":true'}, False),
    "a warning that says terminal": (
        Warning,
        {"code": "c", "message": "m", "details": {"terminal": True}},
        False,
    ),
    "the final status": (Status, {"status": "succeeded"}, False),
    "all of the progress": (Progress, {"current": 1, "total": 1, "percentage": 100}, False),
}


@pytest.mark.parametrize(("event", "said", "ends"), ENDS.values(), ids=ENDS)
def test_an_operation_ends_with_complete_or_a_terminal_error(
    event: type[Event], said: dict[str, Any], *, ends: bool
) -> None:
    """Nothing else does, whatever is written in it."""
    assert entry(event, **said).ends_operation == ends


def test_an_entry_is_read_from_redis_fields() -> None:
    """Place, type, JSON, topics, and whose it is."""
    data = entry().data
    one = Entry.from_stream(b"9-7", {b"t": b"warning", b"d": data, b"k": b"operations:op workflows:w"})
    assert (one.cursor, one.type, one.data, one.topics) == (Cursor(9, 7), "warning", data, OP.topics)
    assert (one.operation_id, one.kind) == ("op", "batch")
    assert Entry.from_stream(b"9-7", {b"t": b"warning", b"d": data, b"f": b"9-3"}).topics == ()
    assert Entry.from_stream(b"9-0", {b"t": b"era", b"prev": b"8-5"}).previous == Cursor(8, 5)
    assert Entry.from_stream(b"9-0", {b"t": b"era", b"prev": b""}).previous is None


FOREIGN: dict[str, dict[bytes, bytes]] = {
    "nothing": {},
    "another type": {b"t": b"gossip", b"d": b"{}"},
    "no JSON": {b"t": b"status", b"d": b"no"},
    "no data": {b"t": b"status"},
    "a type that is no UTF-8": {b"t": b"\xff", b"d": b"{}"},
    "topics that are no UTF-8": {b"t": b"warning", b"d": entry().data, b"k": b"\xff"},
    "a previous that is no place": {b"t": b"era", b"prev": b"yesterday"},
    "a previous that is no UTF-8": {b"t": b"era", b"prev": b"\xff-\xff"},
    "JSON on two lines": {b"t": b"warning", b"d": entry().data.replace(b",", b",\n", 1)},
}


@pytest.mark.parametrize("fields", FOREIGN.values(), ids=FOREIGN)
def test_what_somebody_else_wrote_is_one_error_of_ours(fields: dict[bytes, bytes]) -> None:
    """A reader can leave it out, whatever it is."""
    with pytest.raises(InvalidValue):
        Entry.from_stream(b"9-7", fields)
