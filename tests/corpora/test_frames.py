"""Frames: whatever stands in them, a browser reads that, or nothing was written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import corpus, many, tried
from tests.said import Author, heard
from tests.sse import EventStreamParser, Message, parse
from tidings.json_line import encode_line
from tidings.topics import check_identifier
from webapp.frames import chunk, frame

TEXTS = corpus("frames")
ENDS_A_LINE = set("\r\n\0")
SAID = ["status", "status", "warning", "error", "progress", "complete"]


@pytest.fixture(scope="module")
def author() -> Author:
    """One who says everything."""
    return Author()


def check_fields(event: str, data: str, event_id: str) -> None:
    """A frame has exactly its fields, in any chunking; or one of them would have ended its own line."""
    tried["frames"] += 1
    try:
        written = frame(event, data.encode(), event_id)
    except ValueError:
        assert ENDS_A_LINE & set(event + data + event_id)
        return
    expected = [Message(event or "message", data, event_id)]
    assert parse(written) == expected
    assert parse(b"retry: 700\n\n" + written + written) == expected * 2
    assert _in_pieces(written, 1) == _in_pieces(written, 7) == expected
    size, _, rest = chunk(written).partition(b"\r\n")
    assert (int(size, 16), rest) == (len(written), written + b"\r\n")


def _in_pieces(written: bytes, size: int) -> list[Message]:
    parser = EventStreamParser()
    return [
        message for at in range(0, len(written), size) for message in parser.feed(written[at : at + size])
    ]


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("name", TEXTS)
def test_a_field_is_read_as_it_was_written(name: str) -> None:
    """Each text in each field, and in all of them."""
    text = _utf8(TEXTS[name])
    for fields in (
        (text, "{}", "evt_1-1"),
        ("progress", text, ""),
        ("progress", "{}", text),
        (text, text, text),
    ):
        check_fields(*fields)


@pytest.mark.parametrize("name", TEXTS)
def test_what_an_author_says_arrives_whole(name: str, author: Author) -> None:
    """Each text as everything that can be said: as many events as were said, of the types that were said."""
    text = TEXTS[name]
    messages = heard(author.say(text))
    assert sorted({message.type for message in messages}) == sorted(set(SAID))
    warning = next(json.loads(message.data) for message in messages if message.type == "warning")
    shown = _utf8(text.replace("\ud800", "\ufffd"))
    assert warning["message"] == (shown if len(shown) <= 1_000 else shown[:999] + "…")
    assert "omitted" in warning["details"] or warning["details"]["key"] == shown
    assert check_identifier("code", warning["code"])


hostile = st.text("ab\r\n\0: \ufeff\u2028\u2029\u0085\x0b\x0c\x1céx", max_size=40) | st.text(max_size=80)
valid = hostile.map(_utf8)


@many()
@given(valid, valid, valid)
def test_any_fields_make_one_event_or_none(event: str, data: str, event_id: str) -> None:
    """No text in any field makes a second event, or another field."""
    check_fields(event, data, event_id)


@many()
@given(
    st.recursive(
        hostile, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hostile, inner, max_size=4)
    )
)
def test_any_json_is_one_line(value: object) -> None:
    """It is read back as it was, by readers who know more line breaks than the standard does, too."""
    tried["frames"] += 1
    line = encode_line(_mended(value))
    (message,) = parse(frame("progress", line, "evt_1-1"))
    assert message.data.splitlines() == [message.data]
    assert json.loads(message.data) == _mended(value)


def _mended(value: object) -> object:
    match value:
        case str():
            return _utf8(value)
        case list():
            return [_mended(item) for item in value]
        case dict():
            return {_utf8(name): _mended(item) for name, item in value.items()}
        case _:
            return value
