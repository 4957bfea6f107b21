"""One stream of a service, opened again for ever: what a browser's ``EventSource`` does, and a watchdog.

Takes what is to be followed and the cursor to begin behind, gives messages, each once and in order, and says
in between when the connection is gone and back. Refusals that no waiting can change end it.
"""

import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Final

from msgspec import DecodeError, json

from tidings.cli.exits import Refused, Unreachable
from tidings.cli.service import Service, target
from tidings.cli.sse import Message, Parser

SILENCES: Final = 2.5
"""So many heartbeats may be missing before a stream is taken for dead; as in clients/js."""
FIRST_RETRY_S: Final = 1.0
"""Until the service says otherwise."""
LONGEST_RETRY_S: Final = 10.0
"""A deploy is over within seconds; nobody at a terminal should wait half a minute more. Guessed."""
_READ_BYTES: Final = 65_536
_chance: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Line:
    """The connection is there (*reason* is empty), or it is not."""

    reason: str = ""

    @property
    def is_up(self) -> bool:
        """Whether events can come."""
        return not self.reason


class Stream:
    """One stream, for one thread to draw from; any other may `close` it.

    A service that is away is tried again after what it last said (``retry``), and twice as long after each
    further failure, up to `LONGEST_RETRY_S`, with jitter.
    """

    def __init__(
        self, service: Service, query: Mapping[str, object], cursor: str = "", *, heartbeat_s: float
    ) -> None:
        self._service = service
        self._path = target("/api/events/stream", query)
        self._silence_s = heartbeat_s * SILENCES
        self._cursor = cursor
        self._retry_s = FIRST_RETRY_S
        self._failures = 0
        self._closed = threading.Event()

    def close(self) -> None:
        """Open it no more, and end what is drawn from it with its next event."""
        self._closed.set()

    def __iter__(self) -> Iterator[Message | Line]:
        """Give what comes, until it is closed. Waits for the network. Raises: Refused if it never can."""
        while not self._closed.is_set():
            try:
                yield from self._one()
            except Refused as error:
                if not error.temporary:
                    raise
                reason = str(error)
            except Unreachable as error:
                reason = error.reason
            else:
                reason = "the stream has ended"
            yield Line(reason)
            self._closed.wait(self._pause_s())

    def _one(self) -> Iterator[Message | Line]:
        parser = Parser(self._cursor)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._cursor:
            headers["Last-Event-ID"] = self._cursor
        with self._service.open("GET", self._path, headers=headers, timeout_s=self._silence_s) as response:
            _check(response)
            yield Line()
            while not self._closed.is_set() and (piece := _read(response)):
                for message in parser.feed(piece):
                    self._failures = 0
                    self._cursor = message.id
                    yield message
                if parser.retry_ms is not None:
                    self._retry_s = parser.retry_ms / 1_000
                self._cursor = parser.cursor

    def _pause_s(self) -> float:
        pause_s = min(self._retry_s * 2.0**self._failures, LONGEST_RETRY_S)
        self._failures = min(self._failures + 1, 10)
        return pause_s * _chance.uniform(0.5, 1)


def _check(response: HTTPResponse) -> None:
    """Raise: Refused unless it is an event stream."""
    if response.status != 200:  # noqa: PLR2004 - HTTP's
        try:
            problem = json.decode(response.read(_READ_BYTES))
        except DecodeError:
            problem = {}
        raise Refused(response.status, problem if isinstance(problem, dict) else {})
    kind = response.headers.get_content_type()
    if kind != "text/event-stream":
        raise Refused(200, {"detail": f"what came is no event stream but {kind}: try tidings doctor"})


def _read(response: HTTPResponse) -> bytes:
    """Give what has come; nothing at the end, cut or not. Raises: OSError, also after the silence."""
    try:
        return response.read1(_READ_BYTES)
    except HTTPException:  # cut in the middle of a chunk: the cursor knows where to go on
        return b""
