"""A stream's body on a hub that the test feeds: opening, live events, heartbeats, and each way to end."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, takewhile

import pytest

from tests.sse import Message, parse
from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.errors import HistoryChanged, LogUnavailable
from tidings.log import Mark
from tidings.replay import Opening, Reset
from tidings.topics import Filter
from webapp.access import Grant
from webapp.hub import Hub
from webapp.opening import Past
from webapp.stream import Plan, sent_away, stream_frames
from webapp.subscriber import CloseReason

START = Mark("9:run", Cursor(9, 0))


def entry(
    n: int,
    operation: str = "a",
    event_type: str = "progress",
    more: str = "",
    era: int = 9,
    *,
    topics: tuple[str, ...] = (),
) -> Entry:
    """Make the *n*-th entry of an era, on *topics* beside its operation's own."""
    data = b'{"operationId":"%b","operationType":"batch"%b}' % (operation.encode(), more.encode())
    return Entry(Cursor(era, n), event_type, data, (f"operations:{operation}", *topics))


@pytest.fixture
def hub() -> Hub:
    """A hub whose feed has made contact."""
    hub = Hub(100, heartbeat_s=15)
    hub.start_over(START)
    return hub


def plan(
    wanted: Filter | None = None,
    opening: Opening | None = None,
    *,
    past: Past | None = None,
    heartbeat_s: float = 0.0,
    until_end: bool = False,
) -> Plan:
    """Plan a stream from the hub's start on, which says a heartbeat whenever it would wait."""
    opening = opening or Opening(START.position)
    return Plan(wanted or Filter(), past or Past(), START, opening, heartbeat_s, until_end=until_end)


def drawn(body: Iterator[bytes]) -> list[Message]:
    """Draw a body until its next heartbeat, or its end."""
    messages: list[Message] = []
    for chunk in body:
        messages += parse(chunk)
        if messages and messages[-1].type == "heartbeat":
            break
    return messages


def ids(messages: list[Message]) -> list[str]:
    """List the ids of messages."""
    return [message.last_event_id for message in messages]


def test_it_opens_with_a_retry_at_once_and_a_heartbeat_at_its_place(hub: Hub) -> None:
    """The first bytes set the time to come back, and the opening ends with the cursor."""
    body = stream_frames(hub, plan())
    assert next(body).startswith(b"retry: ")
    assert drawn(body) == [Message("heartbeat", "{}", "evt_9-0")]


def test_what_was_missed_comes_before_what_is_live(hub: Hub) -> None:
    """Entries of the replay, the cursor, then the hub's, each once."""
    opening = Opening(Cursor(9, 2), iter([entry(1), entry(2)]))
    hub.route([entry(1), entry(2)])
    body = stream_frames(hub, plan(opening=opening))
    assert ids(drawn(body)) == ["evt_9-1", "evt_9-2", "evt_9-2"]
    hub.route([entry(3)])
    assert ids(drawn(body)) == ["evt_9-3", "evt_9-3"]


def test_what_comes_during_the_opening_is_not_lost(hub: Hub) -> None:
    """An entry that is routed while pages are replayed follows them."""

    def pages() -> Iterator[Entry]:
        yield entry(1)
        hub.route([entry(1), entry(2), entry(3)])
        yield entry(2)

    body = stream_frames(hub, plan(opening=Opening(Cursor(9, 2), pages())))
    assert ids(drawn(body)) == ["evt_9-1", "evt_9-2", "evt_9-2"]
    assert ids(drawn(body)) == ["evt_9-3", "evt_9-3"]


def test_a_quiet_streams_heartbeat_moves_its_cursor_on(hub: Hub) -> None:
    """What was for others moves the place, so that a filtered stream stays resumable."""
    body = stream_frames(hub, plan(Filter.of(["operations:b"])))
    drawn(body)
    hub.route([entry(1), entry(2)])
    assert drawn(body) == [Message("heartbeat", "{}", "evt_9-2")]


def test_a_heartbeat_never_goes_back(hub: Hub) -> None:
    """A stream ahead of its feed says its own place (A1)."""
    body = stream_frames(hub, plan(opening=Opening(Cursor(9, 5))))
    assert ids(drawn(body)) == ["evt_9-5"]
    hub.route([entry(1)])
    assert drawn(body) == [Message("heartbeat", "{}", "evt_9-5")]


def test_a_reset_carries_no_id_and_says_what_was_asked_for(hub: Hub) -> None:
    """Only the heartbeat behind it sets a cursor (A17)."""
    opening = Opening(START.position, reset=Reset.HISTORY_LOST)
    body = stream_frames(hub, plan(opening=opening, past=Past("evt_1-1")))
    reset, heartbeat = drawn(body)
    assert (reset.type, reset.last_event_id, heartbeat.last_event_id) == ("reset", "", "evt_9-0")
    assert json.loads(reset.data) == {"reason": "history_lost", "requestedId": "evt_1-1"}


@pytest.mark.parametrize("error", [HistoryChanged("h"), LogUnavailable("u")])
def test_a_replay_that_breaks_off_ends_the_stream_without_a_heartbeat(hub: Hub, error: Exception) -> None:
    """The cursor stays at what was written, and the browser comes back for the rest."""

    def pages() -> Iterator[Entry]:
        yield entry(1)
        raise error

    messages = drawn(stream_frames(hub, plan(opening=Opening(Cursor(9, 2), pages()))))
    assert {message.type for message in messages} <= {"progress"}
    assert len(hub) == 0


ENDS = {
    "complete": entry(2, event_type="complete"),
    "a terminal error": entry(2, event_type="error", more=',"terminal":true'),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("types", [(), ("warning",)])
def test_an_operations_own_stream_ends_with_it(hub: Hub, end: Entry, types: tuple[str, ...]) -> None:
    """After its terminal event, whether that is asked for or not, the body ends."""
    body = stream_frames(hub, plan(Filter.of(["operations:a"], types), until_end=True))
    drawn(body)
    hub.route([entry(1), end])
    assert [message.type for message in drawn(body)] == ([] if types else ["progress", end.type])
    assert list(body) == []
    assert len(hub) == 0


@pytest.mark.parametrize(
    "more",
    [
        entry(1, event_type="error", more=',"details":{"terminal":true}'),
        entry(1, "b", "complete", topics=("operations:a",)),
    ],
)
def test_nothing_else_ends_it(hub: Hub, more: Entry) -> None:
    """An error on the way, and another operation's end, are events like others."""
    body = stream_frames(hub, plan(Filter.of(["operations:a"]), until_end=True))
    drawn(body)
    hub.route([more])
    assert [message.type for message in drawn(body)] == [more.type, "heartbeat"]


def test_a_stream_that_started_over_ends(hub: Hub) -> None:
    """After a discontinuity the body ends, and the resume decides."""
    body = stream_frames(hub, plan())
    drawn(body)
    hub.start_over(Mark("10:run", Cursor(10, 0)))
    assert list(body) == []
    assert len(hub) == 0


@pytest.mark.parametrize("era", [10, 5], ids=["a later era", "a clock that went back"])
def test_a_history_that_changes_during_the_opening_ends_the_stream(hub: Hub, era: int) -> None:
    """A stream opened in one history does not go live in another, whatever their numbers are (A8)."""

    def pages() -> Iterator[Entry]:
        yield entry(1)
        hub.start_over(Mark(f"{era}:run", Cursor(era, 0)))

    body = stream_frames(hub, plan(opening=Opening(Cursor(9, 1), pages())))
    drawn(body)
    hub.route([entry(1, era=era)])
    assert list(zip(body, range(5), strict=False)) == []
    assert len(hub) == 0


def test_a_stream_that_lagged_ends_without_hiding_what_it_missed() -> None:
    """The ring has passed it: nothing more is written, its cursor least of all."""
    hub = Hub(2, heartbeat_s=15)
    hub.start_over(START)
    body = stream_frames(hub, plan())
    drawn(body)
    hub.route([entry(n) for n in range(1, 6)])
    assert list(body) == []


@pytest.mark.parametrize("turns", [1, 2], ids=["in its opening", "live"])
def test_a_draining_stream_is_told_when_to_come_back(hub: Hub, turns: int) -> None:
    """Its last word is a time to wait, and its cursor stays what it was."""
    body = stream_frames(hub, plan())
    for _ in range(turns):
        drawn(body)
    hub.drain(0)
    (last,) = list(body)
    assert last.startswith(b"retry: ")


@pytest.mark.parametrize("busy", [False, True])
def test_a_stream_ends_when_it_has_been_open_for_long_enough(hub: Hub, *, busy: bool) -> None:
    """In the generator gear too, whether it has something to say or not."""
    hub.lifetime_s = 0.2
    body = stream_frames(hub, plan())
    drawn(body)
    started_at = time.monotonic()
    for n, _ in enumerate(body, start=1):
        if busy:
            hub.route([entry(n)])
    assert 0.15 < time.monotonic() - started_at < 10
    assert hub.closed == {CloseReason.LIFETIME: 1}


def test_a_stream_ends_before_what_it_was_granted_by(hub: Hub) -> None:
    """In the generator gear too: told when to come back."""
    grant = Grant("ann", expires_at=time.time() + 0.5)
    body = stream_frames(hub, replace(plan(), grant=grant))
    drawn(body)
    *_, last = takewhile(lambda _: time.time() < grant.expires_at + 10, body)
    assert last.startswith(b"retry: ")
    assert hub.closed == {CloseReason.EXPIRED: 1}


@pytest.mark.parametrize("turns", [1, 2], ids=["in its opening", "live"])
def test_a_revoked_stream_ends_without_a_word(hub: Hub, turns: int) -> None:
    """In the generator gear too, and what has come meanwhile is not said any more."""
    body = stream_frames(hub, replace(plan(), grant=Grant("ann")))
    for _ in range(turns):
        drawn(body)
    hub.is_revoked = lambda grant: grant.subject == "ann"
    hub.end_revoked()
    hub.route([entry(1)])
    assert list(islice(body, 9)) == []
    assert hub.closed == {CloseReason.REVOKED: 1}


def test_a_body_that_is_thrown_away_leaves_the_hub(hub: Hub) -> None:
    """Whoever closes the generator, the registry forgets the stream."""
    body = stream_frames(hub, plan())
    drawn(body)
    drawn(body)
    assert len(hub) == 1
    body.close()
    assert len(hub) == 0


def test_who_cannot_be_served_is_told_when_to_come_back() -> None:
    """One retry, and no more."""
    (only,) = sent_away()
    assert only.startswith(b"retry: ")


def test_an_outage_and_its_end_are_said_at_once(hub: Hub) -> None:
    """However long the next heartbeat would be; and nothing is claimed meanwhile."""
    body = stream_frames(hub, plan(heartbeat_s=3_600))
    drawn(body)
    hub.route([entry(1)])
    assert ids(parse(next(body))) == ["evt_9-1"]
    hub.tell(degraded=True)
    assert drawn(body) == [Message("heartbeat", '{"degraded":true}', "")]
    hub.tell(degraded=False)
    assert drawn(body) == [Message("heartbeat", "{}", "evt_9-1")]


def test_a_stream_that_opens_in_an_outage_is_told(hub: Hub) -> None:
    """Its opening still ends with its cursor."""
    hub.tell(degraded=True)
    assert drawn(stream_frames(hub, plan())) == [Message("heartbeat", '{"degraded":true}', "evt_9-0")]
