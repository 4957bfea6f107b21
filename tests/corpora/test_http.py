"""Requests as raw bytes, to the service as deployed: never a 5xx, a traceback, or somebody else's event."""

import json
import socket
from typing import Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import corpus, many, tried
from tests.http_body import body_of
from tests.sse import parse
from tests.stack import READ_S, Stack

REQUESTS = corpus("http")
OURS: Final = {"status", "progress", "warning", "error", "complete", "reset", "heartbeat"}
NOT_OURS: Final = {501, 505}
"""What gunicorn says of methods and versions that nobody has."""
SECRETS: Final = (b"Traceback", b'File "', b"site-packages", b"werkzeug", b"UnicodeDecodeError")


class Answer(NamedTuple):
    """What came back; status 0 where nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes


def ask(port: int, request: bytes) -> Answer:
    """Send *request* and no more, and read one answer: all of it, or of a stream what it begins with."""
    with socket.create_connection(("127.0.0.1", port), READ_S) as connection:
        try:
            connection.sendall(request)
            if not _may_stream(request):
                connection.shutdown(socket.SHUT_WR)
            raw = b""
            while not _is_enough(raw, request):
                piece = connection.recv(65_536)
                if not piece:
                    break
                raw += piece
        except ConnectionError:  # refused while we were still talking
            return Answer(0, {}, b"", b"")
    return _read(raw, request)


def _may_stream(request: bytes) -> bool:
    return b"/api/events/" in request


def _is_enough(raw: bytes, request: bytes) -> bool:
    head, found, body = raw.partition(b"\r\n\r\n")
    return bool(found) and b"text/event-stream" in head and (request.startswith(b"HEAD") or b"\n\n" in body)


def _read(raw: bytes, request: bytes) -> Answer:
    head, _, rest = raw.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, {}, b"", raw)
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ")[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = b"" if request.startswith(b"HEAD") else body_of(status, headers).feed(rest)
    return Answer(status, headers, body, raw)


def check(port: int, request: bytes) -> Answer:
    """Whatever is asked: an answer that fits, which says nothing of how the service is made."""
    tried["http"] += 1
    answer = ask(port, request)
    assert answer.status < 500 or answer.status in NOT_OURS, answer
    assert not any(secret in answer.raw for secret in SECRETS)
    kind = answer.headers.get("content-type", "")
    assert "x-forged" not in answer.headers
    if kind == "application/problem+json" and answer.body:
        problem = json.loads(answer.body)
        assert problem["status"] == answer.status
        assert answer.status != 400 or "field" not in problem or (problem["field"] and problem["allowed"])
        assert len(answer.body) < 2_000
    if kind == "text/event-stream":
        for message in parse(answer.body):
            assert message.type in OURS
            json.loads(message.data)
    return answer


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_answered_whatever_it_is(name: str, stack: Stack) -> None:
    """Each request of the corpus, to the port."""
    check(stack.port, "".join(REQUESTS[name]).encode("latin-1"))


def test_a_request_behind_a_stream_is_nobodys(stack: Stack) -> None:
    """Nothing is read from the connection any more, and nothing answers in the stream."""
    answer = check(stack.port, REQUESTS["a second request behind a stream"].encode())
    assert answer.status == 200
    assert answer.raw.count(b"HTTP/1.1") == 1


def test_bad_requests_harm_no_reader(stack: Stack) -> None:
    """One who reads an operation meanwhile gets its events, in order, and nothing else."""
    operation, other = stack.operation(), stack.operation()
    with stack.stream(f"/api/events/operations/{operation.id}") as stream:
        for n, request in enumerate(REQUESTS.values()):
            check(stack.port, "".join(request).encode("latin-1"))
            if n % 10 == 0:
                operation.warning(f"w{n}", "m")
                other.warning("others", "m")
        operation.complete()
        stack.flush()
        messages = stream.read_to_end(READ_S)
    said = [json.loads(message.data) for message in messages if message.type == "warning"]
    assert [warning["code"] for warning in said] == [f"w{n}" for n in range(0, len(REQUESTS), 10)]
    assert messages[-1].type == "complete"
    other.complete()
    stack.flush()


METHODS = st.sampled_from([b"GET", b"GET", b"GET", b"HEAD", b"POST", b"OPTIONS", b"DELETE", b"PATCH", b"PUT"])
PATHS = st.sampled_from(
    b"/ /api/events/stream /api/events/operations/ /api/events/agents/ /api/operations /api/operations/ "
    b"/api/kinds /api/uploads /api/uploads/ /operations/ /static/ /healthz /api/session /openapi.json "
    b"/client/".split()
)
VISIBLE = st.binary(max_size=24).map(lambda data: bytes(byte for byte in data if byte > 32 and byte != 127))
PARAMETERS = st.sampled_from(
    b"topics types kinds history last_event_id limit q status before after ticket token".split()
)
VALUES = VISIBLE | st.sampled_from(b"operations:a * progress all evt_1-1 %00 %FF 1 1.0.0 Bearer".split())
QUERIES = st.lists(st.tuples(PARAMETERS, VALUES).map(b"=".join), max_size=4).map(b"&".join)
NAMES = st.sampled_from(
    b"Last-Event-ID Authorization Cookie Origin Accept Range X-Forwarded-For If-None-Match Content-Type "
    b"Accept-Encoding Tus-Resumable Upload-Length Upload-Metadata Upload-Offset Sec-Fetch-Site".split()
)
FIELDS = st.lists(st.tuples(NAMES, VALUES).map(b": ".join), max_size=5)


@many(0.5)
@given(st.tuples(METHODS, PATHS, VISIBLE, QUERIES), FIELDS, st.binary(max_size=40))
def test_any_request_is_answered(
    stack: Stack, asked: tuple[bytes, bytes, bytes, bytes], fields: list[bytes], body: bytes
) -> None:
    """Any method, path, query, fields and body that have the shape of a request."""
    method, path, name, query = asked
    target = path + (name.replace(b"?", b"") if path.endswith(b"/") and path != b"/" else b"")
    content = b"" if method == b"GET" else body
    first = method + b" " + target + b"?" + query + b" HTTP/1.1"
    lines = [first, b"Host: localhost", b"Connection: close", *fields]
    lines += [b"Content-Length: %d" % len(content)] if content else []
    check(stack.port, b"\r\n".join([*lines, b"", content]))
