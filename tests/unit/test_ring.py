"""The ring: what follows a cursor, from memory, the same as a plain filter over a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.cursor import Cursor
from tidings.entry import ERA, Entry
from tidings.topics import Filter
from webapp.ring import Ring

TOPICS = ("operations:a", "operations:b", "workflows:w", "agents:g")
START = Cursor(9, 0)


def entry(n: int, *topics: str, kind: str = "batch", event_type: str = "progress") -> Entry:
    """Make the *n*-th entry of the era."""
    data = b'{"operationId":"op","operationType":"%b"}' % kind.encode()
    return Entry(Cursor(9, n), event_type, data, topics)


def filled(capacity: int, entries: list[Entry]) -> Ring:
    """Make a ring that was pushed all of *entries*."""
    ring = Ring(capacity)
    ring.restart(START)
    for one in entries:
        ring.push(one)
    return ring


def numbers(entries: list[Entry]) -> list[int]:
    """List the places of entries."""
    return [one.cursor.n for one in entries]


ENTRIES = [
    entry(1, "operations:a", "workflows:w"),
    entry(2, "operations:b"),
    entry(3, "operations:a", "agents:g", kind="agent"),
    entry(4, "operations:b", "workflows:w", event_type="status"),
]


def test_the_latest_entry_of_a_topic_is_known_while_it_is_kept() -> None:
    """Nothing is, of a topic that was never met, or only before the ring's floor."""
    ring = filled(2, ENTRIES)
    assert [ring.latest(topic) for topic in TOPICS] == [ENTRIES[2], ENTRIES[3], ENTRIES[3], ENTRIES[2]]
    ring.push(entry(5, "agents:h"))
    assert ring.latest("operations:a") is None


def test_a_new_ring_holds_nothing() -> None:
    """Before the first contact with the log no cursor can be answered."""
    ring = Ring(3)
    assert ring.floor is ring.head is None
    assert not ring.holds(START)
    assert not ring.reaches(START)


def test_a_started_ring_answers_from_its_beginning_on() -> None:
    """Its start is the floor and the head, and nothing is after it."""
    ring = filled(3, [])
    assert (ring.floor, ring.head, ring.holds(START), ring.after(START, Filter())) == (START, START, True, [])


@pytest.mark.parametrize(
    ("wanted", "position", "expected"),
    [
        (Filter(), 0, [1, 2, 3, 4]),
        (Filter(), 2, [3, 4]),
        (Filter(), 4, []),
        (Filter.of(["operations:a"]), 0, [1, 3]),
        (Filter.of(["operations:a"]), 1, [3]),
        (Filter.of(["operations:x"]), 0, []),
        (Filter.of(["operations:b", "workflows:w"]), 0, [1, 2, 4]),
        (Filter.of(["agents:*"]), 0, [3]),
        (Filter.of(["operations:*"]), 1, [2, 3, 4]),
        (Filter.of(["agents:*", "operations:b"]), 0, [2, 3, 4]),
        (Filter.of([], ["status"]), 0, [4]),
        (Filter.of([], [], ["agent"]), 0, [3]),
        (Filter.of(["operations:a"], ["progress"], ["batch"]), 0, [1]),
    ],
)
def test_after_gives_what_is_wanted_in_log_order(wanted: Filter, position: int, expected: list[int]) -> None:
    """One topic, several, wildcards and everything, each event once."""
    assert numbers(filled(10, ENTRIES).after(Cursor(9, position), wanted)) == expected


@pytest.mark.parametrize(
    ("topics", "position", "expected"),
    [
        (["operations:a"], 0, [1, 3]),
        (["operations:a"], 1, [3]),
        (["operations:x"], 0, []),
        (["operations:b", "workflows:w"], 0, [1, 2, 4]),
        (["agents:*"], 1, [2, 3, 4]),
        (["agents:*", "operations:b"], 2, [3, 4]),
        ([], 0, [1, 2, 3, 4]),
    ],
)
def test_on_gives_what_may_be_on_the_topics_in_log_order(
    topics: list[str], position: int, expected: list[int]
) -> None:
    """Exactly theirs if all are named; a wildcard is not looked into; each event once."""
    assert numbers(filled(10, ENTRIES).on(Filter.of(topics).topics, Cursor(9, position))) == expected


def test_past_its_capacity_the_oldest_goes_and_the_floor_rises() -> None:
    """What was dropped is no longer answered for; the one just before what is kept still is."""
    ring = filled(2, ENTRIES)
    assert (ring.floor, ring.head) == (Cursor(9, 2), Cursor(9, 4))
    assert [ring.holds(Cursor(9, n)) for n in range(6)] == [False, False, True, True, True, False]
    assert [ring.reaches(Cursor(9, n)) for n in range(6)] == [False, False, True, True, True, True]
    assert numbers(ring.after(Cursor(9, 2), Filter.of(["operations:b"]))) == [4]


def test_a_cursor_of_another_era_is_not_held() -> None:
    """Only places that this process has read are answered from memory."""
    ring = filled(10, ENTRIES)
    assert not ring.holds(Cursor(8, 2))
    assert not ring.holds(Cursor(10, 2))


def test_a_restart_forgets_everything() -> None:
    """After a discontinuity nothing of before is given to anybody."""
    ring = filled(10, ENTRIES)
    ring.restart(Cursor(5, 3))
    assert (ring.floor, ring.head) == (Cursor(5, 3), Cursor(5, 3))
    assert not ring.holds(Cursor(9, 1))
    assert ring.after(Cursor(0, 0), Filter.of(["operations:a"])) == ring.after(Cursor(0, 0), Filter()) == []


def test_a_linked_eras_first_entry_is_a_place_and_no_event() -> None:
    """A stream can stand at it, and is never sent it."""
    ring = filled(10, [*ENTRIES, Entry(Cursor(10, 0), ERA, previous=Cursor(9, 4))])
    assert ring.holds(Cursor(10, 0))
    assert numbers(ring.after(Cursor(9, 3), Filter())) == [4]


kinds = st.sampled_from(["batch", "agent"])
types = st.sampled_from(["progress", "status"])
filters = st.builds(
    Filter.of,
    st.lists(st.sampled_from([*TOPICS, "operations:*", "workflows:*", "agents:*", "agents:x"]), max_size=3),
    st.lists(types, max_size=1),
    st.lists(kinds, max_size=1),
)


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(TOPICS), min_size=1, unique=True), kinds, types), max_size=30
    ),
    st.integers(1, 12),
    filters,
    st.integers(0, 31),
)
def test_a_ring_is_a_plain_list_with_a_bound(
    pushed: list[tuple[list[str], str, str]], capacity: int, wanted: Filter, position: int
) -> None:
    """Whatever was pushed and is asked for, it gives what filtering the list's end gives."""
    entries = [
        entry(n, *topics, kind=kind, event_type=event_type)
        for n, (topics, kind, event_type) in enumerate(pushed, start=1)
    ]
    ring = filled(capacity, entries)
    kept = entries[-capacity:]
    floor = len(entries) - len(kept)
    cursor = Cursor(9, position)
    assert ring.floor == Cursor(9, floor)
    assert ring.head == Cursor(9, len(entries))
    assert ring.holds(cursor) == (floor <= position <= len(entries))
    assert ring.reaches(cursor) == (position >= floor)
    expected = [
        one
        for one in kept
        if one.cursor > cursor
        and wanted.wants(one.kind, one.type)
        and (
            wanted.topics == ("*",)
            or any(
                topic == pattern or (pattern.endswith("*") and topic.startswith(pattern[:-1]))
                for pattern in wanted.topics
                for topic in one.topics
            )
        )
    ]
    assert ring.after(cursor, wanted) == expected
