"""The parking and the hub on a running event loop: who is told what and when, and whom nobody waits for.

Kernel sockets, one process, no Redis. Each hazard of the parked gear that needs no server is provoked here.
"""

import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import gevent
import pytest

from tests.parked_streams import (
    ERA,
    EVERYTHING,
    LEAST_BUFFER_BYTES,
    START,
    Browser,
    HubStreams,
    ParkedStreams,
    at,
    make_entry,
    new_era,
    run_until,
    still_served,
)
from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.log import Mark
from tidings.topics import Filter
from webapp.access import Grant
from webapp.hub import LINGER_S
from webapp.pace import STRIDE
from webapp.page import Page
from webapp.parked import MAX_STRAY_BYTES, ParkedSubscriber
from webapp.parking import SILENT_SLOTS, SLOTS, STUCK_S
from webapp.subscriber import CloseReason, Subscriber
from webapp.waiting import WaitingSubscriber

MINE = Filter.of(["operations:op"])
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
QUICK_S = 0.3
"""A heartbeat interval of 60 ticks of 5 ms."""


@pytest.fixture
def streams() -> Iterator[ParkedStreams]:
    """A parking whose heartbeats come three times a second."""
    with ParkedStreams(heartbeat_s=QUICK_S) as streams:
        yield streams


@pytest.fixture
def here() -> Iterator[HubStreams]:
    """A hub of the test's own."""
    with HubStreams() as here:
        yield here


def told(streams: ParkedStreams) -> list[tuple[int, int]]:
    """Give what the set of descriptors would tell now; level-triggered, so anything here would spin."""
    found: list[tuple[int, int]] = streams.parking._epoll_set().poll(0)  # noqa: SLF001 - no other way to see
    return found


def test_slow_readers_catch_up_when_they_read(here: HubStreams) -> None:
    """Browsers that read at their own pace get everything in order, and hold nobody up."""
    slow = [here.open(MINE, send_buffer_bytes=LEAST_BUFFER_BYTES, chunked=n % 2 == 0) for n in range(20)]
    fast = [here.open(MINE) for _ in range(20)]
    for n in range(1, 101):
        here.route(make_entry(n, size_bytes=400 + n))
        for browser in slow[n % 7 :: 7]:
            browser.read(1_000)
        for browser in fast:
            browser.read()
    everything = list(range(1, 101))
    assert [browser.places for browser in fast] == [everything] * 20
    for browser in slow:
        run_until(lambda browser=browser: browser.read_all() == everything)  # type: ignore[misc]

    assert here.hub.parked == 40


def test_blocked_stream_ends_with_its_operation_once_its_browser_reads(here: HubStreams) -> None:
    """A browser that was behind when its operation ended gets the end, then a proper end of its body."""
    browser = here.open(MINE, until_end=True, send_buffer_bytes=LEAST_BUFFER_BYTES)
    for n in range(1, 21):
        here.route(make_entry(n, size_bytes=1_000))
    here.route(make_entry(21, "complete"))
    here.route(make_entry(22, operation="other"))
    run_until(lambda: browser.read_all() and browser.over)

    assert browser.places == list(range(1, 22))
    assert browser.body.complete
    assert len(here.hub) == 0
    assert here.hub.closed == {CloseReason.FINISHED: 1}


def test_heartbeat_during_a_fan_out_claims_nothing_unwritten() -> None:
    """A heartbeat that falls between two writes of a fan-out never says that a stream has what it has not."""
    during = 0
    with HubStreams(heartbeat_s=0.03) as here:
        browsers = [here.open(MINE) for _ in range(4 * STRIDE)]
        for n in range(1, 16):
            _await_a_beat(browsers[:: STRIDE // 2])
            before = sum(len(browser.heartbeats) for browser in browsers)
            fan_out = gevent.spawn(here.hub.route, [make_entry(n)])
            run_until(fan_out.ready)
            fan_out.get()
            for browser in browsers:
                assert browser.read_all()[-1] == n
            during += sum(len(browser.heartbeats) for browser in browsers) - before

    assert during > 0
    for browser in browsers:
        assert browser.places == list(range(1, 16))
        assert _claims_hold(browser)


def _await_a_beat(browsers: list[Browser]) -> None:
    """Wait until one of *browsers* beats again; those that heard an event together follow at once."""
    counts = [len(browser.heartbeats) for browser in browsers]

    def begun() -> bool:
        for browser in browsers:
            browser.read()
        return any(len(browser.heartbeats) > count for browser, count in zip(browsers, counts, strict=True))

    run_until(begun)


def _claims_hold(browser: Browser) -> bool:
    """Tell whether no event came behind an id that had claimed it."""
    claimed = START
    for message in browser.messages:
        cursor = Cursor.parse(message.last_event_id)
        if cursor < claimed or (message.type != "heartbeat" and cursor == claimed):
            return False
        claimed = cursor
    return True


def test_fan_out_lets_others_run_after_each_stride(here: HubStreams) -> None:
    """While an event goes to many streams, the event loop turns every so many writes."""
    browsers = [here.open(MINE) for _ in range(5 * STRIDE)]
    fan_out = gevent.spawn(here.hub.route, [make_entry(1)])
    reached = set()

    def done() -> bool:
        reached.add(sum(bool(browser.read_all()) for browser in browsers))
        return fan_out.ready()

    run_until(done)
    assert {STRIDE, 2 * STRIDE, 3 * STRIDE, 4 * STRIDE} <= reached


def test_stream_parked_during_a_fan_out_gets_the_event_once(here: HubStreams) -> None:
    """A stream that joins between two writes of a fan-out gets that event, and gets it once."""
    for _ in range(4 * STRIDE):
        here.open(MINE)
    late: list[Browser] = []
    fan_out = gevent.spawn(here.hub.route, [make_entry(1), make_entry(2)])

    def done() -> bool:
        late.append(here.open(MINE, after=START))
        late.append(here.open(MINE, after=at(1)))
        return fan_out.ready()

    run_until(done)
    here.route(make_entry(3))
    assert len(late) > 4
    assert [browser.read_all() for browser in late] == [[1, 2, 3], [2, 3]] * (len(late) // 2)


def test_reused_descriptor_number_gets_nothing_of_the_stream_before(streams: ParkedStreams) -> None:
    """A connection that takes the number of a stream that has ended gets no byte that was meant for that."""
    subscriber, _ = streams.open(MINE)
    number = subscriber.fd
    page = streams.page(make_entry(1))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        streams.parking.drop(subscriber)
        os.dup2(ours.fileno(), number)
        subscriber.deliver(page)
        subscriber.beat(at(1))
        subscriber.catch_up()
        subscriber.hear()
        subscriber.close(CloseReason.DRAINING)
        streams.parking.drop(subscriber)

        assert os.fstat(number).st_ino == os.fstat(ours.fileno()).st_ino
        os.close(number)
        theirs.settimeout(0)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_connections_accepted_during_a_fan_out_get_nothing_of_it(here: HubStreams) -> None:
    """Browsers that leave during a fan-out free their numbers for others, who get nothing of it."""
    browsers = [here.open(MINE) for _ in range(4 * STRIDE)]
    strangers: list[socket.socket] = []
    fan_out = gevent.spawn(here.hub.route, [make_entry(1)])

    def done() -> bool:
        for browser in [browser for browser in browsers if not browser.read_all()][:10]:
            browser.connection.close()
            browsers.remove(browser)
            strangers.extend(socket.socketpair())
        return fan_out.ready()

    run_until(done)
    run_until(lambda: len(here.hub) == len(browsers))
    assert strangers
    for stranger in strangers:
        stranger.settimeout(0)
        with pytest.raises(BlockingIOError):
            stranger.recv(1)
    for stranger in strangers:
        stranger.close()
    assert [browser.read_all() for browser in browsers] == [[1]] * len(browsers)


def test_copy_of_a_dropped_socket_wakes_nobody(streams: ParkedStreams) -> None:
    """A child that still holds the socket of a stream that has ended causes no wake-ups for ever."""
    subscriber, browser = streams.open()
    held = os.dup(subscriber.fd)  # what a fork leaves in the child: the same open socket under another number
    streams.parking.drop(subscriber)
    browser.connection.send(b"x")
    browser.connection.close()

    assert told(streams) == []
    os.close(held)


def test_descriptor_of_nobody_is_forgotten(streams: ParkedStreams) -> None:
    """A descriptor that is told of and belongs to no stream is not told of again."""
    _, browser = streams.open()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        streams.parking._epoll_set().register(ours.fileno(), select.EPOLLIN)  # noqa: SLF001 - must not happen
        theirs.send(b"x")
        run_until(lambda: not told(streams))
    streams.route(make_entry(1))

    assert browser.read_all() == [1]


class FailingToHear(ParkedSubscriber):
    """A stream with a fault."""

    __slots__ = ()

    def hear(self) -> None:
        """Fail."""
        raise RuntimeError("a fault")


class FailingToBeat(ParkedSubscriber):
    """A stream with another fault."""

    __slots__ = ()

    def beat(self, position: Cursor) -> None:  # noqa: ARG002 - fails whatever it is
        """Fail."""
        raise RuntimeError("a fault")


class FailingToGo(ParkedSubscriber):
    """A stream with a third fault."""

    __slots__ = ()

    def lose(self, reason: CloseReason = CloseReason.GONE) -> None:  # noqa: ARG002 - fails whatever it is
        """Fail."""
        raise RuntimeError("a fault")


class FailingToTake(Subscriber):
    """A stream with a fourth fault."""

    __slots__ = ()

    def deliver(self, page: Page) -> None:  # noqa: ARG002 - fails whatever it is
        """Fail."""
        raise RuntimeError("a fault")


def test_fault_in_a_callback_drops_that_stream_only(
    streams: ParkedStreams, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream whose callback fails is dropped and counted; the others are still looked after."""
    for _ in range(2):
        faulty, browser = streams.open(made=FailingToHear)
        other, leaving = streams.open()
        browser.connection.send(b"x")
        run_until(lambda faulty=faulty: faulty in streams.gone)  # type: ignore[misc]
        leaving.connection.close()
        run_until(lambda other=other: other in streams.gone)  # type: ignore[misc]
        run_until(lambda: "1 parked streams were dropped by an error" in caplog.text)
        caplog.clear()


def test_fault_while_dropping_is_nobody_elses_either(
    streams: ParkedStreams, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that cannot even be dropped without an error leaves the others watched."""

    def fail(_: ParkedSubscriber) -> None:
        raise RuntimeError("a fault")

    told_of, streams.parking._on_gone = streams.parking._on_gone, fail  # noqa: SLF001 - a fault to be had
    faulty = [streams.open(made=FailingToHear) for _ in range(3)]
    for _, browser in faulty:
        browser.connection.send(b"x")
    run_until(lambda: all(browser.read() or browser.over for _, browser in faulty))
    streams.parking._on_gone = told_of  # noqa: SLF001 - the end of the fault
    other, leaving = streams.open()
    leaving.connection.close()
    run_until(lambda: other in streams.gone)

    assert len(streams.parking) == 0
    assert "had stopped" not in caplog.text


def test_watcher_that_has_stopped_is_started_again(
    streams: ParkedStreams, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever makes gevent stop the watcher of all sockets, within a tick it listens again, and says so."""
    subscriber, browser = streams.open()
    streams.parking._watcher.stop()  # noqa: SLF001 - what gevent does when a callback raises
    browser.connection.send(b"x")
    run_until(lambda: subscriber.stray == 1, timeout_s=10)

    assert "had stopped" in caplog.text


def test_fault_while_cutting_the_stuck_does_not_end_all_heartbeats(streams: ParkedStreams) -> None:
    """Streams that fail as they are cut for taking nothing do not stop the wheel for the others."""
    stuck, _ = streams.open(made=FailingToGo, send_buffer_bytes=LEAST_BUFFER_BYTES)
    _, other = streams.open(Filter.of(["operations:other"]))
    streams.route(make_entry(1, size_bytes=20_000))
    assert stuck.chasing
    streams.parking.tick += int(STUCK_S / QUICK_S * SLOTS)
    run_until(lambda: stuck.fd < 0)
    before = len(other.heartbeats)

    def beaten() -> bool:
        other.read_all()
        return len(other.heartbeats) >= before + 2

    run_until(beaten, timeout_s=10)


def test_fault_in_a_heartbeat_does_not_end_all_heartbeats(streams: ParkedStreams) -> None:
    """A stream whose heartbeat fails takes nobody else's away."""
    streams.open(made=FailingToBeat)
    _, browser = streams.open()

    def beaten() -> bool:
        browser.read_all()
        return len(browser.heartbeats) >= 3

    run_until(beaten, timeout_s=10)


def test_fault_in_a_delivery_takes_no_event_from_others(here: HubStreams) -> None:
    """A stream that fails to take a page does not keep it from those after it."""
    browsers = [here.open(MINE) for _ in range(20)]
    for _ in range(5):
        here.hub.join(FailingToTake(MINE, START), here.mark)
    # Whether the hub or the feed's supervised loop catches it makes no difference to the others.
    for n in (1, 2):
        gevent.spawn(here.hub.route, [make_entry(n)]).join()

    assert [browser.read_all() for browser in browsers] == [[1, 2]] * 20


def test_stray_bytes_do_not_spin(streams: ParkedStreams) -> None:
    """What a client says behind its request is read off, so that it does not wake us again."""
    subscriber, browser = streams.open()
    browser.connection.send(b"\r\n\r\n")
    run_until(lambda: subscriber.stray == 4)
    assert told(streams) == []
    streams.route(make_entry(1))

    assert browser.read_all() == [1]
    assert streams.gone == []


def test_bytes_that_come_with_the_end_do_not_make_it_a_reset(streams: ParkedStreams) -> None:
    """They are read before the close, though the loop has not turned since they came."""
    subscriber, browser = streams.open()
    streams.route(make_entry(1))
    browser.connection.send(b"lo")
    subscriber.close(CloseReason.LIFETIME)
    received = b""
    while piece := browser.connection.recv(65_536):
        received += piece

    assert received.endswith(b"0\r\n\r\n")


def test_client_that_goes_on_talking_is_cut(streams: ParkedStreams) -> None:
    """More than 4 KB behind the request, in whatever pieces, end the stream."""
    subscriber, browser = streams.open()
    browser.connection.send(b"x" * MAX_STRAY_BYTES)
    run_until(lambda: subscriber.stray == MAX_STRAY_BYTES)
    assert subscriber.closed is None
    browser.connection.send(b"x")
    run_until(lambda: streams.gone == [subscriber])
    browser.read_all()

    assert browser.over


def _half_close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


def _close(connection: socket.socket) -> None:
    connection.close()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()


@pytest.mark.parametrize("leave", [_half_close, _close, _reset])
@pytest.mark.parametrize("blocked", [False, True])
def test_browser_that_leaves_is_forgotten_at_once(
    here: HubStreams, leave: Callable[[socket.socket], None], *, blocked: bool
) -> None:
    """However a browser leaves, and though nothing is written, its stream and its descriptor are gone."""
    staying = here.open(MINE, tcp=True)
    leaving = [
        here.open(MINE, tcp=True, send_buffer_bytes=LEAST_BUFFER_BYTES if blocked else 0) for _ in range(10)
    ]
    if blocked:
        for n in range(1, 400):
            here.route(make_entry(n, size_bytes=16_000))
            staying.read_all()
    for browser in leaving:
        leave(browser.connection)
    run_until(lambda: len(here.hub) == 1)

    assert here.hub.parked == 1
    assert here.hub.closed == {CloseReason.GONE: 10}
    assert still_served(leaving) == 0
    assert still_served([staying]) == 1


def test_leaving_together_is_forgotten_together(here: HubStreams) -> None:
    """More browsers leave at once than one look at the descriptors tells of, and all are forgotten."""
    browsers = [here.open(MINE) for _ in range(1_500)]
    assert len(here.hub) == 1_500
    for browser in browsers:
        browser.connection.close()
    run_until(lambda: len(here.hub) == 0)

    assert here.hub.closed == {CloseReason.GONE: 1_500}


def test_silent_streams_beat_once_an_interval_each(streams: ParkedStreams) -> None:
    """Every silent stream gets one heartbeat in each interval, whatever comes to others."""
    browsers = [streams.open(MINE)[1] for _ in range(200)]
    heard = _listen(streams, browsers, 4)

    for ticks in heard:
        assert all(abs(later - earlier - SLOTS) <= 2 for earlier, later in pairwise(ticks)), ticks


def test_first_heartbeats_are_spread_over_the_interval(streams: ParkedStreams) -> None:
    """Streams that came together do not beat together."""
    browsers = [streams.open(MINE)[1] for _ in range(300)]
    firsts = [ticks[0] for ticks in _listen(streams, browsers, 1)]

    assert max(firsts) <= SLOTS + 2
    assert len(set(firsts)) > SLOTS // 2
    assert max(firsts.count(tick) for tick in set(firsts)) < 60


def test_stream_that_spoke_beats_one_interval_later(streams: ParkedStreams) -> None:
    """An event puts the next heartbeat off by a whole interval."""
    other = [streams.open(Filter.of(["operations:other"]))[1] for _ in range(20)]
    browsers = [streams.open(MINE)[1] for _ in range(20)]
    spoke_at = 0
    for n in range(1, 6):
        spoken_at = streams.parking.tick
        run_until(lambda spoken_at=spoken_at: streams.parking.tick >= spoken_at + SLOTS // 2)  # type: ignore[misc]
        spoke_at = streams.parking.tick
        streams.route(make_entry(n))
    for browser in browsers:
        browser.read_all()
    early = [len(browser.heartbeats) for browser in browsers]
    heard = _listen(streams, browsers, 1)

    # Only the first interval, which is not a whole one, may have had one before the first event.
    assert all(count <= 1 for count in early)
    assert all(SILENT_SLOTS - 2 <= ticks[0] - spoke_at <= SLOTS + 2 for ticks in heard)
    assert all(browser.read_all() == [] and len(browser.heartbeats) >= 2 for browser in other)


def test_streams_that_heard_the_same_event_do_not_beat_together(streams: ParkedStreams) -> None:
    """The heartbeats that follow an event for all are spread over the last quarter of the interval."""
    browsers = [streams.open(MINE)[1] for _ in range(300)]
    run_until(lambda: streams.parking.tick > SLOTS)
    streams.route(make_entry(1))
    spoke_at = streams.parking.tick
    for browser in browsers:
        browser.read_all()
    firsts = [ticks[0] - spoke_at for ticks in _listen(streams, browsers, 1)]

    assert SILENT_SLOTS - 2 <= min(firsts) <= max(firsts) <= SLOTS + 2
    assert max(firsts.count(tick) for tick in set(firsts)) < 60


def test_streams_end_when_they_have_been_open_for_long_enough() -> None:
    """Each stream ends properly once 80 to 100 % of its lifetime are over, whether it is silent or not."""
    with HubStreams(heartbeat_s=QUICK_S, lifetime_s=4 * QUICK_S) as here:
        silent = [here.open(Filter.of(["operations:other"])) for _ in range(50)]
        busy = [here.open(MINE) for _ in range(50)]
        ended_at: dict[Browser, int] = {}
        said = 0

        def over() -> bool:
            nonlocal said
            if here.hub.parked and here.tick // 7 > said:
                said = here.tick // 7
                here.route(make_entry(here.next_n()))
            for browser in [*silent, *busy]:
                browser.read_all()
                if browser.over:
                    ended_at.setdefault(browser, here.tick)
            return len(ended_at) == 100

        run_until(over, timeout_s=30)

    assert said > 20
    assert all(browser.body.complete and browser.parser.retry_ms is None for browser in ended_at)
    assert 3.2 * SLOTS - 2 <= min(ended_at.values()) < 3.9 * SLOTS
    assert max(ended_at.values()) <= 5 * SLOTS + 2
    assert len(set(ended_at.values())) > SLOTS // 4
    assert all(_claims_hold(browser) for browser in ended_at)
    assert here.hub.closed == {CloseReason.LIFETIME: 100}


def test_a_stream_ends_before_what_it_was_granted_by() -> None:
    """Within a slot of the wheel and not at its next heartbeat, told when to come back; others stay."""
    with HubStreams(heartbeat_s=15) as here:
        ends_at = time.time() + 2
        granted = [here.open(MINE, grant=Grant("ann", expires_at=ends_at)) for _ in range(40)]
        others = [here.open(MINE, grant=Grant("ann", expires_at=ends_at + 3_600)), here.open(MINE)]
        ended_at: dict[Browser, int] = {}

        def over() -> bool:
            for browser in granted:
                browser.read_all()
                if browser.over:
                    ended_at.setdefault(browser, here.tick)
            return len(ended_at) == 40

        run_until(over, timeout_s=30)
        assert here.hub.closed == {CloseReason.EXPIRED: 40}
        assert here.hub.parked == len(others)

    assert all(browser.body.complete and browser.parser.retry_ms is not None for browser in granted)
    assert max(ended_at.values()) <= 8 + 2  # slots of 0.25 s; a heartbeat comes after 60


def test_what_is_revoked_is_ended_at_once_and_not_let_in() -> None:
    """Of whom it was granted to, and of nobody else; without a word: there is nothing to come back for."""
    with HubStreams() as here:
        hers, his = (here.open(MINE, grant=Grant(name)) for name in ("ann", "bob"))
        nobodys = here.open(MINE)
        run_until(lambda: here.hub.parked == 3)
        here.hub.is_revoked = lambda grant: grant.subject == "ann"
        here.hub.end_revoked()
        late = here.open(MINE, grant=Grant("ann"))
        here.route(make_entry(here.next_n()))
        run_until(lambda: his.read_all() or his.places)
        run_until(lambda: nobodys.read_all() or nobodys.places)
        for browser in (hers, late):
            browser.read_all()
            assert (browser.over, browser.places) == (True, [])
            assert (browser.body.complete, browser.parser.retry_ms) == (True, None)
        assert here.hub.closed == {CloseReason.REVOKED: 2}


def _listen(streams: ParkedStreams, browsers: list[Browser], beats: int) -> list[list[int]]:
    """Run until each of *browsers* has had *beats* more heartbeats; give the ticks that each came at."""
    ticks: list[list[int]] = [[] for _ in browsers]

    def heard() -> bool:
        for browser, seen in zip(browsers, ticks, strict=True):
            before = len(browser.heartbeats)
            browser.read_all()
            seen.extend([streams.parking.tick] * (len(browser.heartbeats) - before))
        return min(map(len, ticks)) >= beats

    run_until(heard)
    return ticks


def test_reader_that_takes_nothing_is_cut_and_others_are_not(streams: ParkedStreams) -> None:
    """A blocked browser that reads nothing for ten seconds is cut; one that reads a little is not."""
    stuck, _ = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
    slow, slow_browser = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
    quiet, _ = streams.open()
    streams.route(*(make_entry(n, size_bytes=1_000) for n in range(1, 40)))
    assert stuck.chasing
    assert slow.chasing
    for _ in range(3):
        position = slow.position
        while slow.position == position:
            slow_browser.read(1_000)
            gevent.idle()
        assert slow.chasing
        streams.parking.tick += int(STUCK_S / QUICK_S * SLOTS * 0.45)
    run_until(lambda: streams.gone == [stuck])

    assert stuck.closed is CloseReason.STUCK
    assert slow.closed is None
    assert quiet.closed is None


def test_drain_ends_every_stream_properly(here: HubStreams) -> None:
    """A drain tells each browser when to come back and ends its body, also of those that still come."""
    browsers = [here.open(MINE) for _ in range(120)]
    waiting = WaitingSubscriber(MINE, START)
    here.hub.join(waiting, here.mark)
    drain = gevent.spawn(here.hub.drain, 0.2)
    run_until(lambda: here.hub.draining)
    late = here.open(MINE)
    run_until(drain.ready)

    for browser in [*browsers, late]:
        browser.read_all()
        assert browser.over
        assert browser.body.complete
        assert browser.parser.retry_ms is not None
    assert waiting.closed is CloseReason.DRAINING
    assert here.hub.parked == 0
    assert here.hub.closed == {CloseReason.DRAINING: 121}


def test_drain_lets_readers_that_are_behind_take_the_end_of_their_bodies(here: HubStreams) -> None:
    """A browser that is behind when the drain ends its stream reads the rest of its frame, and the end."""
    behind = here.open(MINE, send_buffer_bytes=LEAST_BUFFER_BYTES)
    never = here.open(MINE, send_buffer_bytes=LEAST_BUFFER_BYTES)
    here.route(make_entry(1, size_bytes=20_000))
    drain = gevent.spawn(here.hub.drain, 0)
    run_until(lambda: bool(here.hub.draining))
    gevent.idle()
    here.route(make_entry(2))
    run_until(lambda: not behind.read() and behind.over)
    assert not drain.ready()
    run_until(drain.ready, timeout_s=10 * LINGER_S)

    assert behind.places == [1]
    assert behind.body.complete
    assert behind.parser.retry_ms is not None
    assert never.raw == b""
    assert here.hub.parked == 1
    never.connection.close()
    run_until(lambda: here.hub.parked == 0)


def test_reader_that_does_not_take_its_end_is_cut(streams: ParkedStreams) -> None:
    """A reader that is ended while it is behind has eight seconds for the rest, however little it reads."""
    leaving, browser = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
    streams.route(make_entry(1, size_bytes=20_000))
    leaving.close(CloseReason.LIFETIME)
    ended_at = streams.parking.tick
    for _ in range(3):
        streams.parking.tick += int(STUCK_S / QUICK_S * SLOTS * 0.4)
        left = len(leaving.tail)
        while leaving.fd >= 0 and len(leaving.tail) == left:
            browser.read(1_000)
            leaving.catch_up()
    run_until(lambda: leaving in streams.gone)

    assert leaving.closed is CloseReason.LIFETIME
    assert streams.parking.tick - ended_at < STUCK_S / QUICK_S * SLOTS * 1.9


@pytest.mark.parametrize("era", [ERA + 1, ERA - 1], ids=["a later era", "a clock that went back"])
def test_nobody_beats_while_streams_of_a_lost_history_are_closed(era: int) -> None:
    """Neither those that still wait to be closed, nor those that join meanwhile, get an id of the others'."""
    with HubStreams(heartbeat_s=QUICK_S) as here:
        browsers = [here.open(MINE) for _ in range(4 * STRIDE)]
        new = Mark("other", Cursor(era, 0))
        late: list[Browser] = []

        class TakingLong(WaitingSubscriber):
            """A stream whose end takes so long that another opens, and everybody could beat."""

            __slots__ = ()

            def close(self, reason: CloseReason) -> None:
                super().close(reason)
                here.mark = new
                late.append(here.open(MINE))
                tick = here.tick
                run_until(lambda: here.tick > tick + 2 * SLOTS)

        slow = TakingLong(MINE, START)
        here.hub.join(slow, here.mark)
        closing = gevent.spawn(here.hub.start_over, new)
        run_until(closing.ready)
        closing.get()
        _listen_to(late, 1)
        for browser in browsers:
            browser.read_all()

    assert slow.closed is CloseReason.HISTORY
    assert all(browser.body.complete for browser in browsers)
    assert _ids(browsers) <= {START.wire}
    assert _ids(late) == {new.position.wire}


def _listen_to(browsers: list[Browser], beats: int) -> None:
    """Run until each of *browsers* has had so many heartbeats in all."""

    def heard() -> bool:
        for browser in browsers:
            browser.read_all()
        return all(len(browser.heartbeats) >= beats for browser in browsers)

    run_until(heard)


def _ids(browsers: list[Browser]) -> set[str]:
    return {message.last_event_id for browser in browsers for message in browser.messages}


def test_nobody_joins_between_an_era_and_its_token(here: HubStreams) -> None:
    """From an era's first entry on, until the log has said its token, a stream that opens starts over."""
    here.route(make_entry(1))
    before = here.open(MINE)
    here.route(new_era(at(1), ERA + 1))
    between = here.open(MINE)
    here.hub.follow("next")
    here.mark = Mark("next", Cursor(ERA + 1, 0))
    after = here.open(MINE)
    here.route(Entry(Cursor(ERA + 1, 1), "status", make_entry(1).data, ("operations:op",)))

    assert before.read_all() == after.read_all() == [1]
    assert between.read_all() == []
    assert between.over
    assert between.body.complete
    assert here.hub.closed == {CloseReason.HISTORY: 1}


def test_stream_opened_in_another_life_of_the_log_is_sent_back(here: HubStreams) -> None:
    """A stream that was opened before the log started over does not go live: its resume decides."""
    browser = here.open(MINE)
    old = here.mark
    here.hub.start_over(Mark("other", Cursor(ERA + 1, 0)))
    here.mark = old
    late = here.open(MINE)

    for one in (browser, late):
        one.read_all()
        assert one.over
        assert one.body.complete
        assert one.parser.retry_ms is None
    assert here.hub.closed == {CloseReason.HISTORY: 2}


def test_stream_that_saw_more_than_the_next_era_kept_is_ended(here: HubStreams) -> None:
    """When an era ends below where a stream stands, that stream ends; the others go on into the next."""
    ahead = here.open(MINE, after=at(5))
    level = here.open(MINE)
    here.route(make_entry(1), make_entry(2))
    here.route(new_era(at(2), ERA + 1))
    ahead.read_all()

    assert ahead.over
    assert level.read_all() == [1, 2]
    assert here.hub.closed == {CloseReason.HISTORY: 1}


def test_nothing_stays_of_streams_that_have_ended(here: HubStreams) -> None:
    """Descriptors and subscribers of ended streams are gone, whoever ended them."""
    here.open(EVERYTHING)
    for round_of in range(1, 4):
        browsers = [here.open(MINE, until_end=True) for _ in range(50)]
        for browser in browsers[:25]:
            browser.connection.close()
        run_until(lambda: len(here.hub) == 26)
        here.route(make_entry(round_of, "complete"))
        assert len(here.hub) == here.hub.parked == 1
        for browser in browsers[25:]:
            assert browser.read_all() == [round_of]
            browser.connection.close()

    assert still_served(here.browsers) == 1


def test_an_outage_and_its_end_are_told_to_every_stream_at_once() -> None:
    """Long before the next heartbeat is due, once each; nothing is claimed while it lasts."""
    with HubStreams() as streams:
        browsers = [streams.open(chunked=chunked) for chunked in (True, False)]
        for degraded in (True, True, False, False):
            streams.hub.tell(degraded=degraded)
        for browser in browsers:
            browser.read_all()
            assert [(message.data, message.last_event_id) for message in browser.messages] == [
                ('{"degraded":true}', ""),
                ("{}", START.wire),
            ]
