"""The tests' own HTTP client against a peer that each test plays itself, byte by byte."""

import re
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import pytest

from tests.http_stream import BodyEnd, HttpStream, get_json, open_stream, post_json
from tests.sse import Message

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT_S = 10.0
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ABC = [Message("message", "a", "1"), Message("message", "b", "1"), Message("end", "c", "1")]
ABC_BODY = b"10\r\nid: 1\ndata: a\n\nd\r\n9\r\nata: b\n\ne\r\n13\r\nvent: end\ndata: c\n\n\r\n"


class Peer:
    """A server for one connection at a time, of which a test says every byte; lives as long as its test."""

    def __init__(self, listener: socket.socket, pool: ThreadPoolExecutor) -> None:
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self.connection = listener
        """The connection that was accepted last."""
        self.request = ""
        """What came over it first."""
        self._listener = listener
        self._pool = pool

    def asked_by(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Make *call* in a thread, take its request, and return what it will return when answered."""
        calling = self._pool.submit(call, *args, **kwargs)
        self.connection, _ = self._listener.accept()
        with self.connection.makefile("rb") as incoming:
            head = b"".join(iter(incoming.readline, b"\r\n")).decode()
            length = re.search(r"(?i)content-length: (\d+)", head)
            self.request = head + incoming.read(int(length[1]) if length else 0).decode()
        return calling

    def open(self, answer: bytes = CHUNKED_HEAD) -> HttpStream:
        """Return a stream to this peer that begins with *answer*."""
        opening = self.asked_by(open_stream, f"http://{self.address}/", timeout_s=TIMEOUT_S)
        self.connection.sendall(answer)
        return opening.result(TIMEOUT_S)


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Give a peer to play; it leaves when the test ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(TIMEOUT_S)
        it = Peer(listener, pool)
        yield it
        it.connection.close()


def is_named(event_type: str) -> Callable[[Message], bool]:
    """Return the predicate of messages of that type."""
    return lambda message: message.type == event_type


def test_request_names_host_path_and_query(peer: Peer) -> None:
    """The request has what a browser's has, and the test's own header fields."""
    url = f"http://{peer.address}/api/events/stream?topics=a&types=b"
    opening = peer.asked_by(open_stream, url, headers={"Last-Event-ID": "evt_1-1"})
    peer.connection.sendall(CHUNKED_HEAD)

    with opening.result(TIMEOUT_S) as stream:
        assert stream.last_event_id == "evt_1-1"
    assert peer.request.splitlines() == [
        "GET /api/events/stream?topics=a&types=b HTTP/1.1",
        f"Host: {peer.address}",
        "Accept: text/event-stream",
        "Last-Event-ID: evt_1-1",
    ]


def test_head_gives_status_and_header_fields(peer: Peer) -> None:
    """A refusal can be read like a stream; names are in lower case, and repeated fields are joined."""
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nVary:  Origin \r\nVARY: Accept\r\n\r\n{}"
    with peer.open(head) as stream:
        assert (stream.status, stream.raw, stream.ended_cleanly) == (400, b"{}", True)
        assert stream.headers == {"content-length": "2", "vary": "Origin, Accept"}


def test_each_call_reads_on_behind_the_message_of_the_call_before(peer: Peer) -> None:
    """A call returns all messages so far, but waits for one that no call has waited for yet."""
    with peer.open(CHUNKED_HEAD + ABC_BODY) as stream:
        assert stream.read_until(is_named("message"), TIMEOUT_S) == ABC[:1]
        assert stream.read_until(is_named("message"), TIMEOUT_S) == ABC[:2]
        assert stream.read_until(is_named("end"), TIMEOUT_S) == ABC
        with pytest.raises(TimeoutError, match="3 messages"):
            stream.read_until(is_named("message"), 0.05)
        assert stream.messages == ABC


def test_messages_come_with_their_last_byte(peer: Peer) -> None:
    """A message is there as soon as the peer has sent its chunk: nothing waits for more."""
    with peer.open() as stream:
        for count, chunk in enumerate([b"9\r\ndata: a\n\n\r\n", b"9\r\ndata: b\n\n\r\n"], start=1):
            peer.connection.sendall(chunk)
            assert len(stream.read_until(is_named("message"), TIMEOUT_S)) == count


def test_zero_chunk_ends_a_body_cleanly(peer: Peer) -> None:
    """The body has ended with its zero chunk, though the connection stays open."""
    with peer.open(CHUNKED_HEAD + ABC_BODY + b"0\r\n\r\n") as stream:
        assert stream.read_to_end(TIMEOUT_S) == ABC
        assert stream.ended_cleanly
        assert stream.raw == ABC_BODY + b"0\r\n\r\n"
        with pytest.raises(EOFError, match="complete"):
            stream.read_until(is_named("more"), TIMEOUT_S)


@pytest.mark.parametrize(
    "head", [CHUNKED_HEAD + b"9\r\ndata: a\n\n\r\n0\r\n", b"HTTP/1.0 200 OK\r\n\r\ndata: a\n\n"]
)
def test_close_without_zero_chunk_is_no_clean_end(peer: Peer, head: bytes) -> None:
    """A peer that closes before its body is provably complete has cut it."""
    with peer.open(head) as stream:
        peer.connection.close()

        assert stream.read_to_end(TIMEOUT_S) == [Message("message", "a", "")]
        assert (stream.end, stream.ended_cleanly) == (BodyEnd.CUT, False)


def test_reset_is_no_clean_end(peer: Peer) -> None:
    """A connection that breaks is told from one that closes."""
    with peer.open() as stream:
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.connection.close()

        assert stream.read_to_end(TIMEOUT_S) == []
        assert (stream.end, stream.ended_cleanly) == (BodyEnd.RESET, False)


def test_silence_is_a_timeout(peer: Peer) -> None:
    """A body that is open and silent is no end."""
    with peer.open() as stream, pytest.raises(TimeoutError, match="still open"):
        stream.read_to_end(0.05)


def test_closing_tells_the_peer(peer: Peer) -> None:
    """A stream that closes says goodbye (FIN); closing it again does nothing."""
    stream = peer.open()
    stream.close()
    stream.close(abruptly=True)

    assert peer.connection.recv(1) == b""


def test_closing_abruptly_resets_the_connection(peer: Peer) -> None:
    """A stream that closes abruptly looks to the peer like a browser that crashed (RST)."""
    stream = peer.open()
    stream.close(abruptly=True)

    with pytest.raises(ConnectionResetError):
        peer.connection.recv(1)


def test_peer_that_leaves_before_it_has_answered_is_a_connection_error(peer: Peer) -> None:
    """Half a head is no response."""
    opening = peer.asked_by(open_stream, f"http://{peer.address}/")
    peer.connection.sendall(b"HTTP/1.1 200 OK\r\n")
    peer.connection.close()

    with pytest.raises(ConnectionError, match="before the head"):
        opening.result(TIMEOUT_S)


def test_peer_that_never_answers_is_a_timeout(peer: Peer) -> None:
    """Opening a stream waits no longer than it was told to."""
    opening = peer.asked_by(open_stream, f"http://{peer.address}/", timeout_s=0.05)

    with pytest.raises(TimeoutError):
        opening.result(TIMEOUT_S)


def test_json_answer_comes_whole(peer: Peer) -> None:
    """Status, header fields and parsed body are there."""
    getting = peer.asked_by(get_json, f"http://{peer.address}/api?a=1")
    peer.connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-A: b\r\n\r\n{"a":1}')

    assert getting.result(TIMEOUT_S) == (200, {"content-length": "7", "x-a": "b"}, {"a": 1})
    assert peer.request.startswith("GET /api?a=1 HTTP/1.1\r\n")


def test_json_is_posted_as_json(peer: Peer) -> None:
    """A post has its body and the test's header fields; a refusal without a body is an answer too."""
    url, body = f"http://{peer.address}/api", {"kind": "batch"}
    posting = peer.asked_by(post_json, url, body, headers={"Authorization": "x"})
    peer.connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    assert posting.result(TIMEOUT_S) == (403, {"content-length": "0"}, None)
    assert peer.request.startswith("POST /api HTTP/1.1\r\n")
    assert "Content-Type: application/json\r\n" in peer.request
    assert "Authorization: x\r\n" in peer.request
    assert peer.request.endswith('{"kind": "batch"}')
