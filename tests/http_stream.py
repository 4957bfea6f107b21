"""The browser's end of the wire as the e2e tests hold it: one HTTP/1.1 stream over one plain socket.

Takes a URL of a service that a test started, gives messages (``tests.sse``) and the bytes they came in, and
says how the body ended. Written by hand on the standard library, because a client that hides the chunks could
not show that a stream ended as HTTP asks. It never reconnects and follows no redirect.
"""

import http.client
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

from tests.http_body import body_of
from tests.sse import EventStreamParser, Message

_READ_SIZE_BYTES = 65_536  # guessed: more than one event, less than a burst
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # specified: SO_LINGER with 0 s (socket(7)), then close() sends RST


class BodyEnd(Enum):
    """How far the body has come."""

    OPEN = "open"
    COMPLETE = "complete"
    """Ended as its framing says: with the zero chunk, or with the last byte of the announced length."""
    CUT = "cut"
    """The peer closed before that; also a body without any framing, whose end proves nothing."""
    RESET = "reset"
    """The connection broke (RST) before that."""


class HttpStream:
    """One open response and its socket.

    Lives from ``open_stream`` to ``close``, called by whoever opened it or by ``with``. One caller at a time.
    """

    def __init__(
        self, connection: socket.socket, head: bytes, body_start: bytes, *, last_event_id: str = ""
    ) -> None:
        self.status, self.headers = _parse_head(head)
        """The status code, and the header fields by lower-case name."""
        self.messages: list[Message] = []
        """Everything read so far, oldest first."""
        self.end = BodyEnd.OPEN
        self._connection = connection
        self._raw = bytearray()
        self._body = body_of(self.status, self.headers)
        self._parser = EventStreamParser(last_event_id)
        self._examined = 0
        self._take(body_start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def raw(self) -> bytes:
        """The body as it came over the wire, chunk framing included."""
        return bytes(self._raw)

    @property
    def ended_cleanly(self) -> bool:
        """Whether the body has ended as its framing says."""
        return self.end is BodyEnd.COMPLETE

    @property
    def retry_ms(self) -> int | None:
        """The reconnection time that the stream last asked for, in milliseconds."""
        return self._parser.retry_ms

    @property
    def last_event_id(self) -> str:
        """What a browser would send as ``Last-Event-ID`` if the stream ended now."""
        return self._parser.last_event_id

    def read_until(self, predicate: Callable[[Message], bool], timeout_s: float) -> list[Message]:
        """Return all messages from the first to the next one that satisfies *predicate*.

        Each message is put to the predicate of one call only: the next call begins behind it.

        Blocking: waits up to *timeout_s* in all.
        Raises TimeoutError when time is up, EOFError when the body ends first; ``messages`` keeps what came.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            while self._examined < len(self.messages):
                self._examined += 1
                if predicate(self.messages[self._examined - 1]):
                    return self.messages[: self._examined]
            if self.end is not BodyEnd.OPEN:
                raise EOFError(f"the body ended ({self.end.value}) after {self._summary()}")
            self._read(deadline)

    def read_more(self, timeout_s: float) -> list[Message]:
        """Return what no call has returned yet; may be none, and is none once the body has ended.

        Blocking: waits up to *timeout_s* for the next bytes. Raises TimeoutError when none have come.
        """
        if self._examined == len(self.messages) and self.end is BodyEnd.OPEN:
            self._read(time.monotonic() + timeout_s)
        more = self.messages[self._examined :]
        self._examined = len(self.messages)
        return more

    def read_to_end(self, timeout_s: float) -> list[Message]:
        """Return all messages once the body has ended, however it did (see ``end``).

        Blocking: waits up to *timeout_s* in all. Raises TimeoutError when the body is still open then.
        """
        deadline = time.monotonic() + timeout_s
        while self.end is BodyEnd.OPEN:
            self._read(deadline)
        self._examined = len(self.messages)
        return list(self.messages)

    def close(self, *, abruptly: bool = False) -> None:
        """Leave; *abruptly* resets the connection (RST) instead of finishing it (FIN)."""
        if abruptly and self._connection.fileno() >= 0:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._connection.close()

    def _read(self, deadline: float) -> None:
        """Wait for the next bytes, or for the end, until *deadline* on the monotonic clock."""
        try:
            piece = _receive(self._connection, deadline)
        except TimeoutError as error:
            raise TimeoutError(f"the body is still open after {self._summary()}") from error
        except ConnectionError:
            self.end = BodyEnd.RESET
            return
        if piece:
            self._take(piece)
        else:
            self.end = BodyEnd.CUT

    def _take(self, piece: bytes) -> None:
        """Keep *piece* of the body and the messages that it finishes."""
        self._raw += piece
        self.messages += self._parser.feed(self._body.feed(piece))
        if self._body.complete:
            self.end = BodyEnd.COMPLETE

    def _summary(self) -> str:
        """Say what came, for the text of an error."""
        return (
            f"status {self.status}, {len(self.messages)} messages, the last bytes {bytes(self._raw[-200:])!r}"
        )


class JsonReply(NamedTuple):
    """One whole answer: status code, header fields by lower-case name, parsed body (None if it is empty)."""

    status: int
    headers: dict[str, str]
    body: Any


def open_stream(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 10.0,
    receive_buffer_bytes: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> HttpStream:
    """Send the request and return the stream once the head of its response is there, whatever its status.

    With a ``Last-Event-ID`` among *headers*, messages have that id until the stream names another.
    *receive_buffer_bytes* bounds what the kernel takes for a test that reads late or never; *tls* is what an
    ``https`` URL is believed by.

    Blocking: waits up to *timeout_s*, connecting included.
    Raises TimeoutError, or ConnectionError when there is no service or it closes before it has answered.
    """
    deadline = time.monotonic() + timeout_s
    target = urlsplit(url)
    connection = _connect(target, deadline, receive_buffer_bytes)
    try:
        if tls is not None:
            connection = tls.wrap_socket(connection, server_hostname=target.hostname)
        connection.sendall(_request(target, headers or {}))
        head, body_start = _read_head(connection, deadline)
        cursor = (headers or {}).get("Last-Event-ID", "")
        return HttpStream(connection, head, body_start, last_event_id=cursor)
    except BaseException:
        connection.close()
        raise


def get_json(url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 10.0) -> JsonReply:
    """Return the answer to a GET, whatever its status. Waits up to *timeout_s* for each part of it."""
    return _exchange("GET", url, None, headers or {}, timeout_s)


def post_json(
    url: str, body: object, *, headers: Mapping[str, str] | None = None, timeout_s: float = 10.0
) -> JsonReply:
    """Return the answer to a POST of *body* as JSON; otherwise like ``get_json``."""
    content = json.dumps(body).encode()
    return _exchange(
        "POST", url, content, {"Content-Type": "application/json"} | dict(headers or {}), timeout_s
    )


def _connect(target: SplitResult, deadline: float, receive_buffer_bytes: int | None) -> socket.socket:
    """Return a connection to the host of *target*; the buffer is set before the window is agreed on."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if receive_buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        connection.settimeout(_left_s(deadline))
        connection.connect((target.hostname, target.port or 80))
    except BaseException:
        connection.close()
        raise
    return connection


def _request(target: SplitResult, headers: Mapping[str, str]) -> bytes:
    """Return the head of the request; *headers* replace the usual ones."""
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    fields = {"Host": target.netloc, "Accept": "text/event-stream"} | dict(headers)
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _read_head(connection: socket.socket, deadline: float) -> tuple[bytes, bytes]:
    """Return the head of the response, and what came behind it already."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = _receive(connection, deadline)
        if not piece:
            raise ConnectionError(f"closed before the head was complete: {received!r}")
        received += piece
    head, _, body_start = received.partition(b"\r\n\r\n")
    return head, body_start


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return the status code and the header fields by lower-case name, repeated ones joined by commas."""
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return int(status_line.split(" ")[1]), headers


def _receive(connection: socket.socket, deadline: float) -> bytes:
    """Return the next bytes, empty at the end. Raises TimeoutError at *deadline*."""
    connection.settimeout(_left_s(deadline))
    return connection.recv(_READ_SIZE_BYTES)


def _left_s(deadline: float) -> float:
    """Return the seconds to *deadline* on the monotonic clock. Raises TimeoutError when none are left."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the deadline has passed")
    return left_s


def _exchange(
    method: str, url: str, content: bytes | None, headers: Mapping[str, str], timeout_s: float
) -> JsonReply:
    """Send one request over a connection of its own and return the whole answer."""
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.netloc, timeout=timeout_s)
    try:
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        connection.request(method, path, content, dict(headers))
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    fields = {name.lower(): value for name, value in response.getheaders()}
    return JsonReply(response.status, fields, json.loads(body) if body else None)
