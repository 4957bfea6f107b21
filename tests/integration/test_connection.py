"""The hand-over of a connection: from gunicorn's own response to a hub that the test feeds."""

import socket
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http.wsgi import Response

from tests.http_body import ChunkedBody
from tests.parked_streams import NEVER_S, START, Browser, at, make_entry
from tidings.entry import Entry
from tidings.log import Mark
from tidings.replay import Opening
from tidings.topics import Filter
from webapp.connection import GunicornConnection
from webapp.hub import Hub
from webapp.opening import CHUNK_BYTES, Past
from webapp.stream import Plan, stream_frames

MARK = Mark("token", START)
HEADERS = [("Content-Type", "text/event-stream")]


class Request:
    """One request: its response as gunicorn makes it, and the other end, where a read is a write."""

    def __init__(self, version: tuple[int, int] = (1, 1)) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = SimpleNamespace(version=version, method="GET", should_close=lambda: False)
        self.ours = ours
        self.response = Response(request, ours, Config())
        self.browser = Browser(theirs, chunked=version > (1, 0))

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self.browser.connection.close()

    def body(self, hub: Hub, opening: Opening) -> Iterator[bytes]:
        """Give the body of a stream that gunicorn writes."""
        connect = partial(GunicornConnection, self.response, self.ours)
        return stream_frames(hub, Plan(Filter(), Past(), MARK, opening, NEVER_S, connect=connect))

    def serve(self, hub: Hub, opening: Opening) -> None:
        """Answer with a stream, as gunicorn does."""
        self.response.start_response("200 OK", HEADERS)
        for piece in self.body(hub, opening):
            self.response.write(piece)
        self.response.close()

    def first_write(self) -> tuple[list[str], bytes]:
        """Read what was written first: the lines of the head, and what of the body came with it."""
        head, _, body = self.browser.connection.recv(1 << 20).partition(b"\r\n\r\n")
        self.browser.messages += self.browser.parser.feed(self.browser.body.feed(body))
        return head.decode().split("\r\n"), body

    def types(self) -> list[str]:
        """Read all that is there; give the types of the events that have come."""
        while self.browser.read():
            pass
        return [message.type for message in self.browser.messages]


def undated(line: str) -> str:
    """Give a head's line, the date's without the date, which is checked."""
    name, _, value = line.partition(": ")
    if name != "Date":
        return line
    assert abs(parsedate_to_datetime(value).timestamp() - time.time()) < 60
    return name


def gunicorns_head(request: Request) -> list[str]:
    """Give the lines of the head as gunicorn writes them for *request*."""
    request.response.chunked = request.response.is_chunked()
    own = [undated(line.rstrip()) for line in request.response.default_headers()]
    return [*own, *(f"{name}: {value}" for name, value in request.response.headers)]


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub that has read three events."""
    hub = Hub(10_000, NEVER_S)
    hub.start_over(MARK)
    hub.route([make_entry(n) for n in range(1, 4)])
    yield hub
    hub.drain(0)


@pytest.fixture
def request_for() -> Iterator[Callable[..., Request]]:
    """Make requests, and close them in the end."""
    made: list[Request] = []

    def make(version: tuple[int, int] = (1, 1)) -> Request:
        made.append(Request(version))
        return made[-1]

    yield make
    for request in made:
        request.close()


@pytest.fixture
def get(request_for: Callable[..., Request]) -> Request:
    """A request in HTTP/1.1."""
    return request_for()


@pytest.fixture
def opening() -> Opening:
    """An opening out of memory."""
    return Opening(at(3), [make_entry(2), make_entry(3)])


@pytest.mark.parametrize("version", [(1, 1), (1, 0)])
def test_short_opening_leaves_with_its_head_in_one_write(
    hub: Hub, opening: Opening, request_for: Callable[..., Request], version: tuple[int, int]
) -> None:
    """Head, retry, what was missed and the cursor are one write, chunked only in HTTP/1.1."""
    request = request_for(version)
    request.serve(hub, opening)
    head, body = request.first_write()

    assert [undated(line) for line in head] == gunicorns_head(request)
    assert ("Transfer-Encoding: chunked" in head) == (version == (1, 1))
    assert {"Connection: close", "Content-Type: text/event-stream"} <= set(head)
    assert b"retry: " in body
    assert request.types() == ["status", "status", "heartbeat"]
    assert hub.parked == 1


def test_parked_stream_goes_on_behind_its_opening(hub: Hub, get: Request, opening: Opening) -> None:
    """What came meanwhile and what comes later follows the opening, once, in order."""
    hub.route([make_entry(4)])
    get.serve(hub, opening)
    hub.route([make_entry(5)])
    get.first_write()
    assert get.browser.read_all() == [2, 3, 4, 5]


def test_long_opening_is_written_piece_by_piece(hub: Hub, get: Request) -> None:
    """No more than one piece waits in memory for the hand-over; gunicorn writes the others."""
    get.response.start_response("200 OK", HEADERS)
    missed = [make_entry(n, size_bytes=CHUNK_BYTES + 1) for n in range(1, 4)]
    pieces = list(get.body(hub, Opening(at(3), missed)))
    assert [piece.count(b"event: status") for piece in pieces] == [1, 1, 1]
    get.first_write()
    assert get.types() == ["heartbeat"]


def test_opening_that_reads_on_says_when_to_come_back_at_once(hub: Hub, get: Request) -> None:
    """What is said first does not wait for Redis."""

    def pages() -> Iterator[Entry]:
        get.first_write()
        get.browser.read()
        assert b"retry: " in get.browser.raw
        yield make_entry(3)

    get.serve(hub, Opening(at(3), pages()))
    assert get.types() == ["status", "heartbeat"]


def test_stream_refused_at_the_hand_over_is_whole(hub: Hub, get: Request, opening: Opening) -> None:
    """A draining process still says head and opening, then when to come back, and ends the body."""
    hub.draining = True
    get.serve(hub, opening)
    head, body = get.first_write()
    get.types()

    assert head[0] == "HTTP/1.1 200 OK"
    assert body.count(b"retry: ") == 2
    assert isinstance(get.browser.body, ChunkedBody)
    assert get.browser.body.complete
    assert get.browser.over
    assert hub.parked == 0


@pytest.mark.parametrize("header", [("Content-Encoding", "gzip"), ("Content-Length", "999")])
def test_body_that_another_frames_is_not_parked(
    hub: Hub, get: Request, opening: Opening, header: tuple[str, str]
) -> None:
    """A middleware that encodes or counts the body keeps it."""
    get.response.start_response("200 OK", [*HEADERS, header])
    body = get.body(hub, opening)
    assert b"event: heartbeat" in next(piece for piece in body if b"heartbeat" in piece)
    assert hub.parked == 0


def test_body_that_has_not_been_announced_is_not_parked(hub: Hub, get: Request, opening: Opening) -> None:
    """Where something draws the body before it starts the response, there is no head to take along."""
    assert next(get.body(hub, opening)).startswith(b"retry: ")
    assert hub.parked == 0
