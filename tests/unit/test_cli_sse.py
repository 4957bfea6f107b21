"""The command line's own reading of event streams, held against the one that the tests trust."""

from hypothesis import example, given
from hypothesis import strategies as st

from tests.sse import EventStreamParser
from tidings.cli.sse import Parser

PIECES = [
    b"data", b"data:", b"data: x", b"event: progress", b"id: 7", b"id", b"id: a\0b", b"retry: 20",
    b"retry: 2x", b": x", b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf", "data: ü€".encode(), b"\xff",
    b" ", b"",
]  # fmt: skip


@example([b"data: x\r", b"\ndata: y\n\n"])
@example([b"\xef\xbb\xbfdata: x\n\n", b"\xef\xbb\xbfdata: y\n\n"])
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), max_size=8))
def test_it_reads_any_bytes_in_any_pieces_as_the_standard_does(chunks: list[bytes]) -> None:
    """The two were written apart from the standard's words."""
    ours, theirs = Parser("before"), EventStreamParser("before")
    for chunk in chunks:
        assert ours.feed(chunk) == [
            (message.type, message.data, message.last_event_id) for message in theirs.feed(chunk)
        ]
        assert (ours.cursor, ours.retry_ms) == (theirs.last_event_id, theirs.retry_ms)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_where_the_bytes_are_cut_changes_nothing(body: bytes, at: int) -> None:
    """Also in the middle of a character, or between CR and LF."""
    body = b"data: " + body + b"\r\n\r\ndata: end\n\n"
    whole, parts = Parser(), Parser()
    assert whole.feed(body) == parts.feed(body[:at]) + parts.feed(body[at:])
