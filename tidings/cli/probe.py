"""One stream, opened only to measure how it comes through: the doctor's stethoscope.

Takes a service and how long to be patient, gives what came, when, and how it ended. Judges nothing.
"""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.client import HTTPException, HTTPResponse
from typing import Final, Literal

from tidings.cli.service import TIMEOUT_S, Service, target
from tidings.cli.sse import Message, Parser

NO_CURSOR: Final = "tidings-doctor"
"""No id of ours: a service that gets it answers with a reset."""
NO_KIND: Final = "tidings-doctor"
"""No operation is of it: nothing comes but heartbeats."""
HEADERS: Final = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "gzip, deflate, br, zstd",  # as browsers ask
    "Last-Event-ID": NO_CURSOR,
}
_PATH: Final = target("/api/events/stream", {"kinds": NO_KIND, "history": "none"})
_READ_BYTES: Final = 65_536
_HTTP_1_1: Final = 11

End = Literal["open", "whole", "cut", "unframed"]
"""Of a body: still open; ended as HTTP says; in the middle; or where nothing says that it is whole."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of a request for a stream. Times in seconds since it was sent; None: it did not come.

    ``opened_s``: the heartbeat that ends the opening; ``beat_s``: the next one; ``silent_s``: the silence
    before the end.
    """

    status: int = 0
    is_http_1_1: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    first_s: float | None = None
    opened_s: float | None = None
    beat_s: float | None = None
    end: End = "open"
    ended_s: float = 0
    silent_s: float = 0
    messages: tuple[Message, ...] = ()

    @property
    def encoding(self) -> str:
        """How the body is encoded; empty if it is as it was sent."""
        given = self.headers.get("content-encoding", "").lower()
        return "" if given == "identity" else given

    @property
    def is_framed(self) -> bool:
        """Whether its end could be told from a cut."""
        return self.is_http_1_1 and self.headers.get("transfer-encoding", "").lower() == "chunked"


def probe(service: Service, *, first_s: float, beat_s: float | None) -> Probe:
    """Open a stream and listen until a heartbeat has come, or it ends.

    Waits up to *first_s* for the opening, and up to *beat_s* for the heartbeat that follows it; None: not at
    all. Raises: Unreachable if there is no connection.
    """
    connection = service.connect(TIMEOUT_S)
    connection.sock.settimeout(first_s)
    listener = _Listener(connection.sock)
    try:
        service.send(connection, "GET", _PATH, None, HEADERS)
        with connection.getresponse() as response:
            listener.hear_head(response)
            listener.listen(response, first_s, lambda: listener.is_open)
            if beat_s is not None and listener.beats == 1:
                listener.listen(response, beat_s, lambda: listener.beats > 1)
    except TimeoutError:
        listener.end = "open"
    except (OSError, HTTPException):
        listener.end = "cut"
    finally:
        connection.close()
    return listener.result()


class _Listener:
    """What has come so far."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._began_s = self._heard_s = time.monotonic()
        self._parser = Parser(NO_CURSOR)
        self._found = Probe()
        self._messages: list[Message] = []
        self._beats_s: list[float] = []
        self.end: End = "open"

    @property
    def is_open(self) -> bool:
        """Whether the opening is over, or cannot be read anyway."""
        return self.beats > 0 or (bool(self._found.encoding) and self._found.first_s is not None)

    @property
    def beats(self) -> int:
        """How many heartbeats have come; the first ends the opening."""
        return len(self._beats_s)

    def hear_head(self, response: HTTPResponse) -> None:
        """Take status and header."""
        self._found = Probe(
            status=response.status,
            is_http_1_1=response.version >= _HTTP_1_1,
            headers={name.lower(): value for name, value in response.getheaders()},
        )

    def listen(self, response: HTTPResponse, most_s: float, is_enough: Callable[[], bool]) -> None:
        """Take what comes, for up to *most_s*. Raises: TimeoutError, OSError, HTTPException."""
        until_s = time.monotonic() + most_s
        while not is_enough():
            self._sock.settimeout(max(until_s - time.monotonic(), 0.001))
            piece = response.read1(_READ_BYTES)
            now = time.monotonic()
            if not piece:
                self.end = "whole" if self._found.is_framed or response.length == 0 else "unframed"
                return
            if self._found.first_s is None:
                self._found = replace(self._found, first_s=now - self._began_s)
            self._heard_s = now
            if not self._found.encoding:
                self._hear(self._parser.feed(piece), now)

    def _hear(self, messages: list[Message], now: float) -> None:
        self._messages += messages
        self._beats_s += [now - self._began_s for message in messages if message.type == "heartbeat"]

    def result(self) -> Probe:
        """Give what came, and how it ended."""
        now = time.monotonic()
        opened_s, beat_s, *_ = (*self._beats_s, None, None)
        return replace(
            self._found, opened_s=opened_s, beat_s=beat_s, end=self.end, ended_s=now - self._began_s,
            silent_s=now - self._heard_s, messages=tuple(self._messages),
        )  # fmt: skip
