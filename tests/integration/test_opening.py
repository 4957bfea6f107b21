"""How a stream begins, with ring and log together: what needs no Redis, and the rest."""

from collections.abc import Sequence

import pytest

from dev.redis_server import RedisServer
from tests.sse import parse
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.events import Progress, Warning  # noqa: A004 - the wire's name
from tidings.log import Log, Mark, OperationState
from tidings.record import OWN, Record
from tidings.replay import History, Reset, start_over
from tidings.settings import Settings
from tidings.topics import Filter
from webapp.opening import KEPT_S, MOST_KEPT, Openings, Past, open_stream, opening_frames
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


class Reads:
    """A process that opens streams: counts what it reads of the log, and has its time told."""

    def __init__(self, log: Log, ring: Ring) -> None:
        self.count = 0
        self.now = 0.0
        self._log = log
        self.openings = Openings(self, ring, lambda: self.now)  # type: ignore[arg-type]  # of a log it asks the state

    def state(self, topics: Sequence[str], most: int) -> tuple[Mark, list[OperationState]]:
        """Read as the log does."""
        self.count += 1
        return self._log.state(topics, most)

    def written(self, feed: Mark, past: Past | None = None, wanted: Filter | None = None) -> list[bytes]:
        """Open a stream; give what its opening writes, but for the time to come back."""
        opening = self.openings.open(feed, wanted or Filter(), past or Past())
        return list(opening_frames(opening, wanted or Filter(), past or Past()))[1:]


@pytest.fixture
def reads(log: Log, empty: Ring) -> Reads:
    """A process that has just started."""
    return Reads(log, empty)


def test_streams_that_ask_for_the_same_are_opened_by_one_read(reads: Reads, feed: Mark) -> None:
    """They get the same bytes, and those are what one stream gets that is opened by itself."""
    alone = opening_frames(start_over(reads._log, Filter(), feed), Filter(), Past())  # noqa: SLF001
    several = [reads.written(feed) for _ in range(3)]
    assert reads.count == 1
    assert several == [list(alone)[1:]] * 3


def test_streams_that_ask_for_something_else_are_opened_by_themselves(reads: Reads, feed: Mark) -> None:
    """Another filter, or another past, is another opening."""
    everything, warnings = (
        b"".join(reads.written(feed, wanted=wanted)) for wanted in (Filter(), Filter.of([], ["warning"]))
    )
    assert (b"event: progress" in everything, b"event: progress" in warnings) == (True, False)
    assert reads.openings.open(feed, Filter(), Past("nonsense")).reset is Reset.UNKNOWN_CURSOR
    assert reads.count == 3


def test_an_opening_is_forgotten_when_the_feed_reads_on(reads: Reads, log: Log, feed: Mark) -> None:
    """Whoever comes after an event sees it in the state."""
    before = reads.written(feed)
    log.append("me", 4, [Record.of(OP, Warning, condition=OWN, run="me.1", code="later", message="m")])
    after = reads.written(log.hello())
    assert (b"later" in b"".join(before), b"later" in b"".join(after)) == (False, True)
    assert reads.count == 2


def test_an_opening_is_forgotten_after_a_second(reads: Reads, feed: Mark) -> None:
    """What has expired is not shown for ever."""
    for now, count in ((0.0, 1), (KEPT_S, 1), (KEPT_S + 0.1, 2), (KEPT_S + 0.2, 2)):
        reads.now = now
        reads.written(feed)
        assert reads.count == count


def test_few_openings_are_kept(reads: Reads, feed: Mark) -> None:
    """However many ask for different things, memory holds some of them."""
    for n in range(10 * MOST_KEPT):
        reads.written(feed, wanted=Filter.of([f"operations:o{n}"]))
        assert len(reads.openings._kept) <= MOST_KEPT  # noqa: SLF001 - the bound itself


def test_an_opening_that_reads_on_is_not_kept(reads: Reads, log: Log, feed: Mark) -> None:
    """Pages of Redis can be drawn once, by one stream."""
    openings = Openings(log, Ring(1))
    wanted, past = Filter.of(["operations:op"]), Past(history=History.ALL)
    written = [list(opening_frames(openings.open(feed, wanted, past), wanted, past))[1:] for _ in range(2)]
    assert written[0] == written[1]
    assert b"event: warning" in b"".join(written[1])
