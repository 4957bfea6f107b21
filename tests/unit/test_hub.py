"""The hub: whom an event wakes, whom it forgets, and who has to start over."""

import pytest

from tests.wakings import woken
from tidings.cursor import Cursor
from tidings.entry import ERA, Entry
from tidings.log import Mark
from tidings.topics import Filter
from webapp.hub import Hub
from webapp.limits import Limits
from webapp.subscriber import CloseReason
from webapp.waiting import WaitingSubscriber

START = Mark("9:run", Cursor(9, 0))


def entry(n: int, *topics: str, kind: str = "batch", event_type: str = "progress") -> Entry:
    """Make the *n*-th entry of the era."""
    data = b'{"operationId":"op","operationType":"%b"}' % kind.encode()
    return Entry(Cursor(9, n), event_type, data, topics)


@pytest.fixture
def hub() -> Hub:
    """A hub whose feed has made contact."""
    hub = Hub(100, heartbeat_s=15)
    hub.start_over(START)
    return hub


def join(
    hub: Hub,
    *topics: str,
    types: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    opened_at: Mark = START,
    position: Cursor = START.position,
) -> WaitingSubscriber:
    """Open a stream from the start on."""
    subscriber = WaitingSubscriber(Filter.of(topics, types, kinds), position)
    hub.join(subscriber, opened_at)
    return subscriber


def test_an_event_wakes_those_of_its_topics_and_nobody_else(hub: Hub) -> None:
    """By name, by wildcard, and those who want everything."""
    roused = [
        join(hub),
        join(hub, "operations:a"),
        join(hub, "workflows:*"),
        join(hub, "agents:x", "workflows:w"),
        join(hub, "operations:*"),
    ]
    asleep = [join(hub, "operations:b"), join(hub, "agents:*"), join(hub, "workflows:v", "agents:a")]
    hub.route([entry(1, "operations:a", "workflows:w")])
    assert [woken(subscriber) for subscriber in roused] == [True] * len(roused)
    assert [woken(subscriber) for subscriber in asleep] == [False] * len(asleep)
    assert all(len(subscriber.take(hub.ring)) == 1 for subscriber in roused)
    assert all(subscriber.take(hub.ring) == [] for subscriber in asleep)


def test_types_and_kinds_decide_what_is_taken(hub: Hub) -> None:
    """Of a topic's events a stream takes those that it asked for."""
    progress = join(hub, "operations:a", types=("progress",))
    agents = join(hub, kinds=("agent",))
    neither = join(hub, "operations:*", types=("status",), kinds=("upload",))
    hub.route(
        [
            entry(1, "operations:a"),
            entry(2, "operations:a", event_type="status"),
            entry(3, "operations:b", kind="agent"),
        ]
    )
    taken = [
        [one.cursor.n for one in subscriber.take(hub.ring)] for subscriber in (progress, agents, neither)
    ]
    assert taken == [[1], [3], []]


def test_a_page_wakes_each_once_and_is_taken_whole(hub: Hub) -> None:
    """Several events of one read are one waking."""
    subscriber = join(hub, "operations:a", "operations:b")
    hub.route([entry(1, "operations:a"), entry(2, "operations:b"), entry(3, "operations:a")])
    assert woken(subscriber)
    assert not woken(subscriber)
    assert [one.cursor.n for one in subscriber.take(hub.ring)] == [1, 2, 3]


def test_routing_moves_the_hub_on(hub: Hub) -> None:
    """Its mark is the last entry that it was given, in the era that it follows."""
    hub.route([entry(1), entry(2)])
    assert hub.mark == Mark("9:run", Cursor(9, 2))
    hub.follow("10:run")
    assert hub.mark == Mark("10:run", Cursor(9, 2))


def test_who_has_left_is_forgotten(hub: Hub) -> None:
    """Nothing remains of a stream that left, however often it does."""
    subscriber = join(hub, "operations:a", "agents:*")
    other = join(hub, "operations:a")
    assert len(hub) == 2
    hub.leave(subscriber)
    hub.leave(subscriber)
    hub.route([entry(1, "operations:a", "agents:g")])
    assert (len(hub), woken(subscriber), woken(other)) == (1, False, True)
    hub.leave(other)
    hub.route([entry(2, "operations:a")])
    assert len(hub) == 0


def test_starting_over_ends_every_stream_and_forgets_the_past(hub: Hub) -> None:
    """After a discontinuity each stream's resume decides, from the new place on."""
    subscriber = join(hub)
    hub.route([entry(1)])
    mark = Mark("5:other", Cursor(5, 3))
    hub.start_over(mark)
    assert subscriber.closed is CloseReason.HISTORY
    assert woken(subscriber)
    assert hub.mark == mark
    assert not hub.ring.holds(Cursor(9, 1))


def test_a_linked_era_ends_only_those_ahead_of_what_it_continues(hub: Hub) -> None:
    """Who saw more of the closed era than its successor kept starts over (A12)."""
    behind, at, ahead = (join(hub, position=Cursor(9, n)) for n in (0, 1, 2))
    hub.route([entry(1), Entry(Cursor(10, 0), ERA, previous=Cursor(9, 1))])
    assert [one.closed for one in (behind, at, ahead)] == [None, None, CloseReason.HISTORY]


def test_a_draining_hub_sends_away_who_joins(hub: Hub) -> None:
    """Who comes late is told to come back, like those who were there."""
    early = join(hub)
    hub.drain(0)
    late = join(hub)
    assert early.closed is late.closed is CloseReason.DRAINING
    assert woken(early)
    assert woken(late)


def test_a_hub_about_to_drain_sends_away_who_joins(hub: Hub) -> None:
    """From the first word of the end on, nobody is let in who would have to be found again."""
    early = join(hub)
    hub.draining = True
    assert (early.closed, join(hub).closed) == (None, CloseReason.DRAINING)


@pytest.mark.parametrize("token", ["10:run", "5:other", "9:another"])
def test_who_opened_in_another_life_of_the_log_starts_over(hub: Hub, token: str) -> None:
    """Its opening is of a history that has ended since, whatever the numbers of the two are (A8)."""
    hub.start_over(Mark(token, Cursor(int(token.partition(":")[0]), 0)))
    assert join(hub).closed is CloseReason.HISTORY
    assert hub.mark is not None
    assert join(hub, opened_at=hub.mark, position=hub.mark.position).closed is None


def test_ends_are_counted_by_their_reasons(hub: Hub) -> None:
    """Each stream once, however often it leaves; one that nobody closed has gone by itself."""
    gone, drained = join(hub), join(hub)
    hub.leave(gone)
    hub.drain(0)
    for _ in range(2):
        hub.leave(gone)
        hub.leave(drained)
    assert hub.closed == {CloseReason.GONE: 1, CloseReason.DRAINING: 1}


def test_a_hub_is_ready_after_the_first_contact() -> None:
    """Until then there is no place to start a stream from."""
    hub = Hub(10, heartbeat_s=15)
    assert hub.mark is None
    assert hub.wait_until_ready(0) is None
    hub.start_over(START)
    assert hub.wait_until_ready(0) == START


def test_of_those_that_open_at_once_only_so_many_of_one_address_go_live(hub: Hub) -> None:
    """All were let in while none of them was counted; those of other addresses go live, and any later one."""
    hub.limits = Limits(streams_per_address=1)

    def live(address: str) -> WaitingSubscriber:
        subscriber = WaitingSubscriber(Filter.of(()), START.position)
        subscriber.address = address
        hub.join(subscriber, START)
        return subscriber

    first, second, other = live("a"), live("a"), live("b")
    assert [each.closed for each in (first, second, other)] == [None, CloseReason.LIMITED, None]
    assert second.farewell().startswith(b"retry: ")
    hub.leave(second)
    hub.leave(first)
    hub.leave(first)
    assert live("a").closed is None
    assert live("a").closed is CloseReason.LIMITED
