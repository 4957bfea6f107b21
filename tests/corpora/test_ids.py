"""Event ids as anybody may send them: one spelling is ours, and the rest comes back as data at most."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from tests.corpus import corpus, many, taken, tried
from tests.sse import EventStreamParser
from tidings.cursor import Cursor
from tidings.replay import Reset
from webapp import frames
from webapp.head import read_head
from webapp.opening import Past
from webapp.query import read_cursor, read_stream

IDS = corpus("ids")
MINE = "evt_1795342513466123-17"
SPELT_RIGHT = {name for name in IDS if name.startswith("of ")}


def check(text: str) -> Cursor | None:
    """Whatever the id: a place that is spelt just so, or a refusal by name that is short."""
    tried["ids"] += 1
    cursor = taken(lambda: Cursor.parse(text), "last_event_id")
    assert cursor is None or cursor.wire == text
    check_header(text.encode("utf-8", "surrogatepass"), cursor)
    check_url(text, cursor)
    return cursor


def check_header(data: bytes, cursor: Cursor | None) -> None:
    """In the header it is never refused, for a browser would be silenced; it comes back in one event at most.

    Those bytes arrive read as Latin-1, and end the field where they would: the short way takes no others.
    """
    text = data.decode("latin-1")
    past = read_stream("", b"", text, 9).past
    assert past == Past(text)
    assert past.cursor == cursor
    head = read_head(b"GET /api/events/stream HTTP/1.1\r\nHost: a\r\nLast-Event-ID: " + data + b"\r\n\r\n")
    assert head is None or head.headers.keys() >= {"host", "last-event-id"}
    for reason in Reset:
        parser = EventStreamParser(last_event_id=MINE)
        (message,) = parser.feed(frames.reset(reason, text))
        assert (message.type, message.last_event_id) == ("reset", MINE)
        assert json.loads(message.data) == {"reason": reason.value, "requestedId": text[:128]}


def check_url(text: str, cursor: Cursor | None) -> None:
    """In a URL it is taken as it is, or refused by the name of its parameter, whichever that is."""
    query = f"last_event_id={quote(text, errors='surrogatepass')}".encode()
    past = taken(lambda: read_stream("", query, "", 9).past, "last_event_id")
    assert (past.cursor if past else None) == cursor
    assert taken(lambda: read_cursor(MultiDict([("after", text)]), "after"), "after") == cursor


@pytest.mark.parametrize("name", IDS)
def test_an_id_is_a_place_or_is_refused_by_name(name: str) -> None:
    """Of the corpus only those are places that are spelt right, wherever they lie."""
    assert (check(IDS[name]) is not None) == (name in SPELT_RIGHT)


nearly = st.from_regex(r"(evt_)?[-+0]?[0-9_.\uff10-\uff19]{0,18}-[0-9eE.]{0,17}[\x00-\x20,]?", fullmatch=True)


@many()
@given(st.text(max_size=200) | st.text("evt_-019 \r\n\0:\u2028", max_size=20) | nearly)
def test_any_text_is_a_place_or_is_refused_by_name(text: str) -> None:
    """No text is read as a place that it does not spell, and none breaks a frame."""
    check(text)


@many()
@given(st.binary(max_size=300))
def test_any_bytes_come_back_in_one_event_at_most(data: bytes) -> None:
    """What is no UTF-8 is data like any other."""
    tried["ids"] += 1
    text = data.decode("latin-1")
    check_header(data, Past(text).cursor)
