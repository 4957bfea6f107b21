"""The parked gear as deployed: gunicorn's processes, many streams, and every way in which they end.

The first tests run over both gears: parked, and the generator that takes over where no socket can be parked.
What streams tell is reported by the tests, so that each event is known beforehand.
"""

import json
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from dev.redis_server import RedisServer
from tests.http_stream import HttpStream, get_json, open_stream
from tests.relay import Relay
from tests.sse import Message, parse
from tests.stack import READ_S, Stack, logged, place
from tests.waiting import wait_until
from tidings import Operation
from tidings.cursor import Cursor

GLOBAL: Final = "/api/events/stream"
POOL: Final = 20
"""Places in gunicorn's pool where parked streams must not need one."""
GONE_S: Final = 20.0
"""Promised: a process is gone this long after SIGTERM (DESIGN.md, 5.8)."""


@pytest.fixture(scope="module", autouse=True)
def _many_descriptors() -> None:
    """Let this process have as many connections as its hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def served(
    redis_server: RedisServer,
    folder: Path,
    *gunicorn: str,
    web: int = 1,
    under: Iterable[str] = (),
    **env: str,
) -> Iterator[Stack]:
    """Run the web processes alone, in a namespace of their own."""
    env |= {"TIDINGS_NAMESPACE": folder.name}
    with Stack(
        redis_server.url, folder, worker=False, web=web, gunicorn=gunicorn, under=tuple(under), **env
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def parked(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One web process with few places in gunicorn's pool."""
    folder = tmp_path_factory.mktemp("parked")
    with served(redis_server, folder, "--worker-connections", str(POOL), TIDINGS_HEARTBEAT_S="2") as stack:
        yield stack


@pytest.fixture(scope="module", params=["parked", "unix", "stock worker", "tls", "encoded"])
def either(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The service where streams are parked, also on a unix socket, and where they cannot be."""
    folder = tmp_path_factory.mktemp("gear")
    with ExitStack() as opened:
        gunicorn: list[str] = []
        url = ""
        if request.param == "unix":
            path = Path(opened.enter_context(tempfile.TemporaryDirectory())) / "web.sock"
            gunicorn = ["--bind", f"unix:{path}"]
            url = opened.enter_context(Relay(lambda: _unix(path))).url
        elif request.param == "stock worker":
            gunicorn = ["--worker-class", "gevent"]
        elif request.param == "tls":
            gunicorn = _certified(folder)
        elif request.param == "encoded":
            gunicorn = ["tests.encoded_wsgi:app"]
        stack = Stack(
            redis_server.url,
            folder,
            worker=False,
            web=1,
            gunicorn=gunicorn,
            TIDINGS_HEARTBEAT_S="1",
            TIDINGS_NAMESPACE=folder.name,
        )
        if request.param == "tls":
            port = stack.port
            url = opened.enter_context(Relay(lambda: _encrypted(port))).url
        stack.url = url or stack.url
        yield opened.enter_context(stack)


def _unix(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _encrypted(port: int) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)))


def _certified(folder: Path) -> list[str]:
    """Make a certificate, and give gunicorn's arguments to use it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    asked = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        ["openssl", "req", *asked, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    return ["--keyfile", key, "--certfile", certificate]


def opened_stream(stack: Stack, path: str = f"{GLOBAL}?history=none", **headers: str) -> HttpStream:
    """Open a stream and read its opening."""
    stream = stack.stream(path, **headers)
    stream.read_until(lambda message: message.type == "heartbeat", READ_S)
    return stream


def opened_streams(stack: Stack, opened: ExitStack, count: int, path: str = "") -> list[HttpStream]:
    """Open *count* streams and read their openings; *opened* closes them."""
    path = path or f"{GLOBAL}?history=none"
    return [opened.enter_context(opened_stream(stack, path)) for _ in range(count)]


def until_warning(stream: HttpStream, code: str) -> list[Message]:
    """Read up to the warning of that *code*; give the events of the log up to there."""
    return logged(
        stream.read_until(
            lambda message: message.type == "warning" and json.loads(message.data)["code"] == code, READ_S
        )
    )


def codes(messages: Iterable[Message]) -> list[str]:
    """Give the codes of the warnings among *messages*."""
    return [json.loads(message.data)["code"] for message in messages if message.type == "warning"]


def warn(stack: Stack, operation: Operation, *names: str) -> None:
    """Report warnings that all arrive."""
    for name in names:
        operation.warning(name, "noticed")
    stack.flush()


def test_live_events_arrive_once_and_in_order(either: Stack) -> None:
    """In either gear a stream gets each event as it comes, once, in order."""
    with ExitStack() as opened:
        streams = opened_streams(either, opened, 10)
        operation = either.operation()
        for n in range(50):
            warn(either, operation, f"w{n}")
        warn(either, operation, "last")

        for stream in streams:
            events = until_warning(stream, "last")
            assert codes(events) == [*(f"w{n}" for n in range(50)), "last"]
            assert stream.headers["content-type"].startswith("text/event-stream")


def test_stream_of_an_operation_ends_with_it(either: Stack) -> None:
    """In either gear an operation's stream ends with its terminal event, and its body as HTTP asks."""
    operation = either.operation()
    with opened_stream(either, f"/api/events/operations/{operation.id}?history=all") as stream:
        warn(either, operation, "one", "two")
        operation.complete()
        either.flush()
        events = logged(stream.read_to_end(READ_S))

        assert codes(events) == ["one", "two"]
        assert events[-1].type == "complete"
        assert stream.ended_cleanly


def test_resumed_stream_goes_on_where_it_was(either: Stack) -> None:
    """In either gear a browser that comes back gets what it missed, then what comes, once each."""
    operation = either.operation()
    path = f"{GLOBAL}?topics=operations:{operation.id}"
    with opened_stream(either, path) as stream:
        warn(either, operation, "a")
        until_warning(stream, "a")
        cursor = stream.last_event_id
    warn(either, operation, "b", "c")
    with opened_stream(either, path, Last_Event_ID=cursor) as stream:
        warn(either, operation, "d", "e")

        until_warning(stream, "e")
        assert codes(logged(stream.messages, after=cursor)) == ["b", "c", "d", "e"]


def test_filtered_stream_beats_and_stays_quiet(either: Stack) -> None:
    """In either gear a stream that has nothing to say says where it stands."""
    operation = either.operation()
    with opened_stream(either, f"{GLOBAL}?history=none&types=complete") as stream:
        warn(either, operation, "unseen")
        reached = place(get_json(f"{either.url}/api/operations").body["lastEventId"])
        stream.read_until(
            lambda message: message.type == "heartbeat" and place(message.last_event_id) >= reached, READ_S
        )

        assert {message.type for message in stream.messages} == {"heartbeat"}


def test_encoded_body_is_left_to_the_middleware(redis_server: RedisServer, tmp_path: Path) -> None:
    """A stream whose body a middleware encodes is not written to behind its back."""
    with served(redis_server, tmp_path, "tests.encoded_wsgi:app") as stack, opened_stream(stack) as stream:
        warn(stack, stack.operation(), "seen")
        until_warning(stream, "seen")

        assert stream.headers["content-encoding"] == "identity"
        assert stream.raw.count(b": encoded\n") >= 2  # the opening's heartbeat, and what came live


def test_parked_streams_need_no_place_in_the_pool(parked: Stack) -> None:
    """A thousand streams are open, and other requests are answered, with a pool of twenty."""
    with ExitStack() as opened:
        streams = opened_streams(parked, opened, 1_000)
        for _ in range(20):
            assert get_json(f"{parked.url}/healthz").status == 200
        operation = parked.operation()
        warn(parked, operation, "seen")

        assert get_json(f"{parked.url}/readyz").status == 200
        assert all(codes(until_warning(stream, "seen")) == ["seen"] for stream in streams)
    wait_until(lambda: not parked.connections(), timeout_s=READ_S)


def test_quiet_streams_beat(parked: Stack) -> None:
    """Each of many silent streams has its heartbeats, and no more than one an interval."""
    with ExitStack() as opened:
        streams = opened_streams(parked, opened, 200)
        for stream in streams:
            for _ in range(2):
                stream.read_until(lambda message: message.type == "heartbeat", READ_S)
        assert {message.type for stream in streams for message in stream.messages} == {"heartbeat"}


def test_stream_announces_that_its_connection_ends_with_it(parked: Stack) -> None:
    """The head of a parked stream says Connection: close, in a chunked HTTP/1.1 response."""
    with opened_stream(parked) as stream:
        assert stream.headers["connection"] == "close"
        assert stream.headers["transfer-encoding"] == "chunked"


@contextmanager
def raw_connection(stack: Stack, sent: bytes) -> Iterator[socket.socket]:
    """Open a connection and send the bytes *sent*."""
    target = urlsplit(stack.url)
    assert target.hostname
    assert target.port
    with socket.create_connection((target.hostname, target.port), READ_S) as connection:
        connection.sendall(sent)
        yield connection


def receive_until(connection: socket.socket, wanted: bytes, received: bytes = b"") -> bytes:
    """Receive until *wanted* has come, or, for nothing wanted, to the end."""
    while not wanted or wanted not in received:
        piece = connection.recv(65_536)
        if not piece:
            assert not wanted, received
            break
        received += piece
    return received


def test_http_1_0_client_gets_an_unchunked_body(parked: Stack) -> None:
    """A client of HTTP/1.0 gets the bare frames, before and after its stream was parked, and then the end."""
    operation = parked.operation()
    request = f"GET /api/events/operations/{operation.id}?history=none HTTP/1.0\r\n\r\n"
    with raw_connection(parked, request.encode()) as connection:
        received = receive_until(connection, b"event: heartbeat")
        warn(parked, operation, "live")
        operation.complete()
        parked.flush()
        received = receive_until(connection, b"", received)

    head, _, body = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"\r" not in body
    assert {"heartbeat", "warning"} < {message.type for message in parse(body)}
    assert parse(body)[-1].type == "complete"


def test_head_request_opens_no_stream(redis_server: RedisServer, tmp_path: Path) -> None:
    """A HEAD request has the head of a stream and takes no place among the streams."""
    with served(redis_server, tmp_path, TIDINGS_MAX_STREAMS="3") as stack, ExitStack() as opened:
        for _ in range(5):
            with raw_connection(
                stack, f"HEAD {GLOBAL} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            ) as connection:
                received = receive_until(connection, b"")
            head, _, body = received.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert body == b""
        opened_streams(stack, opened, 3)


@pytest.mark.parametrize(
    ("head", "behind"),
    [
        (b"Content-Length: 5", b"hello"),
        (b"Content-Length: 5\r\nExpect: 100-continue", b"hello"),
        (b"Content-Length: 5", b"hel"),
        (b"Accept: */*", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (b"Accept: */*", b"\r\n"),
    ],
    ids=["body", "expected body", "late body", "pipelined request", "stray line end"],
)
def test_bytes_behind_the_request_do_no_harm(parked: Stack, head: bytes, behind: bytes) -> None:
    """A body, whole or late, or a second request behind a stream's request leave the stream as it is."""
    operation = parked.operation()
    path = f"/api/events/operations/{operation.id}?history=none".encode()
    request = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n" + behind
    with raw_connection(parked, request) as connection:
        received = receive_until(connection, b"event: heartbeat")
        if behind == b"hel":
            connection.sendall(b"lo")
        warn(parked, operation, "first")
        received = receive_until(connection, b'"first"', received)
        operation.complete()
        parked.flush()
        received = receive_until(connection, b"", received)

    assert received.endswith(b"\n\n\r\n0\r\n\r\n")
    assert received.count(b" 200 OK\r\n") == 1
    assert b'"alive"' not in received


def test_client_that_goes_on_talking_is_cut(parked: Stack) -> None:
    """More than a few kilobytes behind the request end the stream."""
    with raw_connection(parked, f"GET {GLOBAL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) as connection:
        receive_until(connection, b"event: heartbeat")
        connection.sendall(b"x" * 10_000)
        with suppress(ConnectionResetError):
            receive_until(connection, b"")
    wait_until(lambda: not parked.connections(), timeout_s=READ_S)


@pytest.mark.parametrize("abruptly", [False, True])
def test_browsers_that_leave_are_noticed(parked: Stack, *, abruptly: bool) -> None:
    """Connections of browsers that have gone are closed though nothing is written to them."""
    with ExitStack() as opened:
        streams = opened_streams(parked, opened, 300, f"{GLOBAL}?topics=operations:nobody&history=none")
        assert len(parked.connections()) == 300
        for stream in streams:
            stream.close(abruptly=abruptly)
        wait_until(lambda: not parked.connections(), timeout_s=READ_S)


def test_stuck_readers_are_cut_and_others_get_everything(parked: Stack) -> None:
    """Browsers that never read are cut in bounded time; those that read have every event."""
    with ExitStack() as opened:
        good = opened_streams(parked, opened, 20)
        for _ in range(20):
            opened.enter_context(
                open_stream(f"{parked.url}{GLOBAL}?history=none", receive_buffer_bytes=4_096)
            )
        wait_until(lambda: len(parked.connections()) == 40, timeout_s=READ_S)
        operation = parked.operation()
        names = [f"n{n}" for n in range(200)]
        for name in names:
            operation.warning(name, "x" * 1_500)
        parked.flush()
        seen = [codes(until_warning(stream, names[-1])) for stream in good]
        wait_until(lambda: len(parked.connections()) == 20, timeout_s=READ_S)

        assert seen == [names] * 20
        warn(parked, operation, "after")
        assert all(codes(until_warning(stream, "after"))[-1] == "after" for stream in good)


def test_slow_reader_gets_every_warning(parked: Stack) -> None:
    """A browser that reads late, through a small window, has everything but superseded progress, in order."""
    with open_stream(f"{parked.url}{GLOBAL}?history=none", receive_buffer_bytes=4_096) as stream:
        stream.read_until(lambda message: message.type == "heartbeat", READ_S)
        operation = parked.operation()
        names = [f"n{n}" for n in range(150)]
        for name in names:
            operation.warning(name, "x" * 1_000)
        warn(parked, operation, "last")

        events = until_warning(stream, "last")
        assert codes(events) == [*names, "last"]
        assert all(
            place(one.last_event_id) < place(next_one.last_event_id) for one, next_one in pairwise(events)
        )


def test_streams_over_the_limit_are_told_when_to_come_back(redis_server: RedisServer, tmp_path: Path) -> None:
    """Past TIDINGS_MAX_STREAMS a stream gets 200, retry and the end; a place that is left is free again."""
    with served(redis_server, tmp_path, TIDINGS_MAX_STREAMS="10") as stack:
        for _ in range(2):
            with ExitStack() as opened:
                opened_streams(stack, opened, 10)
                with stack.stream(GLOBAL) as refused:
                    assert refused.status == 200
                    assert refused.read_to_end(READ_S) == []
                    assert refused.ended_cleanly
                    assert refused.retry_ms is not None
            wait_until(lambda: not stack.connections(), timeout_s=READ_S)


def test_limit_holds_when_all_come_at_once(redis_server: RedisServer, tmp_path: Path) -> None:
    """However many open at the same moment, TIDINGS_MAX_STREAMS stay; the rest are told to come back."""
    with (
        served(redis_server, tmp_path, TIDINGS_MAX_STREAMS="10") as stack,
        ThreadPoolExecutor(40) as pool,
        ExitStack() as opened,
    ):
        streams = list(pool.map(lambda _: opened.enter_context(stack.stream(GLOBAL)), range(200)))
        wait_until(lambda: len(stack.connections()) <= 10, timeout_s=READ_S / 4)
        assert len(stack.connections()) == 10
        stack.stop()
        for stream in streams:
            stream.read_to_end(READ_S)
            assert stream.ended_cleanly
            assert stream.retry_ms is not None


def test_descriptor_limit_caps_the_streams_and_says_so(redis_server: RedisServer, tmp_path: Path) -> None:
    """Where the descriptor limit is too low for TIDINGS_MAX_STREAMS, one line says so, and caps it."""
    under = ["sh", "-c", 'ulimit -n 300; exec "$0" "$@"']
    with (
        served(redis_server, tmp_path, under=under, TIDINGS_MAX_STREAMS="5000") as stack,
        ExitStack() as opened,
    ):
        opened_streams(stack, opened, 100)
        with stack.stream(GLOBAL) as refused:
            refused.read_to_end(READ_S)
            assert refused.retry_ms is not None
        assert get_json(f"{stack.url}/healthz").status == 200
        warnings = [line for line in stack.output("web").splitlines() if "TIDINGS_MAX_STREAMS" in line]

    assert len(warnings) == 1
    assert all(words in warnings[0] for words in ("5000", "5200", "300", "at most 100", "ulimit"))


def test_connections_that_say_nothing_leave_descriptors_for_others(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """However many connect and keep silent, no process runs out of descriptors; what it has goes on."""
    under = ["sh", "-c", 'ulimit -n 300; exec "$0" "$@"']
    with served(redis_server, tmp_path, under=under) as stack, ExitStack() as opened:
        streams = opened_streams(stack, opened, 100)
        for _ in range(300):
            opened.enter_context(raw_connection(stack, b""))
        assert get_json(f"{stack.url}/healthz").status == 200
        operation = stack.operation()
        warn(stack, operation, "after")
        for stream in streams:
            until_warning(stream, "after")
        assert "Too many open files" not in stack.output("web")


def test_service_that_cannot_be_found_is_said(redis_server: RedisServer, tmp_path: Path) -> None:
    """Behind something that hides it the service works, and the log says what it lacks."""
    with served(redis_server, tmp_path, "tests.wrapped_wsgi:app") as stack:
        assert get_json(f"{stack.url}/healthz").status == 200
        assert stack.output("web").count("streams are neither parked nor drained") == 1


def test_soft_descriptor_limit_is_raised(redis_server: RedisServer, tmp_path: Path) -> None:
    """A soft limit below what the streams need is raised, without a word."""
    under = ["sh", "-c", 'ulimit -Sn 100; exec "$0" "$@"']
    with (
        served(redis_server, tmp_path, under=under, TIDINGS_MAX_STREAMS="500") as stack,
        ExitStack() as opened,
    ):
        opened_streams(stack, opened, 300)
        assert "TIDINGS_MAX_STREAMS" not in stack.output("web")
        (limits,) = [Path(f"/proc/{pid}/limits").read_text() for pid in stack.web_pids()]
    soft, hard = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5]

    assert soft == hard


def test_term_with_nobody_there_is_quick(redis_server: RedisServer, tmp_path: Path) -> None:
    """A process without streams does not wait for any."""
    with served(redis_server, tmp_path) as stack:
        assert stack.web is not None
        stack.web.send_signal(signal.SIGTERM)
        assert stack.web.wait(GONE_S) == 0


def test_cursors_of_heartbeats_are_true_under_load(parked: Stack) -> None:
    """While events come, every id a stream has is behind all it says; nothing comes after it was claimed."""
    with ExitStack() as opened:
        streams = opened_streams(parked, opened, 200, f"{GLOBAL}?history=none&types=warning")
        operation = parked.operation()
        for n in range(100):
            operation.progress(n, 100)
            warn(parked, operation, f"w{n}")
        warn(parked, operation, "last")
        for stream in streams:
            claimed = Cursor(0, 0)
            until_warning(stream, "last")
            for message in stream.messages:
                cursor = place(message.last_event_id)
                assert cursor > claimed or (message.type == "heartbeat" and cursor == claimed)
                claimed = cursor
