"""The reading end: the parser that the other tests trust, held against the HTML standard's own words.

``SPEC_EXAMPLES`` are the standard's (HTML standard, 9.2.6); the other cases spell out one rule each, the same
rules that the web platform tests check under ``eventsource/format-*``. No I/O.
"""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.sse import EventStreamParser, Message, parse


def message(data: str, *, event_type: str = "message", last_event_id: str = "") -> Message:
    """Return a message with the values that a stream gives when it says nothing else."""
    return Message(event_type, data, last_event_id)


SPEC_EXAMPLES = {
    "two data lines make one message": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [message("YHOO\n+2\n10")]),
    "four blocks, the last unfinished": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
        [message("first event", last_event_id="1"), message("second event")],
    ),
    "empty data is data, the last block is unfinished": (
        b"data\n\ndata\ndata\n\ndata:",
        [message(""), message("\n")],
    ),
    "the space after the colon is optional": (
        b"data:test\n\ndata: test\n\n",
        [message("test"), message("test")],
    ),
    "events by name": (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
        [
            message("73857293", event_type="add"),
            message("2153", event_type="remove"),
            message("113411", event_type="add"),
        ],
    ),
}

LINES = {
    "LF": (b"data: a\ndata: b\n\n", [message("a\nb")]),
    "CR": (b"data: a\rdata: b\r\r", [message("a\nb")]),
    "CRLF": (b"data: a\r\ndata: b\r\n\r\n", [message("a\nb")]),
    "all three in one block": (b"data: a\rdata: b\ndata: c\r\n\n", [message("a\nb\nc")]),
    "LF then CR is two ends": (b"data: a\n\rdata: b\n\n", [message("a"), message("b")]),
    "CR, CRLF is two ends": (b"data: a\r\r\ndata: b\n\n", [message("a"), message("b")]),
    "no other character ends a line": (
        "data: a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i\n\n".encode(),
        [message("a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i")],
    ),
    "a blank line is one without even a space": (b"data: a\n \ndata: b\n\n", [message("a\nb")]),
}

FIELDS = {
    "one leading space goes, no more": (b"data:  a\ndata:\tb\ndata: \n\n", [message(" a\n\tb\n")]),
    "trailing space stays": (b"data: a \n\n", [message("a ")]),
    "the first colon separates": (b"data:a:b: c\n\n", [message("a:b: c")]),
    "names are case-sensitive": (b"DATA: a\nData: b\ndata: c\n\n", [message("c")]),
    "a space before the name makes another name": (b" data: a\ndata : b\ndata: c\n\n", [message("c")]),
    "unknown fields are ignored": (b"datas: a\ndata: b\nfoo\nfoo: bar\n\n", [message("b")]),
    "a NUL is no part of a known name": (b"data\0: a\ndata: b\0c\n\n", [message("b\0c")]),
    "comments are ignored, in a block and alone": (
        b":\n\n: a\n\ndata: b\n:data: c\n::\ndata: d\n\n",
        [message("b\nd")],
    ),
    "a long comment is ignored": (b":" + b"x" * 20_000 + b"\ndata: a\n\n", [message("a")]),
    "the last event field wins": (b"event: a\nevent: b\ndata: c\n\n", [message("c", event_type="b")]),
    "an empty event field is a message": (b"event: a\nevent\ndata: b\n\n", [message("b")]),
    "an event name keeps its inner spaces": (b"event:  a b \ndata\n\n", [message("", event_type=" a b ")]),
    "an event name ends with its block": (b"event: a\n\ndata: b\n\n", [message("b")]),
    "no data, no message": (b"event: a\nid: 1\nretry: 5\n\n", []),
    "an unfinished block is dropped": (b"data: a\n\ndata: b\n", [message("a")]),
    "an unfinished line is dropped": (b"data: a\n\ndata: b", [message("a")]),
}

IDS = {
    "an id stays until another comes": (
        b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n",
        [
            message("a", last_event_id="1"),
            message("b", last_event_id="1"),
            message("c", last_event_id="2"),
        ],
    ),
    "an id counts although its block has no data": (
        b"id: 1\n\ndata: a\n\n",
        [message("a", last_event_id="1")],
    ),
    "an id holds wherever it stands in the block": (
        b"data: a\nid: 1\ndata: b\n\n",
        [message("a\nb", last_event_id="1")],
    ),
    "an empty id takes the id away": (
        b"id: 1\ndata: a\n\nid:\ndata: b\n\nid: 2\ndata: c\n\nid\ndata: d\n\n",
        [
            message("a", last_event_id="1"),
            message("b"),
            message("c", last_event_id="2"),
            message("d"),
        ],
    ),
    "an id with NUL is ignored": (
        b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid: \0\ndata: c\n\n",
        [
            message("a", last_event_id="1"),
            message("b", last_event_id="1"),
            message("c", last_event_id="1"),
        ],
    ),
    "an id may be any other text": ("id:  …\ndata: a\n\n".encode(), [message("a", last_event_id=" …")]),
}

ENCODING = {
    "one byte order mark is dropped": (b"\xef\xbb\xbfdata: a\n\n", [message("a")]),
    "a second one spoils the field": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [message("b")]),
    "a later one is text": (
        b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: \xef\xbb\xbfc\n\n",
        [message("a"), message("\ufeffc")],
    ),
    "the encoding is UTF-8": ("data: ok…é😀\n\n".encode(), [message("ok…é😀")]),
    "invalid bytes become replacement characters": (
        b"data: \xff|\xc3(|\xed\xa0\x80|\xf0\x9f\x98\n\n",
        [message("\ufffd|\ufffd(|\ufffd\ufffd\ufffd|\ufffd")],
    ),
    "a line end is not eaten by an unfinished character": (b"data: \xf0\x9f\n\n", [message("\ufffd")]),
}

ALL_CASES = SPEC_EXAMPLES | LINES | FIELDS | IDS | ENCODING

PIECES = [
    b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\n\n", b"\r", b"\r\n", b"\0", b"7", b"x",
    b"\xef\xbb\xbf", "é".encode(), "😀".encode(), "\u2028".encode(), b"\xff", b"\xf0\x9f",
    b"data: a\n", b"id: 1\r\n", b"event: b\r", b"retry: 10\n",
]  # fmt: skip
"""What streams are made of; random bytes alone would hardly ever contain a message."""


def parse_in(chunks: list[bytes]) -> tuple[list[Message], str, int | None]:
    """Return everything that a parser fed with *chunks* has to say."""
    parser = EventStreamParser()
    messages = [message for chunk in chunks for message in parser.feed(chunk)]
    return messages, parser.last_event_id, parser.retry_ms


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Return *stream* cut at each of *places*; a place named twice gives an empty chunk."""
    edges = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize(("stream", "expected"), ALL_CASES.values(), ids=ALL_CASES.keys())
def test_stream_gives_the_messages_that_the_standard_asks_for(stream: bytes, expected: list[Message]) -> None:
    """Each rule of the standard holds."""
    assert parse(stream) == expected


@pytest.mark.parametrize(("stream", "expected"), ALL_CASES.values(), ids=ALL_CASES.keys())
def test_single_bytes_give_the_same_messages(stream: bytes, expected: list[Message]) -> None:
    """Each rule holds when every byte comes alone."""
    assert parse_in([bytes([byte]) for byte in stream])[0] == expected


@given(
    stream=st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=40).map(b"".join),
    places=st.lists(st.integers(min_value=0, max_value=120), max_size=12),
)
@example(stream=b"data: a\r\n\r\n", places=[8, 10])
@example(stream=b"\xef\xbb\xbfdata: a\n\n", places=[1, 2])
def test_any_chunking_gives_the_same_messages(stream: bytes, places: list[int]) -> None:
    """Where the chunks of a stream begin and end makes no difference."""
    assert parse_in(cut(stream, places)) == parse_in([stream])


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_message_is_given_with_the_end_of_its_blank_line(end: bytes) -> None:
    """A message is held back neither by the next block nor by an LF that may follow a CR."""
    parser = EventStreamParser()

    assert parser.feed(b"data: a" + end) == []
    assert parser.feed(end[:1]) == [message("a")]
    assert parser.feed(end[1:]) == []


@pytest.mark.parametrize(
    ("field", "retry_ms"),
    [
        (b"retry: 1500", 1500),
        (b"retry:0", 0),
        (b"retry: 0030", 30),
        (b"retry", None),
        (b"retry:", None),
        (b"retry:  5", None),
        (b"retry: -5", None),
        (b"retry: +5", None),
        (b"retry: 5.0", None),
        (b"retry: 1e3", None),
        (b"retry: 1_000", None),
        (b"retry: 5x", None),
        ("retry: \uff15".encode(), None),
        ("retry: ²".encode(), None),
    ],
)
def test_retry_takes_ascii_digits_only(field: bytes, retry_ms: int | None) -> None:
    """Anything but ASCII digits leaves the reconnection time as it was."""
    assert parse_in([field + b"\n\n"]) == ([], "", retry_ms)
    assert parse_in([b"retry: 7\n" + field + b"\n"])[2] == (7 if retry_ms is None else retry_ms)


def test_retry_counts_before_its_block_ends() -> None:
    """The reconnection time is set by its line, even in a block that never ends."""
    assert parse_in([b"retry: 250\n"]) == ([], "", 250)


def test_retry_too_long_for_a_number_is_ignored() -> None:
    """A run of digits longer than Python reads does not break the parser."""
    assert parse_in([b"retry: " + b"9" * 5_000 + b"\ndata: a\n\n"]) == ([message("a")], "", None)


def test_id_of_an_unfinished_block_does_not_count() -> None:
    """A reconnect must not skip the event that the connection broke off."""
    assert parse_in([b"id: 1\ndata: a\n\nid: 2\ndata: b\n"]) == ([message("a", last_event_id="1")], "1", None)


def test_next_connection_goes_on_with_the_id_of_the_one_before() -> None:
    """A parser that is given the last event id keeps it until the stream names another."""
    parser = EventStreamParser(last_event_id="1")

    assert parser.feed(b"data: a\n\n") == [message("a", last_event_id="1")]
    assert parser.last_event_id == "1"
