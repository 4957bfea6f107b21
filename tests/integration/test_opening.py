"""How a stream begins, with ring and log together: what needs no Redis, and the rest."""

import pytest

from dev.redis_server import RedisServer
from tests.sse import parse
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.events import Progress, Warning  # noqa: A004 - the wire's name
from tidings.log import Log, Mark
from tidings.record import OWN, Record
from tidings.replay import History, Reset
from tidings.settings import Settings
from tidings.topics import Filter
from webapp.opening import Past, open_stream, opening_frames
from webapp.ring import Ring

OP = Descriptor.of("op", "batch")
RECORDS = [
    Record.beginning(OP, "me.1", 1),
    Record.of(OP, Progress, condition=OWN, run="me.1", current=1, total=2, percentage=50),
    Record.of(OP, Warning, condition=OWN, run="me.1", code="c", message="m"),
]


def written(
    log: Log, ring: Ring, feed: Mark, past: Past, wanted: Filter | None = None
) -> list[tuple[str, str]]:
    """Open a stream; give the types and ids of what its opening writes."""
    opening = open_stream(log, ring, feed, wanted or Filter(), past)
    body = b"".join(opening_frames(opening, wanted or Filter(), past))
    return [(message.type, message.last_event_id) for message in parse(body)]


@pytest.fixture
def feed(log: Log) -> Mark:
    """Where the feed stands after three events."""
    log.append("me", 1, RECORDS)
    return log.hello()


@pytest.fixture
def empty(feed: Mark) -> Ring:
    """A ring whose process has just started."""
    ring = Ring(10)
    ring.restart(feed.position)
    return ring


def test_without_a_cursor_the_state_comes_first(log: Log, feed: Mark, empty: Ring) -> None:
    """The latest of each type, without ids, then the cursor."""
    end = ("heartbeat", feed.position.wire)
    assert written(log, empty, feed, Past()) == [("progress", ""), ("status", ""), ("warning", ""), end]


@pytest.mark.parametrize(
    "wanted", [Filter.of([], [], ["agent"]), Filter.of([], ["complete"]), Filter.of(["operations:other"])]
)
def test_a_state_that_is_not_asked_for_is_not_shown(
    log: Log, feed: Mark, empty: Ring, wanted: Filter
) -> None:
    """Topics, types and kinds hold for the state as well."""
    assert written(log, empty, feed, Past(), wanted) == [("heartbeat", feed.position.wire)]


def test_history_none_begins_with_nothing(log: Log, feed: Mark, empty: Ring) -> None:
    """Only what comes from now on."""
    assert written(log, empty, feed, Past(history=History.NONE)) == [("heartbeat", feed.position.wire)]


def test_history_all_begins_with_everything(log: Log, feed: Mark, empty: Ring) -> None:
    """Each event under its own id."""
    era = feed.position.era
    assert written(log, empty, feed, Past(history=History.ALL), Filter.of(["operations:op"])) == [
        ("status", f"evt_{era}-1"),
        ("progress", f"evt_{era}-2"),
        ("warning", f"evt_{era}-3"),
        ("heartbeat", f"evt_{era}-3"),
    ]


@pytest.mark.parametrize("requested", ["nonsense", "17", "evt_01-1", "x" * 5_000])
def test_a_malformed_cursor_is_a_reset(log: Log, feed: Mark, empty: Ring, requested: str) -> None:
    """The browser is told that its id means nothing here, and gets the state."""
    opening = open_stream(log, empty, feed, Filter(), Past(requested))
    assert opening.reset is Reset.UNKNOWN_CURSOR
    messages = written(log, empty, feed, Past(requested))
    assert (messages[0], messages[-1]) == (("reset", ""), ("heartbeat", feed.position.wire))


def test_a_cursor_that_the_ring_does_not_hold_is_resumed_from_the_log(
    log: Log, feed: Mark, empty: Ring
) -> None:
    """A process that has just started gives what another has given."""
    first = Cursor(feed.position.era, 1)
    assert [event_id for _, event_id in written(log, empty, feed, Past(first.wire))] == [
        Cursor(first.era, 2).wire,
        feed.position.wire,
        feed.position.wire,
    ]


def test_a_cursor_in_the_ring_is_resumed_with_redis_away(own_redis: RedisServer) -> None:
    """A reconnect storm, or an outage, is served from memory."""
    log = Log(Settings(redis_url=own_redis.url))
    start = log.hello().position
    log.append("me", 1, RECORDS)
    ring = Ring(10)
    ring.restart(start)
    for entry in log.read(start):
        ring.push(entry)
    feed = log.hello()
    own_redis.kill()
    for n in range(4):
        expected = [Cursor(start.era, m).wire for m in range(n + 1, 4)]
        ids = [event_id for _, event_id in written(log, ring, feed, Past(Cursor(start.era, n).wire))]
        assert ids == [*expected, feed.position.wire]
    log.close()
