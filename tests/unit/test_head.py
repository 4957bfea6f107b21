"""The strict reading of a request's head: what is plain, and that gunicorn reads the same in it."""

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from webapp.head import Head, read_head

PLAIN = (
    b"GET /api/events/stream?topics=operations:a&types=progress HTTP/1.1\r\n"
    b"Host: example\r\nAccept: text/event-stream\r\n"
    b"Last-Event-ID: \tevt_1-2 \r\nConnection: keep-alive\r\n\r\n"
)
TARGETS = [
    b"/api/events/stream",
    b"/",
    b"//",
    b"/a%20b",
    b"/a/../b",
    b"http://h/a",
    b"*",
    b"?a=b",
    b"?",
    b"#f",
    b"\xe9",
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"http/1.1"]
LINES = [
    b"Host: h", b"host:h", b"Host : h", b"X_Y: 1", b"X-Y:", b"X-Y: \t1 \t", b": none", b" folded",
    b"Content-Length: 0", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"\xe9: 1", b"X: \xe9",
    b"X: a\x00b", b"X: a\rb", b"X: a\nb", b"Expect: 100-continue", b"Upgrade: h2c", b"Last-Event-ID: evt_1-1",
    b"Connection: close", b"",
]  # fmt: skip
REQUESTS = st.builds(
    lambda target, version, lines, rest: b"GET " + b"".join(target) + b" " + version + b"\r\n"
    + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + rest,
    st.lists(st.sampled_from(TARGETS), max_size=2).map(lambda pieces: [b"/api/events/stream", *pieces]),
    st.sampled_from(VERSIONS),
    st.lists(st.sampled_from(LINES), max_size=2).map(lambda lines: [b"Host: h", *lines]),
    st.sampled_from([b"", b"", b"", b"body"]),
)  # fmt: skip


def test_plain_get_is_read() -> None:
    """Path, query and headers, their values without the blanks around them."""
    assert read_head(PLAIN) == Head(
        "/api/events/stream",
        b"topics=operations:a&types=progress",
        is_http_1_1=True,
        headers={
            "host": "example",
            "accept": "text/event-stream",
            "last-event-id": "evt_1-2",
            "connection": "keep-alive",
        },
    )
    older = read_head(PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert older is not None
    assert not older.is_http_1_1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b"G",
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"GET", b"HEAD"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.2"),
        PLAIN.replace(b"/api", b"http://example/api"),
        PLAIN.replace(b"stream", b"str%65am"),
        PLAIN.replace(b"stream", b"stream#here"),
        PLAIN.replace(b"stream", b"str\xc3\xa9am"),
        PLAIN.replace(b"Accept", b"Accept "),
        PLAIN.replace(b"Accept", b" Accept"),
        PLAIN.replace(b"Accept", b"Host"),
        PLAIN.replace(b"Accept", b"Content-Length"),
        PLAIN.replace(b"Accept", b"transfer-encoding"),
        PLAIN.replace(b"Accept", b"Expect"),
        PLAIN.replace(b"Accept", b"Upgrade"),
        PLAIN.replace(b"Host", b"Hosts"),
        PLAIN.replace(b"keep-alive", b"keep\x00alive"),
        PLAIN.replace(b"keep-alive", b"keep\ralive"),
        b"\x16\x03\x01 no HTTP at all",
    ],
)
def test_what_is_not_plain_is_left(said: bytes) -> None:
    """Unfinished, with a body, encoded, ambiguous or malformed: another parser decides."""
    assert read_head(said) is None


@settings(max_examples=500)
@given(REQUESTS)
@example(PLAIN)
def test_whatever_is_read_gunicorn_reads_too(said: bytes) -> None:
    """There is no request that the short way takes for another than the long way would."""
    head = read_head(said)
    event("read" if head else "left")
    if head is None:
        return
    request = next(RequestParser(Config(), iter([said]), ("127.0.0.1", 1)))
    assert (request.method, request.path, request.query.encode()) == ("GET", head.path, head.query)
    assert request.uri == said.split(b" ")[1].decode()
    assert request.version == (1, int(head.is_http_1_1))
    ours = [(name, value) for name, value in head.headers.items() if "_" not in name]
    assert [(name.lower(), value) for name, value in request.headers] == ours
    assert request.body.read() == b""
