"""The framing of a response body: what comes off the bytes of the wire before they are an event stream.

Takes the bytes behind a response's head in any pieces from ``tests.http_stream``, gives it their content, and
knows whether the body is complete. Stricter than HTTP: what our service never sends is refused. It reads no
socket.

Source: RFC 9112, sections 6.3 (body length) and 7.1 (chunked coding).
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+")


class MalformedChunkError(ValueError):
    """The body is no chunked coding; *rest* starts with the bytes that should not be there."""

    def __init__(self, rest: bytes) -> None:
        super().__init__(f"not a chunk: {rest[:40]!r}")
        self.rest = rest


class ChunkedBody:
    """Takes chunked coding off a body. Lives as long as its body; one caller at a time, nothing to close.

    Chunk extensions and trailer fields are refused: our service sends none, so one would be a fault.
    """

    def __init__(self) -> None:
        self.complete = False
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """Return the content of the chunks, as far as they have come whole.

        Raises MalformedChunkError, also for anything that follows the end of the body.
        """
        self._rest += piece
        content = b""
        while not self.complete and (chunk := self._next_chunk()) is not None:
            content += chunk
            self.complete = not chunk
        if self.complete and self._rest:
            raise MalformedChunkError(self._rest)
        return content

    def _next_chunk(self) -> bytes | None:
        """Take the next whole chunk off the rest; None while it is not all there, empty for the last one."""
        size_line, line_end, after = self._rest.partition(b"\r\n")
        if not line_end:
            return None
        if not _CHUNK_SIZE.fullmatch(size_line):
            raise MalformedChunkError(self._rest)
        size = int(size_line, 16)
        if len(after) < size + 2:
            return None
        if after[size : size + 2] != b"\r\n":
            raise MalformedChunkError(after[size:])
        self._rest = after[size + 2 :]
        return after[:size]


class SizedBody:
    """Counts a body that announced its length; the same two members as ``ChunkedBody``."""

    def __init__(self, size_bytes: int) -> None:
        self._missing_bytes = size_bytes

    @property
    def complete(self) -> bool:
        """Whether all announced bytes have come."""
        return self._missing_bytes <= 0

    def feed(self, piece: bytes) -> bytes:
        """Return *piece* as it is."""
        self._missing_bytes -= len(piece)
        return piece


class UnframedBody:
    """A body that only the close of the connection ends (HTTP/1.0): nothing can show that it is complete."""

    complete = False

    def feed(self, piece: bytes) -> bytes:
        """Return *piece* as it is."""
        return piece


def body_of(status: int, headers: Mapping[str, str]) -> ChunkedBody | SizedBody | UnframedBody:
    """Return the framing that the head of a response announces; *headers* by lower-case name."""
    if status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        return SizedBody(0)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return ChunkedBody()
    if "content-length" in headers:
        return SizedBody(int(headers["content-length"]))
    return UnframedBody()
