"""A page of the feed: what each stream is given of it, made once for all who want the same."""

from tests.http_body import ChunkedBody
from tests.parked_streams import START, at, make_entry
from tests.sse import parse
from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.topics import Filter
from webapp.page import Page
from webapp.ring import Ring

MINE = Filter.of(["operations:op"])


def page_of(*entries: Entry, kept: int = 100) -> Page:
    """Make the page that brings *entries* to a ring."""
    ring = Ring(kept)
    ring.restart(START)
    for entry in entries:
        ring.push(entry)
    return Page(ring, START)


def places(data: bytes) -> list[int]:
    """Give the places of the events in *data*."""
    return [Cursor.parse(message.last_event_id).n for message in parse(data)]


def test_equal_filters_share_one_payload() -> None:
    """Streams that want the same are given the very same bytes, made once a page."""
    page = page_of(make_entry(1), make_entry(2))
    again = Filter.of(["operations:op"])

    assert page.payload(MINE, chunked=True) is page.payload(again, chunked=True)
    assert page.payload(MINE, chunked=False) is page.payload(again, chunked=False)


def test_different_filters_share_nothing() -> None:
    """What one stream is given of a page is not given to one that asked for something else."""
    page = page_of(make_entry(1), make_entry(2, operation="other"), make_entry(3, "progress"))
    wanted = [
        MINE,
        Filter.of(["operations:other"]),
        Filter.of([]),
        Filter.of(["operations:op"], ["progress"]),
    ]

    assert [places(page.payload(one, chunked=False).data) for one in wanted] == [
        [1, 3],
        [2],
        [1, 2, 3],
        [3],
    ]


def test_frames_are_made_once_for_all_filters() -> None:
    """An event is framed, and put into its chunk, once for all the streams of a process."""
    entry = make_entry(1)
    page = page_of(entry)
    page.payload(MINE, chunked=True)
    frame, chunk = entry.frame, entry.chunk
    page.payload(Filter.of(()), chunked=True)
    page.payload(Filter.of(["operations:*"]), chunked=False)

    assert entry.frame is frame
    assert entry.chunk is chunk


def test_raw_and_chunked_forms_are_told_apart() -> None:
    """The chunked form is the raw one in chunks."""
    page = page_of(make_entry(1), make_entry(2))
    raw = page.payload(MINE, chunked=False).data
    chunked = page.payload(MINE, chunked=True).data

    assert ChunkedBody().feed(chunked) == raw
    assert places(raw) == [1, 2]


def test_stream_ahead_of_the_page_is_given_the_rest() -> None:
    """A stream that has the beginning of a page gets what follows, and does not spoil it for others."""
    page = page_of(make_entry(1), make_entry(2), make_entry(3))

    assert places(page.payload_after(at(2), MINE, chunked=False).data) == [3]
    assert places(page.payload(MINE, chunked=False).data) == [1, 2, 3]
    assert page.payload_after(at(3), MINE, chunked=False).data == b""
    assert page.payload_after(at(9), MINE, chunked=False).data == b""


def test_stream_behind_the_page_is_given_the_page() -> None:
    """A stream to which nothing before the page was addressed gets the page and nothing older."""
    ring = Ring(100)
    ring.restart(START)
    for n in (1, 2, 3):
        ring.push(make_entry(n))
    page = Page(ring, at(2))

    assert places(page.payload(MINE, chunked=False).data) == [3]


def test_found_also_has_what_is_not_shown() -> None:
    """What a filter leaves out is no bytes, but it is there for those who wait for an end."""
    progress = Filter.of(["operations:op"], types=["progress"])
    payload = page_of(make_entry(1, "progress"), make_entry(2, "complete")).payload(progress, chunked=False)

    assert places(payload.data) == [1]
    assert payload.last == at(1)
    assert [entry.cursor.n for entry in payload.shown] == [1]
    assert [entry.cursor.n for entry in payload.found] == [1, 2]
    assert payload.ends
