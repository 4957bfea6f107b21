"""The framing of a body: whole, cut anywhere, and wrong. No I/O."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http_body import ChunkedBody, MalformedChunkError, SizedBody, UnframedBody, body_of

CHUNKED = b"5\r\nhello\r\n1\r\n \r\nB\r\nwor\r\nld\r\n..\r\n0\r\n\r\n"
CONTENT = b"hello wor\r\nld\r\n.."


@given(places=st.lists(st.integers(min_value=0, max_value=len(CHUNKED)), max_size=8))
def test_any_pieces_give_the_same_content(places: list[int]) -> None:
    """Where the reads of a chunked body begin and end makes no difference."""
    body = ChunkedBody()
    edges = [0, *sorted(places), len(CHUNKED)]

    assert b"".join(body.feed(CHUNKED[start:end]) for start, end in pairwise(edges)) == CONTENT
    assert body.complete


@pytest.mark.parametrize("length", range(len(CHUNKED)))
def test_chunked_body_is_complete_with_its_very_last_byte_only(length: int) -> None:
    """A body that lacks anything, be it the last line feed, is not complete."""
    body = ChunkedBody()

    assert CONTENT.startswith(body.feed(CHUNKED[:length]))
    assert not body.complete


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b" 1\r\n",
        b"1;extension=1\r\n",
        b"1\r\nab\r\n",
        b"0\r\nTrailer: 1\r\n\r\n",
        b"0\r\n\r\n0\r\n\r\n",
        b"data: not chunked\r\n\r\n",
    ],
)
def test_malformed_chunks_are_refused(wire: bytes) -> None:
    """What is no chunked coding, or more than our service sends, raises."""
    with pytest.raises(MalformedChunkError):
        ChunkedBody().feed(wire)


def test_sized_body_is_complete_with_its_announced_length() -> None:
    """A body with a length is complete when that many bytes have come."""
    body = SizedBody(3)

    assert (body.feed(b"ab"), body.complete) == (b"ab", False)
    assert (body.feed(b"c"), body.complete) == (b"c", True)


@pytest.mark.parametrize(
    ("status", "headers", "framing"),
    [
        (200, {"transfer-encoding": "chunked"}, ChunkedBody),
        (200, {"transfer-encoding": "Chunked", "content-length": "3"}, ChunkedBody),
        (400, {"content-length": "3"}, SizedBody),
        (204, {}, SizedBody),
        (200, {}, UnframedBody),
    ],
)
def test_head_decides_the_framing(status: int, headers: dict[str, str], framing: type[object]) -> None:
    """Status and header fields say how the body is framed, chunks before length."""
    assert isinstance(body_of(status, headers), framing)


def test_body_without_content_is_complete_at_once() -> None:
    """A 204 has nothing to wait for."""
    assert body_of(204, {}).complete
