"""The feed on a real log: what it follows, and when it has every stream start over (LOG.md (b)).

Each test drives one look at the log from its own thread instead of a greenlet, so that nothing
is left to time; the loop around it is the end-to-end tests' to try.
"""

from typing import Any

import pytest

from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.events import Warning  # noqa: A004 - the wire's name
from tidings.log import PAGE_ENTRIES, Log, Mark
from tidings.record import OWN, Record
from tidings.settings import Settings
from tidings.topics import Filter
from webapp.feed import Feed
from webapp.hub import Hub
from webapp.subscriber import CloseReason
from webapp.waiting import WaitingSubscriber

OP = Descriptor.of("op", "batch")
WARNING = Record.of(OP, Warning, condition=OWN, run="me.1", code="c", message="m")


class Web:
    """A hub and its feed on one log, beside the author who appends to it."""

    def __init__(self, settings: Settings, log: Log | None = None) -> None:
        self.log = log or Log(settings)
        self.hub = Hub(10_000, heartbeat_s=15)
        self.feed = Feed(self.log, self.hub)
        self._author = Log(settings)
        self._number = 0

    def say(self, times: int = 1) -> Cursor:
        """Append to the log, which announces the operation if it must; give the last place."""
        for record in [Record.beginning(OP, "me.1", 1), *[WARNING] * (times - 1)]:
            (outcome,) = self._author.append("me", self._number + 1, [record])
            self._number += 1
        assert outcome.cursor is not None
        return outcome.cursor

    def woken(self) -> None:
        """Look at the log as a wake-up asks for."""
        self.feed.look(woken=True)

    def silent(self) -> None:
        """Look at the log as a second of silence asks for."""
        self.feed.look(woken=False)

    def restart_server(self) -> None:
        """Make the log believe that another server process holds it now; somebody greets it: a linked era."""
        token = self._author.hello().token
        self._author.redis.hset(self._author.key("meta"), "tok", token.partition(":")[0] + ":another")
        self._author.hello()

    def flush(self) -> None:
        """Remove everything that the namespace has."""
        self._author.redis.delete(*self._author.redis.keys(self._author.key("*")))

    def put_back(self, kept: dict[Any, Any]) -> None:
        """Have the namespace as it was when *kept* was dumped, by a connection that was greeted before."""
        self.flush()
        for key, value in kept.items():
            self._author.redis.restore(key, 0, value)

    def join(self, position: Cursor | None = None) -> WaitingSubscriber:
        """Open a stream at *position*, else where the hub stands."""
        mark = self.hub.mark
        assert mark is not None
        subscriber = WaitingSubscriber(Filter(), position or mark.position)
        self.hub.join(subscriber, mark)
        return subscriber

    @property
    def position(self) -> Cursor:
        """Where the hub stands."""
        mark = self.hub.mark
        assert mark is not None
        return mark.position


@pytest.fixture
def web(settings: Settings) -> Web:
    """A web process that has just made contact with an empty log."""
    web = Web(settings)
    web.silent()
    return web


def test_the_first_contact_starts_at_the_logs_end(settings: Settings) -> None:
    """What was said before is the resume's to read, not the feed's."""
    web = Web(settings)
    last = web.say()
    assert web.hub.mark is None
    web.silent()
    assert web.hub.mark == web.log.hello()
    assert web.position == last
    assert web.hub.wait_until_ready(0) is not None


def test_a_wake_up_brings_what_was_appended(web: Web) -> None:
    """Whoever is subscribed gets it, in order, and the hub stands at its end."""
    subscriber = web.join()
    last = web.say(3)
    web.woken()
    assert [entry.cursor.n for entry in subscriber.take(web.hub.ring)] == [1, 2, 3]
    assert web.position == last == subscriber.position


def test_doubled_and_lost_wake_ups_change_nothing(web: Web) -> None:
    """The log tells, pub/sub only wakes."""
    subscriber = web.join()
    web.say()
    web.woken()
    web.woken()
    web.say()
    web.silent()
    web.silent()
    assert [entry.cursor.n for entry in subscriber.take(web.hub.ring)] == [1, 2]
    assert subscriber.closed is None


def test_more_than_a_page_is_read_at_one_look(web: Web) -> None:
    """However much has come, nothing is left for the next wake-up."""
    subscriber = web.join()
    last = web.say(2 * PAGE_ENTRIES + 3)
    web.woken()
    assert [entry.cursor.n for entry in subscriber.take(web.hub.ring)] == list(range(1, last.n + 1))


@pytest.mark.parametrize("look", [Web.woken, Web.silent])
def test_a_linked_era_is_followed(web: Web, look: Any) -> None:
    """A restart that kept everything ends no stream, and resumes find the feed in the new era."""
    subscriber = web.join()
    web.say()
    look(web)
    web.restart_server()
    last = web.say()
    look(web)
    assert subscriber.closed is None
    assert [entry.cursor for entry in subscriber.take(web.hub.ring)][-1] == last
    assert web.hub.mark == web.log.hello()


class AwayLog(Log):
    """A log that cannot be greeted while ``away``."""

    away = False

    def hello(self) -> Mark:
        """Greet the log, or not."""
        if self.away:
            raise LogUnavailable("away")
        return super().hello()


def test_an_era_whose_token_could_not_be_asked_for_is_asked_for_later(settings: Settings) -> None:
    """Redis that goes away just as an era is met leaves no process behind in the era before."""
    log = AwayLog(settings)
    web = Web(settings, log)
    web.silent()
    web.restart_server()
    web.say()
    log.away = True
    with pytest.raises(LogUnavailable):
        web.woken()
    log.away = False
    web.silent()
    assert web.hub.mark == log.hello()


def test_a_linked_era_ends_the_streams_that_saw_more_than_it_kept(web: Web) -> None:
    """A stream whose state was read past the feed, from a server that then lost it, starts over (A12)."""
    ahead = web.join(Cursor(web.position.era, web.position.n + 1))
    beside = web.join()
    web.restart_server()
    web.silent()
    assert (ahead.closed, beside.closed) == (CloseReason.HISTORY, None)


@pytest.mark.parametrize("look", [Web.woken, Web.silent])
def test_a_flushed_log_has_every_stream_start_over(web: Web, look: Any) -> None:
    """Another history is not taken for the continuation of the one before (A7)."""
    subscriber = web.join()
    web.say()
    web.woken()
    web.flush()
    web.say(5)
    look(web)
    assert subscriber.closed is CloseReason.HISTORY
    assert web.hub.mark == web.log.hello()
    assert not web.hub.ring.holds(subscriber.position)


def test_a_flushed_log_is_noticed_though_nobody_says_anything(web: Web) -> None:
    """The question asked in silence finds a log that was emptied (A14)."""
    subscriber = web.join()
    web.flush()
    web.silent()
    assert subscriber.closed is CloseReason.HISTORY
    assert web.hub.mark == web.log.hello()


def test_a_log_whose_ids_are_smaller_is_noticed_in_silence(web: Web) -> None:
    """When the clock went back over a flush, no entry is ever after ours, and the question tells (A8)."""
    subscriber = web.join()
    web.hub.start_over(web.log.hello()._replace(position=Cursor(9 * 10**15, 3)))
    later = web.join()
    web.say()
    web.silent()
    assert subscriber.closed is later.closed is CloseReason.HISTORY
    assert web.hub.mark == web.log.hello()


def test_a_trimmed_log_has_every_stream_start_over(web: Web) -> None:
    """A feed that was left behind by the trimming does not skip what it missed (A6)."""
    subscriber = web.join()
    web.say(10)
    web.log.redis.xtrim(web.log.key("log"), maxlen=3, approximate=False)
    web.woken()
    assert subscriber.closed is CloseReason.HISTORY
    assert subscriber.take(web.hub.ring) == []
    assert web.hub.mark == web.log.hello()


def test_a_lost_tail_has_every_stream_start_over(web: Web) -> None:
    """A server that went on from less of the era than we have read does not continue it (A9)."""
    subscriber = web.join()
    before = {key: web.log.redis.dump(key) for key in web.log.redis.keys(web.log.key("*"))}
    web.say(3)
    web.woken()
    web.put_back(before)
    web.restart_server()
    web.silent()
    assert subscriber.closed is CloseReason.HISTORY
    assert web.hub.mark == web.log.hello()


def test_a_log_that_went_back_within_an_era_has_every_stream_start_over(web: Web) -> None:
    """A server that is put back to what it was gives the same ids out again; that is no continuation."""
    subscriber = web.join()
    before = {key: web.log.redis.dump(key) for key in web.log.redis.keys(web.log.key("*"))}
    web.say(3)
    web.woken()
    web.put_back(before)
    web.silent()
    assert subscriber.closed is CloseReason.HISTORY
    assert web.hub.mark == web.log.hello()


def test_a_contact_that_is_lost_is_told_once(settings: Settings) -> None:
    """Whoever holds other connections to the same server hears of it, not of each try."""
    told: list[str] = []
    log, hub = Log(settings), Hub(10, heartbeat_s=15)
    feed = Feed(log, hub, on_lost=lambda: told.append("lost"))
    feed._recover()  # noqa: SLF001 - as behind the first contact
    for _ in range(3):
        feed._degrade("gone")  # noqa: SLF001 - as behind a try that failed
    assert told == ["lost"]
    assert not hub.degraded  # within a second of the contact there is nothing to tell the streams
    log.close()


FOREIGN: dict[str, dict[Any, Any]] = {
    "without our fields": {"x": "y"},
    "of no type of ours": {"t": "gossip", "d": "{}"},
    "with no JSON": {"t": "warning", "d": "no json"},
    "not UTF-8": {"t": b"\xff", "d": b"\xff", "k": b"\xff"},
    "a malformed first entry": {"t": "era", "prev": "yesterday"},
}


@pytest.mark.parametrize("fields", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("look", [Web.woken, Web.silent])
def test_a_foreign_entry_has_the_streams_start_over_once(web: Web, look: Any, fields: dict[Any, Any]) -> None:
    """What we cannot read leaves a hole, which is said; behind it the feed goes on."""
    subscriber = web.join()
    web.say()
    web.log.redis.xadd(web.log.key("log"), fields, id=f"{web.position.era}-*")
    web.say()
    look(web)
    assert [entry.cursor.n for entry in subscriber.take(web.hub.ring)] in ([], [1])
    assert subscriber.closed is CloseReason.HISTORY
    web.hub.leave(subscriber)
    after = web.join()
    last = web.say()
    look(web)
    assert [entry.cursor for entry in after.take(web.hub.ring)] == [last]
    assert after.closed is None
