"""Subscribers: what one stream takes, where it then stands, what a slow one gets, and what ends it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.cursor import Cursor
from tidings.entry import ERA, Entry
from tidings.topics import Filter
from webapp.ring import Ring
from webapp.subscriber import CloseReason, Subscriber, conflate

START = Cursor(9, 0)


def entry(
    n: int,
    operation: str = "a",
    event_type: str = "progress",
    size_bytes: int = 0,
    *,
    more: str = "",
    topics: tuple[str, ...] = (),
) -> Entry:
    """Make the *n*-th entry of the era, its JSON padded to about *size_bytes*; on *topics*, if given."""
    data = b'{"operationId":"%b","operationType":"batch","message":"%b"%b}' % (
        operation.encode(),
        b"x" * size_bytes,
        more.encode(),
    )
    return Entry(Cursor(9, n), event_type, data, topics or (f"operations:{operation}",))


def started(capacity: int = 1_000) -> Ring:
    """Make a ring that has had its first contact."""
    ring = Ring(capacity)
    ring.restart(START)
    return ring


def numbers(entries: list[Entry]) -> list[int]:
    """List the places of entries."""
    return [one.cursor.n for one in entries]


def test_it_takes_what_came_since_the_last_time() -> None:
    """Each entry once, and it stands where the feed does, though nothing was for it."""
    ring = started()
    subscriber = Subscriber(Filter.of(["operations:a"]), START)
    ring.push(entry(1))
    ring.push(entry(2, "b"))
    assert numbers(subscriber.take(ring)) == [1]
    assert subscriber.position == Cursor(9, 2)
    assert subscriber.take(ring) == []
    ring.push(entry(3))
    assert numbers(subscriber.take(ring)) == [3]


def test_a_stream_ahead_of_its_feed_drops_what_it_has() -> None:
    """It never goes back, and gets nothing twice (A1)."""
    ring = started()
    subscriber = Subscriber(Filter(), Cursor(9, 2))
    ring.push(entry(1))
    assert (subscriber.take(ring), subscriber.position) == ([], Cursor(9, 2))
    ring.push(entry(2))
    ring.push(entry(3))
    assert (numbers(subscriber.take(ring)), subscriber.position) == ([3], Cursor(9, 3))


def test_a_stream_that_the_ring_has_passed_ends_as_lagged() -> None:
    """It is given nothing that would hide what it missed."""
    ring = started(2)
    subscriber = Subscriber(Filter(), START)
    for n in range(1, 4):
        ring.push(entry(n))
    assert subscriber.take(ring) == []
    assert (subscriber.closed, subscriber.position) == (CloseReason.LAGGED, START)


def test_a_stream_at_the_rings_edge_has_missed_nothing() -> None:
    """The entry that was dropped last is the one that it has."""
    ring = started(2)
    subscriber = Subscriber(Filter(), Cursor(9, 1))
    for n in range(1, 4):
        ring.push(entry(n))
    assert numbers(subscriber.take(ring)) == [2, 3]


def test_too_much_at_once_is_conflated() -> None:
    """Past 64 KB only the newest progress of each operation is given, below it all of it."""
    ring = started()
    subscriber = Subscriber(Filter(), START)
    for n in range(1, 11):
        ring.push(entry(n, size_bytes=1_000))
    assert numbers(subscriber.take(ring)) == list(range(1, 11))
    for n in range(11, 111):
        ring.push(entry(n, size_bytes=1_000, event_type="warning" if n % 50 == 0 else "progress"))
    assert numbers(subscriber.take(ring)) == [50, 100, 110]


def test_it_closes_for_the_first_reason_given() -> None:
    """Later reasons do not hide why it ended."""
    subscriber = Subscriber(Filter(), START)
    subscriber.close(CloseReason.DRAINING)
    subscriber.close(CloseReason.LAGGED)
    assert subscriber.closed is CloseReason.DRAINING


ENDS = {
    "complete": entry(2, event_type="complete"),
    "a terminal error": entry(2, event_type="error", more=',"terminal":true'),
}
GOES_ON = {
    "an error on the way": entry(2, event_type="error", more=',"details":{"terminal":true}'),
    "another operation's end": entry(2, "b", "complete", topics=("operations:b", "operations:a")),
    "an end that is not for it": entry(2, "b", "complete"),
}


@pytest.mark.parametrize("types", [(), ("warning",)], ids=["asked for", "filtered out"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_operations_own_stream_is_finished_with_it(end: Entry, types: tuple[str, ...]) -> None:
    """Its terminal event closes it, with the last that it takes, whether that is asked for or not."""
    ring = started()
    subscriber = Subscriber(Filter.of(["operations:a"], types), START, until_end=True)
    ring.push(entry(1))
    assert (numbers(subscriber.take(ring)), subscriber.closed) == ([] if types else [1], None)
    ring.push(end)
    assert numbers(subscriber.take(ring)) == ([] if types else [2])
    assert (subscriber.closed, subscriber.position) == (CloseReason.FINISHED, Cursor(9, 2))


@pytest.mark.parametrize("more", GOES_ON.values(), ids=GOES_ON)
def test_nothing_else_finishes_it(more: Entry) -> None:
    """An error on the way, and another operation's end, are events like others."""
    ring = started()
    subscriber = Subscriber(Filter.of(["operations:a"]), START, until_end=True)
    ring.push(more)
    assert subscriber.take(ring) == ([more] if "operations:a" in more.topics else [])
    assert subscriber.closed is None


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_stream_that_is_not_the_operations_own_goes_on(end: Entry) -> None:
    """To a stream that follows an operation beside others, its end is an event like others."""
    ring = started()
    subscriber = Subscriber(Filter.of(["operations:a"]), START)
    ring.push(end)
    assert (subscriber.take(ring), subscriber.closed) == ([end], None)


operations = st.sampled_from("abc")
event_types = st.sampled_from(["progress", "progress", "status", "warning", "error", "complete", ERA])


@given(st.lists(st.tuples(operations, event_types), max_size=40))
def test_conflation_loses_only_progress_that_was_overtaken(pushed: list[tuple[str, str]]) -> None:
    """Ids rise, all else stays, and the newest progress of each operation is at its own place (A19)."""
    entries = [entry(n, operation, event_type) for n, (operation, event_type) in enumerate(pushed, start=1)]
    kept = conflate(entries)
    assert numbers(kept) == sorted(set(numbers(kept)))
    assert [one for one in kept if one.type != "progress"] == [
        one for one in entries if one.type != "progress"
    ]
    newest = {one.operation_id: one for one in entries if one.type == "progress"}
    assert {one.operation_id: one for one in kept if one.type == "progress"} == newest
    assert sum(one.type == "progress" for one in kept) == len(newest)
