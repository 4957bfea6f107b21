"""One parked stream over a kernel socket: what it writes, what it keeps when the socket is full, how it ends.

The event loop does not run here: a test says when the socket is looked at again.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parked_streams import (
    LEAST_BUFFER_BYTES,
    START,
    Browser,
    ParkedStreams,
    at,
    make_entry,
)
from tidings.entry import Entry
from tidings.topics import Filter
from webapp.parked import MAX_STRAY_BYTES, REFILL_BYTES, ParkedSubscriber
from webapp.subscriber import MAX_WAITING_BYTES, CloseReason

FITS_BYTES = 2 * (LEAST_BUFFER_BYTES - 64)
"""What a unix socket with the least buffer takes before it is full: measured, checked by the first test."""
BOTH_FORMS = pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "raw"])


@pytest.fixture
def streams() -> Iterator[ParkedStreams]:
    """A parking of the test's own."""
    with ParkedStreams() as streams:
        yield streams


def wire(entry: Entry, *, chunked: bool) -> bytes:
    """Give the bytes of *entry*, spelled here once more rather than taken from our encoder."""
    frame = f"event: {entry.type}\nid: {entry.cursor.wire}\ndata: {entry.data.decode()}\n\n".encode()
    return f"{len(frame):x}\r\n".encode() + frame + b"\r\n" if chunked else frame


def filling(n: int, *, chunked: bool, size_bytes: int) -> Entry:
    """Make the *n*-th event so that it takes exactly *size_bytes* on the wire."""
    rough = make_entry(n, size_bytes=size_bytes - 100)
    padding = size_bytes - len(wire(rough, chunked=chunked))
    entry = make_entry(n, size_bytes=size_bytes - 100 + padding)
    assert len(wire(entry, chunked=chunked)) == size_bytes
    return entry


def let_read(subscriber: ParkedSubscriber, browser: Browser) -> None:
    """Have *browser* read, and *subscriber* catch up, until there is nothing more to read."""
    while True:
        reading = browser.read()
        if subscriber.fd >= 0 and subscriber.chasing:
            subscriber.catch_up()
        elif not reading:
            return


def block(streams: ParkedStreams, subscriber: ParkedSubscriber) -> int:
    """Send an event that is too large for the socket, after a small one; give its number."""
    streams.route(make_entry(1), make_entry(2, size_bytes=FITS_BYTES + 1_000))
    assert subscriber.chasing
    assert 0 < len(subscriber.tail) < 1_200
    return 2


@BOTH_FORMS
def test_frame_cut_at_any_byte_arrives_whole_and_in_order(*, chunked: bool) -> None:
    """Wherever a full socket cuts a page, each of its frames arrives once, whole, in order."""
    short = len(wire(make_entry(2), chunked=chunked))
    cuts = set()
    for cut in range(2 * short + 1):
        with ParkedStreams() as streams:
            subscriber, browser = streams.open(chunked=chunked, send_buffer_bytes=LEAST_BUFFER_BYTES)
            first = filling(1, chunked=chunked, size_bytes=FITS_BYTES - cut)
            others = [make_entry(n) for n in (2, 3, 4)]
            streams.route(first, *others)

            assert subscriber.chasing
            browser.read()
            cuts.add(len(browser.raw) - len(wire(first, chunked=chunked)))
            let_read(subscriber, browser)
            expected = b"".join(wire(entry, chunked=chunked) for entry in (first, *others))
            assert browser.raw == expected
            assert (subscriber.tail, subscriber.chasing, subscriber.position) == (b"", False, at(4))
    assert cuts == set(range(2 * short + 1))


@settings(max_examples=60, deadline=None)
@given(
    pages=st.lists(st.lists(st.integers(1, 3_000), min_size=1, max_size=8), min_size=1, max_size=12),
    reads=st.lists(st.integers(0, 6_000), min_size=1, max_size=12),
    buffer_bytes=st.integers(LEAST_BUFFER_BYTES, 9_000),
    chunked=st.booleans(),
)
def test_any_reader_gets_every_frame_once_and_in_order(
    *, pages: list[list[int]], reads: list[int], buffer_bytes: int, chunked: bool
) -> None:
    """However a browser reads, it gets the frames of all events, and of one frame at most a rest waits."""
    with ParkedStreams() as streams:
        subscriber, browser = streams.open(chunked=chunked, send_buffer_bytes=buffer_bytes)
        sent: list[Entry] = []
        for turn, sizes in enumerate(pages):
            page = [make_entry(len(sent) + count, size_bytes=size) for count, size in enumerate(sizes, 1)]
            sent += page
            streams.route(*page)
            most = reads[turn % len(reads)]
            if most:
                browser.read(most)
            if subscriber.chasing:
                subscriber.catch_up()
            written = [wire(entry, chunked=chunked) for entry in sent]
            assert not subscriber.tail or any(frame.endswith(subscriber.tail) for frame in written)
            assert subscriber.chasing or not subscriber.tail
        let_read(subscriber, browser)

        assert browser.raw == b"".join(wire(entry, chunked=chunked) for entry in sent)
        assert subscriber.position == at(len(sent))


@BOTH_FORMS
def test_page_leaves_in_one_write(streams: ParkedStreams, *, chunked: bool) -> None:
    """A stream that is not behind has all of a page's events in one write, each in its own chunk."""
    _, browser = streams.open(chunked=chunked, telling_writes=True)
    entries = [make_entry(1), make_entry(2, "progress", operation="other"), make_entry(3)]
    streams.route(*entries)
    browser.read_all()

    assert browser.raw == b"".join(wire(entry, chunked=chunked) for entry in entries)
    assert len(browser.pieces) == 1


def test_blocked_stream_keeps_the_rest_of_one_frame_and_no_more(streams: ParkedStreams) -> None:
    """While a browser does not read, pages pass its stream by: what it keeps does not grow."""
    subscriber, browser = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
    last = block(streams, subscriber)
    kept, position = subscriber.tail, subscriber.position
    streams.route(*(make_entry(last + count, size_bytes=500) for count in range(1, 101)))

    assert (subscriber.tail, subscriber.position) == (kept, position)
    let_read(subscriber, browser)
    assert browser.places == list(range(1, last + 101))


def test_blocked_stream_that_can_write_nothing_stays_where_it_is(streams: ParkedStreams) -> None:
    """A wake-up that finds the socket still full changes nothing."""
    subscriber, _ = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
    block(streams, subscriber)
    before = (subscriber.tail, subscriber.position)
    subscriber.catch_up()
    subscriber.catch_up()

    assert (subscriber.tail, subscriber.position) == before
    assert subscriber.chasing


def test_wait_below_the_bound_loses_no_progress(streams: ParkedStreams) -> None:
    """A browser that has up to 64 KB waiting gets every progress."""
    subscriber, browser = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
    last = block(streams, subscriber)
    count = MAX_WAITING_BYTES // 520
    streams.route(*(make_entry(last + n, "progress", size_bytes=500) for n in range(1, count + 1)))
    let_read(subscriber, browser)

    assert browser.places == list(range(1, last + count + 1))


def test_wait_over_the_bound_conflates_progress_and_nothing_else(streams: ParkedStreams) -> None:
    """Of more than 64 KB that wait, a browser gets everything but progress that has a newer one behind it."""
    subscriber, browser = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
    last = block(streams, subscriber)
    types = ["progress", "progress", "progress", "warning", "progress", "status"]
    waiting = [
        make_entry(last + n, types[n % 6], operation=f"op{n % 5}", size_bytes=500) for n in range(1, 400)
    ]
    streams.route(*waiting)
    assert subscriber.position < at(last + 1)
    let_read(subscriber, browser)

    kept = [entry.cursor.n for entry in waiting if entry.type != "progress"]
    newest = {entry.operation_id: entry.cursor.n for entry in waiting if entry.type == "progress"}
    places = [place for place in browser.places if place > last]
    progress = [int(m.last_event_id.split("-")[1]) for m in browser.messages if m.type == "progress"]
    assert places == sorted(set(places))
    assert [place for place in places if place in set(kept)] == kept
    assert set(newest.values()) <= set(progress)
    assert len(progress) < len(waiting) - len(kept)


def test_catching_up_takes_small_helpings(streams: ParkedStreams) -> None:
    """A stream far behind is written 16 KB or so at a time."""
    subscriber, browser = streams.open(telling_writes=True)
    subscriber.chasing = True
    streams.route(*(make_entry(n, size_bytes=1_000) for n in range(1, 61)))
    subscriber.catch_up()

    assert browser.read_all() == list(range(1, 61))
    assert max(browser.pieces) < REFILL_BYTES + 2_000
    assert len(browser.pieces) <= 60_000 // REFILL_BYTES + 2


def test_stream_behind_the_ring_is_lagged(streams: ParkedStreams) -> None:
    """A browser for which the ring no longer has what follows is sent away, never past a gap."""
    with ParkedStreams(ring_events=50) as short:
        subscriber, browser = short.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
        last = block(short, subscriber)
        for n in range(1, 101):
            short.route(make_entry(last + n))
        let_read(subscriber, browser)

        assert short.gone == [subscriber]
        assert subscriber.closed is CloseReason.LAGGED
        assert browser.over
        assert browser.body.complete
        assert browser.places == list(range(1, len(browser.places) + 1))
        assert len(browser.places) <= last


def test_page_larger_than_the_ring_is_never_delivered_in_part() -> None:
    """A stream that cannot be given the whole of a page, because the ring is smaller, is lagged at once."""
    with ParkedStreams(ring_events=3) as short:
        subscriber, browser = short.open()
        short.route(*(make_entry(n) for n in range(1, 11)))
        browser.read_all()

        assert browser.places in ([], list(range(1, 11)))
        assert browser.places or subscriber.closed is CloseReason.LAGGED


def test_stream_ahead_of_the_feed_gets_nothing_twice(streams: ParkedStreams) -> None:
    """What an opening has already sent is left out of the page that brings it."""
    wanted = Filter.of(["operations:op"])
    subscriber, browser = streams.open(wanted, after=at(3))
    streams.route(make_entry(1), make_entry(2))
    streams.route(make_entry(3), make_entry(4))
    streams.route(make_entry(5))

    assert browser.read_all() == [4, 5]
    assert subscriber.position == at(5)


def test_stream_that_was_quiet_for_longer_than_the_ring_is_not_lagged() -> None:
    """A stream whose topics had nothing for longer than the ring remembers has missed nothing."""
    with ParkedStreams(ring_events=10) as short:
        wanted = Filter.of(["operations:mine"])
        subscriber, browser = short.open(wanted, send_buffer_bytes=LEAST_BUFFER_BYTES)
        for n in range(1, 101):
            short.page(make_entry(n))
        page = short.page(make_entry(101, operation="mine", size_bytes=FITS_BYTES + 500))
        subscriber.deliver(page)
        assert subscriber.chasing
        let_read(subscriber, browser)

        assert browser.places == [101]
        assert subscriber.closed is None


def test_quiet_stream_whose_heartbeat_did_not_fit_is_not_lagged() -> None:
    """A stream that blocks on a heartbeat after a long quiet time is not behind the ring."""
    with ParkedStreams(ring_events=10) as short:
        wanted = Filter.of(["operations:mine"])
        subscriber, browser = short.open(wanted, send_buffer_bytes=LEAST_BUFFER_BYTES)
        for n in range(1, 101):
            short.page(make_entry(n))
        while not subscriber.chasing:
            subscriber.beat(at(100))
        let_read(subscriber, browser)

        assert set(browser.heartbeats) == {100}
        assert subscriber.closed is None


def test_heartbeat_claims_no_more_than_was_written(streams: ParkedStreams) -> None:
    """A heartbeat between the ring's growth and the delivery of a page stands before that page."""
    subscriber, browser = streams.open()
    page = streams.page(make_entry(1))
    subscriber.beat(streams.finished)
    subscriber.deliver(page)
    subscriber.beat(streams.finished)
    browser.read_all()

    assert [message.last_event_id for message in browser.messages] == [
        START.wire,
        at(1).wire,
        at(1).wire,
    ]
    assert [message.type for message in browser.messages] == ["heartbeat", "status", "heartbeat"]


def test_stream_that_is_behind_gets_no_heartbeat(streams: ParkedStreams) -> None:
    """A heartbeat never overtakes what waits for the browser, nor cuts into a frame."""
    subscriber, browser = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES)
    last = block(streams, subscriber)
    streams.route(make_entry(last + 1))
    tail = subscriber.tail
    subscriber.beat(at(last + 1))

    assert subscriber.tail == tail
    let_read(subscriber, browser)
    assert browser.heartbeats == []
    assert browser.places == list(range(1, last + 2))


@BOTH_FORMS
def test_heartbeat_that_does_not_fit_is_finished_before_anything_else(*, chunked: bool) -> None:
    """A heartbeat that a full socket cuts arrives whole, and the events after it."""
    with ParkedStreams() as streams:
        subscriber, browser = streams.open(chunked=chunked, send_buffer_bytes=LEAST_BUFFER_BYTES)
        for size in range(20):
            number = 2 * size + 1
            streams.route(filling(number, chunked=chunked, size_bytes=FITS_BYTES - 3 * size))
            subscriber.beat(at(number))
            streams.route(make_entry(number + 1))
            let_read(subscriber, browser)
        assert browser.places == list(range(1, 41))
        # A full socket that took the event but nothing of the heartbeat has the heartbeat follow.
        assert len(browser.heartbeats) >= 1
        expected = [int(message.last_event_id.split("-")[1]) for message in browser.messages]
        assert expected == sorted(expected)


def test_types_and_kinds_narrow_a_stream(streams: ParkedStreams) -> None:
    """Events of other types or kinds are left out, whether live or caught up."""
    wanted = Filter.of(["operations:op"], types=["warning"], kinds=["import"])
    subscriber, browser = streams.open(wanted)
    streams.route(
        make_entry(1, "progress"),
        make_entry(2, "warning"),
        make_entry(3, "warning", kind="export"),
        make_entry(4, "warning", operation="other"),
    )
    subscriber.chasing = True
    streams.route(make_entry(5, "status"), make_entry(6, "warning"))
    subscriber.catch_up()

    assert browser.read_all() == [2, 6]
    assert subscriber.position == at(6)


@pytest.mark.parametrize(
    ("topics", "places"),
    [
        ([], [1, 2, 3, 4]),
        (["operations:*"], [1, 2, 3, 4]),
        (["agents:*"], [2]),
        (["agents:a", "operations:op3"], [2, 3]),
        (["agents:a", "operations:op2"], [2]),
        (["agents:*", "workflows:*", "operations:op4"], [2, 3, 4]),
    ],
)
@pytest.mark.parametrize("chasing", [False, True])
def test_topics_choose_the_events(
    streams: ParkedStreams, topics: list[str], places: list[int], *, chasing: bool
) -> None:
    """A stream of several topics or of a wildcard gets each event on any of them once, in log order."""
    subscriber, browser = streams.open(Filter.of(topics))
    subscriber.chasing = chasing
    streams.route(
        make_entry(1, operation="op1"),
        make_entry(2, operation="op2", topics=["agents:a"]),
        make_entry(3, operation="op3", topics=["workflows:w"]),
        make_entry(4, operation="op4"),
    )
    if chasing:
        subscriber.catch_up()

    assert browser.read_all() == places


@BOTH_FORMS
def test_own_end_is_sent_and_the_body_ends(streams: ParkedStreams, *, chunked: bool) -> None:
    """A stream of one operation ends with its terminal event, and its body as HTTP asks."""
    subscriber, browser = streams.open(Filter.of(["operations:op"]), chunked=chunked, until_end=True)
    streams.route(make_entry(1), make_entry(2, "complete", operation="other"))
    assert subscriber.closed is None
    streams.route(make_entry(3, "error"), make_entry(4, "error", terminal=True), make_entry(5, operation="x"))

    assert browser.read_all() == [1, 3, 4]
    assert browser.over
    assert browser.body.complete is chunked
    assert streams.gone == [subscriber]
    assert subscriber.closed is CloseReason.FINISHED


def test_own_end_that_is_filtered_out_ends_the_stream(streams: ParkedStreams) -> None:
    """A stream of one operation ends with it, though it did not ask for the event that says so."""
    wanted = Filter.of(["operations:op"], types=["progress"])
    _, live = streams.open(wanted, until_end=True)
    chasing, behind = streams.open(wanted, until_end=True)
    chasing.chasing = True
    streams.route(make_entry(1, "progress"), make_entry(2, "complete"))
    chasing.catch_up()

    for browser in (live, behind):
        assert browser.read_all() == [1]
        assert browser.body.complete


@BOTH_FORMS
@pytest.mark.parametrize("together", [True, False], ids=["in the page that blocks", "in a later page"])
def test_own_end_reaches_a_blocked_browser_before_the_body_ends(*, chunked: bool, together: bool) -> None:
    """A browser that was behind when its operation ended gets all of it, and then a proper end."""
    with ParkedStreams() as streams:
        subscriber, browser = streams.open(
            Filter.of(["operations:op"]),
            chunked=chunked,
            until_end=True,
            send_buffer_bytes=LEAST_BUFFER_BYTES,
        )
        end = make_entry(4, "complete", size_bytes=3_000)
        start = [make_entry(n, size_bytes=2_000) for n in (1, 2, 3)]
        if together:
            streams.route(*start, end)
        else:
            streams.route(*start)
            streams.route(end)
        assert subscriber.fd >= 0
        let_read(subscriber, browser)

        assert browser.read_all() == [1, 2, 3, 4]
        assert browser.over
        assert browser.body.complete is chunked
        assert subscriber.closed is CloseReason.FINISHED


@pytest.mark.parametrize("reason", [CloseReason.DRAINING, CloseReason.HISTORY])
@BOTH_FORMS
def test_stream_sent_away_gets_a_proper_end(
    streams: ParkedStreams, reason: CloseReason, *, chunked: bool
) -> None:
    """A browser that is sent away gets a proper end, and is told when to come back if it is drained."""
    subscriber, browser = streams.open(chunked=chunked)
    subscriber.close(reason)
    browser.read_all()

    assert browser.over
    assert browser.body.complete is chunked
    assert (browser.parser.retry_ms is not None) is (reason is CloseReason.DRAINING)
    assert streams.gone == [subscriber]


@pytest.mark.parametrize("reason", [CloseReason.DRAINING, CloseReason.LIFETIME, CloseReason.HISTORY])
@BOTH_FORMS
def test_blocked_stream_that_is_ended_gets_the_rest_of_its_frame_and_a_proper_end(
    streams: ParkedStreams, reason: CloseReason, *, chunked: bool
) -> None:
    """A browser in the middle of a frame gets all of it, then the end, and nothing that came later."""
    subscriber, browser = streams.open(send_buffer_bytes=LEAST_BUFFER_BYTES, chunked=chunked)
    last = block(streams, subscriber)
    subscriber.close(reason)
    streams.route(make_entry(last + 1))
    subscriber.beat(at(last + 1))
    let_read(subscriber, browser)

    assert browser.read_all() == [1, 2]
    assert browser.over
    assert browser.body.complete is chunked
    assert (browser.parser.retry_ms is not None) is (reason is CloseReason.DRAINING)
    assert browser.heartbeats == []
    assert streams.gone == [subscriber]


def test_stream_that_has_lagged_at_its_hand_over_gets_a_proper_end() -> None:
    """A stream whose opening took so long that the ring has passed it ends as HTTP asks."""
    with ParkedStreams(ring_events=3) as short:
        short.page(*(make_entry(n) for n in range(1, 11)))
        subscriber, browser = short.open(after=START)
        browser.read_all()

        assert subscriber.closed is CloseReason.LAGGED
        assert browser.over
        assert browser.body.complete
        assert browser.places == []


def test_first_reason_to_end_stands(streams: ParkedStreams) -> None:
    """Closing again, or dropping again, changes nothing and is reported once."""
    subscriber, _ = streams.open()
    subscriber.close(CloseReason.HISTORY)
    subscriber.close(CloseReason.DRAINING)
    streams.parking.drop(subscriber)
    subscriber.deliver(streams.page(make_entry(1)))
    subscriber.beat(at(1))

    assert streams.gone == [subscriber]
    assert subscriber.closed is CloseReason.HISTORY
    assert len(streams.parking) == 0


def test_browser_that_is_gone_is_noticed_by_the_next_write(streams: ParkedStreams) -> None:
    """A write to a connection that was closed ends that stream and no other."""
    left, browser = streams.open()
    _, other = streams.open()
    browser.connection.close()
    streams.route(make_entry(1))

    assert streams.gone == [left]
    assert left.closed is CloseReason.GONE
    assert other.read_all() == [1]


def test_few_stray_bytes_are_read_and_dropped(streams: ParkedStreams) -> None:
    """A client that says a little behind its request keeps its stream."""
    subscriber, browser = streams.open()
    browser.connection.send(b"\r\n")
    subscriber.hear()
    subscriber.hear()
    streams.route(make_entry(1))

    assert browser.read_all() == [1]
    assert subscriber.closed is None


def test_many_stray_bytes_cut_the_stream(streams: ParkedStreams) -> None:
    """A client that goes on saying things is cut once it has said more than 4 KB in all."""
    subscriber, browser = streams.open()
    for _ in range(MAX_STRAY_BYTES // 64):
        browser.connection.send(b"x" * 64)
        subscriber.hear()
    assert subscriber.closed is None
    browser.connection.send(b"x")
    subscriber.hear()

    assert subscriber.closed is CloseReason.GONE
    assert streams.gone == [subscriber]
