"""The last stage of the flow, the browser: every client reads the same from a stream cut in the worst places.

A small server streams a fixed transcript of frames such as our service sends, with each line end and each
byte of a non-ASCII character in a chunk of its own. The expected messages are written out here, so no client
is the judge of another, but for one test: Chromium judges how our parser reads what our service never sends.
"""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.clients.readers import READERS, Reader
from tests.sse import Message
from tests.stack import Stack, logged

TIMEOUT_S = 20.0  # guessed: a cold start of Chromium on a busy machine, several times over

LONG_DATA = json.dumps({"operationId": "op_1", "message": "lang … " * 1_250}, ensure_ascii=False)

EXPECTED = [
    Message("reset", '{"reason":"history_trimmed","requestedId":"evt_1-1"}', ""),
    Message("progress", '{"operationId":"op_1","current":4,"total":10}', ""),
    Message("heartbeat", "{}", "evt_1763802600123456-16"),
    Message(
        "progress", r'{"message":"line\nfeed, carriage\rreturn, tab\t, \u0000 \u001f \u007f"}', "evt_1-17"
    ),
    Message("status", '{"status":"running","details":" two  spaces: and: colons "}', "evt_1-18"),
    Message(
        "warning", r'{"message":"line\u2028separator \u2029 \u0085 \"quoted\" \\ </script>"}', "evt_1-19"
    ),
    Message("progress", '{"message":"é ü ß … 漢字 😀 👩\u200d👩\u200d👧 \ufeff"}', "evt_1-20"),
    Message("status", '{"status":"a frame without an id behind one that has one"}', "evt_1-20"),
    Message("message", '{"type":"of no name"}', "evt_1-21"),
    Message("error", '{"code":"E_ROW","message":"named like a lost connection"}', "evt_1-22"),
    Message("progress", LONG_DATA, "evt_Az09_-x-23"),
    Message("heartbeat", "{}", "evt_1-24"),
    Message("complete", '{"operationId":"op_1","result":null}', "evt_1-25"),
]
"""The messages of the transcript, each with the id that a browser would know when it has come."""


def frame(message: Message, fields: str = "") -> str:
    """Return *message* as our service would frame it, with *fields* (whole lines) before its data."""
    event = "" if message.type == "message" else f"event: {message.type}\n"
    return f"{event}{fields}data: {message.data}\n\n"


def transcript_of(messages: list[Message]) -> bytes:
    """Return the frames of *messages*, with an id where it changes, and comments and retries between them."""
    frames = ["retry: 1234\n\n", ": opening\n\n"]
    last_event_id = ""
    for message in messages:
        fields = f"id: {message.last_event_id}\n" if message.last_event_id != last_event_id else ""
        last_event_id = message.last_event_id
        frames += [frame(message, fields), ": still here\n\n"]
    return "".join([*frames, "retry: 800\n\n: the end\n\n"]).encode()


def in_awkward_chunks(body: bytes) -> list[bytes]:
    """Return *body* cut around each line end and each byte of a non-ASCII character, else every 7 bytes."""
    return re.findall(rb"[^\r\n\x80-\xff]{1,7}|[\r\n\x80-\xff]", body)


SPEC_TRANSCRIPT = (
    b"\xef\xbb\xbfdata: after the mark\r\n\r\n"
    b"data: cr\rdata: cr\r\r"
    b"data: all\rdata: three\ndata: ends\r\n\n"
    b"event: progress\ndata\n\n"
    b"event: status\nid: 1\n\n"
    b"data: an id from a block without data\n\n"
    b"data: NUL\nid: 2\0\n\n"
    b"id\ndata: no id\n\n"
    b"id: 3\nretry: 1e3\nretry: 700\ndata\ndata\n\n"
    b":\n:data: comment\n data: space\nDATA: case\ndatas: name\nevent: warning\nevent\ndata:  two spaces\n\n"
    b"data: \xc2\x85 \xe2\x80\xa8 \x0b \x0c \x1c \0 \xef\xbb\xbf\n\n"
    b"data: \xff \xf0\x9f\x98 \xed\xa0\x80 \xc3(\n\n"
    b"\xef\xbb\xbfdata: a later mark\n\n"
    b"event: complete\rdata: end\r\r"
)
"""What the standard allows and our service never sends."""

TRANSCRIPT = transcript_of([*EXPECTED, Message("heartbeat", '{"read":"too far"}', "evt_1-26")])

CHUNKS = {
    "/hostile": in_awkward_chunks(TRANSCRIPT),
    "/burst": [TRANSCRIPT],
    "/spec": in_awkward_chunks(SPEC_TRANSCRIPT),
}
"""What the server streams, by path."""


class HostileHandler(BaseHTTPRequestHandler):
    """Streams ``CHUNKS``, and answers everything else as the page beside the stream."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with the stream of the path, if there is one."""
        self.close_connection = True
        chunks = CHUNKS.get(self.path)
        # A reader that has what it came for leaves without waiting for the rest.
        with contextlib.suppress(ConnectionError):
            if chunks is None:
                self._answer()
            else:
                self._stream(chunks)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the test speaks for the server."""

    def _answer(self) -> None:
        """Send the page, under the strictest policy that a service could have on it."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.end_headers()
        self.wfile.write(b"{}")

    def _stream(self, chunks: list[bytes]) -> None:
        """Send *chunks* as they are, and the end of the body."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def hostile_url() -> Iterator[str]:
    """Give the address of the hostile server; it stops after the tests of this module."""
    with ThreadingHTTPServer(("127.0.0.1", 0), HostileHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def hostile_stream_url(hostile_url: str) -> str:
    """Give the URL of the stream of ``EXPECTED``."""
    return f"{hostile_url}/hostile"


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_client_reads_exactly_the_messages_of_the_transcript(read: Reader, hostile_stream_url: str) -> None:
    """Each client delivers the same types, data and ids from a stream cut in the worst places."""
    assert read(hostile_stream_url, "complete", TIMEOUT_S) == EXPECTED


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_client_reads_up_to_the_awaited_event(read: Reader, hostile_url: str) -> None:
    """Each client has the same from a stream that comes at once, and nothing behind the event asked for."""
    assert read(f"{hostile_url}/burst", "complete", TIMEOUT_S) == EXPECTED


def test_parser_and_chromium_agree_on_what_our_service_never_sends(hostile_url: str) -> None:
    """Our parser reads the odd corners of the standard as a browser does."""
    ours = READERS["spec-parser"](f"{hostile_url}/spec", "complete", TIMEOUT_S)
    chromium = READERS["chromium"](f"{hostile_url}/spec", "complete", TIMEOUT_S)

    assert ours == chromium
    assert len(ours) == 12


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_client_says_when_the_awaited_event_does_not_come(read: Reader, hostile_stream_url: str) -> None:
    """A reader that waits in vain raises: a missing event is never a shorter list."""
    with pytest.raises((TimeoutError, EOFError)):
        read(hostile_stream_url, "never", 2.0)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_client_reads_what_the_service_sends(read: Reader, stack: Stack) -> None:
    """Each client delivers an operation of awkward text from the real service as the log has it."""
    operation = stack.operation()
    awkward = "\n\r\n\r\x00\x85\u2028\u2029\ufeff é 漢字 😀 \ud800 data: x\n\nevent: error\n\n"
    operation.status("é\u2028\x85")
    for step in range(3):
        operation.progress(step, 3, awkward)
        stack.flush()
        operation.warning("odd", awkward, {awkward: ["x" * 20_000, awkward]})
    operation.error("e_row", awkward, terminal=False)
    operation.complete({"text": awkward})
    stack.flush()

    url = f"{stack.url}/api/events/operations/{operation.id}?history=all"
    # Without the heartbeat that ends the opening: where it stands depends on how far the feed had read.
    messages = logged(read(url, "complete", TIMEOUT_S))
    assert messages == stack.history(operation.id)
    assert len(messages) == 11
