"""The limits on the service as deployed: who meets one is told when to come back, and nobody else notices."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest
from celery import Celery
from redis import Redis

from dev.redis_server import RedisServer
from tasks.catalog import QUEUE
from tests.forged_tokens import HOUR_S, KID, SECRET
from tests.http_stream import HttpStream
from tests.stack import READ_S, Stack
from tests.waiting import wait_until
from tidings.address import Address
from tidings.tokens import Keys
from webapp.app import SECURITY_HEADERS

KEYS: Final = Keys.parse(f"{KID}:{SECRET}")
ALL: Final = "/api/events/stream"
APP: Final = "https://app.example"
SCRAPE: Final = "the-token-of-the-metrics"
PASSWORD: Final = "the-password-of-redis"  # noqa: S105 - made for this test's own server
PLACES: Final = 20
"""Of gunicorn's pool: few, so that whoever holds one without need is missed."""
POSTING: Final = "POST /api/operations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with small limits, behind a proxy on this machine, that logs all that it can log."""
    folder = tmp_path_factory.mktemp("limited")
    env = {
        "TIDINGS_AUTH": "required",
        "TIDINGS_SECRET_KEY": f"{KID}:{SECRET}",
        "TIDINGS_METRICS_TOKEN": SCRAPE,
        "TIDINGS_ALLOWED_ORIGINS": APP,
        "TIDINGS_TRUSTED_PROXIES": "127.0.0.0/8",
        "TIDINGS_STREAMS_PER_ADDRESS": "3",
        "TIDINGS_STREAMS_PER_SUBJECT": "2",
        "TIDINGS_REQUESTS_PER_S": "2",
        "TIDINGS_REQUEST_S": "1",
    }
    options = ["--log-level", "debug", "--worker-connections", str(PLACES)]
    with RedisServer(folder / "redis") as redis:
        with Redis.from_url(redis.url) as admin:
            admin.acl_setuser("web", enabled=True, passwords=[f"+{PASSWORD}"], categories=["+@all"],
                              keys=["*"], channels=["*"])  # fmt: skip
        url = redis.url.replace("unix://", f"unix://web:{PASSWORD}@")
        with Stack(url, folder, worker=False, web=1, gunicorn=options, **env) as stack:
            yield stack


def bearer(subject: str, *topics: str) -> dict[str, str]:
    """Sign a token, as the header that carries it."""
    return {"Authorization": f"Bearer {KEYS.sign(subject, HOUR_S, topics=topics, start=['*'])}"}


def coming_from(address: str) -> dict[str, str]:
    """Say for whom a proxy asks."""
    return {"X-Forwarded-For": address}


def ask(stack: Stack, method: str, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """Send a request, and read the whole answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=READ_S)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def is_live(stream: HttpStream) -> bool:
    """Tell whether a stream has opened; else it was told when to come back, and ended properly."""
    assert stream.status == 200
    try:
        stream.read_until(lambda message: message.type == "heartbeat", READ_S)
    except EOFError:
        assert stream.ended_cleanly
        assert stream.retry_ms is not None
        assert stream.messages == []
        return False
    return True


def said_to(stack: Stack, request: bytes) -> bytes:
    """Send *request* as it is, and no more; give all that is said until the service closes."""
    with socket.create_connection(("127.0.0.1", stack.port), READ_S) as connection:
        connection.sendall(request)
        said = b""
        while piece := connection.recv(65_536):
            said += piece
        return said


def test_an_address_has_its_streams_and_no_more(limited: Stack) -> None:
    """Whoever they are; one that leaves makes room, and other addresses have theirs."""
    with ExitStack() as opened:

        def come(subject: str, address: str = "8.8.4.4") -> HttpStream:
            headers = bearer(subject) | coming_from(address)
            return opened.enter_context(limited.stream(ALL, **headers))

        streams = [come(subject) for subject in ("ann", "bob", "cid")]
        assert [is_live(stream) for stream in streams] == [True] * 3
        assert not is_live(come("dan"))
        assert is_live(come("dan", "8.8.8.8"))
        streams[0].close()
        wait_until(lambda: is_live(come("dan")), timeout_s=READ_S)


def test_a_subject_has_its_streams_and_no_more(limited: Stack) -> None:
    """From wherever it comes, and by whatever token."""
    with ExitStack() as opened:

        def come(subject: str, address: str) -> bool:
            headers = bearer(subject, f"operations:of-{address}") | coming_from(address)
            return is_live(opened.enter_context(limited.stream(ALL, **headers)))

        assert [come("eve", f"9.9.9.{n}") for n in range(3)] == [True, True, False]
        assert come("fay", "9.9.9.2")


def test_who_asks_too_often_is_told_to_wait(limited: Stack) -> None:
    """By a 429, a stream by a 200 and its end; probes and other addresses are served."""
    hasty = bearer("gus") | coming_from("8.8.8.8")
    statuses = [ask(limited, "GET", "/api/kinds", hasty).status for _ in range(40)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert ask(limited, "GET", "/api/kinds", hasty).getheader("Retry-After") == "1"
    with limited.stream(ALL, **hasty) as stream:
        assert not is_live(stream)
    assert ask(limited, "GET", "/healthz", coming_from("8.8.8.8")).status == 200
    assert ask(limited, "GET", "/api/kinds", bearer("gus") | coming_from("8.8.4.9")).status == 200


def test_a_page_of_an_allowed_origin_streams(limited: Stack) -> None:
    """Behind a preflight without a token; its live stream names it, and no other page gets one."""
    headers = {"Origin": APP, "Access-Control-Request-Method": "GET",
               "Access-Control-Request-Headers": "authorization,last-event-id"}  # fmt: skip
    assert ask(limited, "OPTIONS", ALL, headers).status == 204
    page = {"Origin": APP, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    with limited.stream(ALL, **bearer("hal"), **page) as stream:
        assert is_live(stream)
        assert stream.headers["access-control-allow-origin"] == APP
        assert stream.headers["vary"] == "Origin"
    refused = ask(limited, "GET", ALL, bearer("hal") | page | {"Origin": "https://evil.example"})
    assert refused.status == 403
    assert refused.getheader("Access-Control-Allow-Origin") is None


def test_the_silent_and_the_slow_take_nobodys_place(limited: Stack) -> None:
    """Many more than there are places: who asks is served at once, and they are let go in time."""
    with ExitStack() as opened:
        crowd = [
            opened.enter_context(socket.create_connection(("127.0.0.1", limited.port), READ_S))
            for _ in range(15 * PLACES)
        ]
        for slow in crowd[::2]:
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert ask(limited, "GET", "/healthz", {}).status == 200
        still_there = [slow for slow in crowd if is_open(slow)]
        assert len(still_there) == len(crowd), "who asks had to wait for those who do not"
        answers = {slow.recv(12) for slow in crowd}
        assert answers == {b"", b"HTTP/1.1 408"}


def is_open(connection: socket.socket) -> bool:
    """Tell whether nothing has come, not even the end."""
    connection.settimeout(0)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        connection.settimeout(READ_S)


BODIES: Final = {
    "a whole one": ("Content-Length: 100", "{", True, 408),
    "one in chunks": ("Transfer-Encoding: chunked", "1\r\n{\r\n5\r\n", True, 408),
    "one of nobody": ("Content-Length: 100", "{", False, 401),
}


@pytest.mark.parametrize(("length", "body", "known", "status"), BODIES.values(), ids=BODIES)
def test_a_body_that_does_not_come_is_not_waited_for(
    limited: Stack, length: str, body: str, status: int, *, known: bool
) -> None:
    """Who has a token is told so; for who has none nobody waits at all."""
    fields = f"Authorization: {bearer('ida')['Authorization']}\r\n" if known else ""
    said = said_to(limited, f"{POSTING}{fields}{length}\r\n\r\n{body}".encode())
    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(said.partition(b"\r\n\r\n")[2])["status"] == status


MALFORMED: Final = {
    "a line": (b"GET\r\n\r\n", 400),
    "a version": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "a field": (b"GET / HTTP/1.1\r\nHost: localhost\r\nbad field: x\r\n\r\n", 400),
    "a long line": (b"GET /%b HTTP/1.1\r\n\r\n" % (b"x" * 9_000), 414),
    "a long field": (b"GET / HTTP/1.1\r\nX: %b\r\n\r\n" % (b"x" * 9_000), 431),
    "a coding": (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: odd\r\n\r\n", 501),
}


@pytest.mark.parametrize(("request_", "status"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_request_is_refused_as_all_else(limited: Stack, request_: bytes, status: int) -> None:
    """By a problem document with the security headers, that repeats nothing of it."""
    head, _, body = said_to(limited, request_).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(body)["status"] == status
    for name, value in SECURITY_HEADERS.items():
        assert f"{name}: {value}" in head.decode()


@pytest.mark.parametrize(
    "path",
    ["/", "/healthz", "/metrics", "/api/kinds", "/nowhere", "/static/base.css", "/client/tidings.js", ALL],
)
def test_every_answer_has_the_security_headers(limited: Stack, path: str) -> None:
    """Pages, files, refusals, probes and streams alike."""
    connection = http.client.HTTPConnection("127.0.0.1", limited.port, timeout=READ_S)
    connection.request("GET", path, headers=bearer("jim"))
    response = connection.getresponse()
    for name, value in SECURITY_HEADERS.items():
        assert response.getheader(name) == value or name == "Content-Security-Policy"
    assert response.getheader("Content-Security-Policy")
    connection.close()


def test_no_secret_is_ever_logged(limited: Stack) -> None:
    """Whatever is asked for with a token, a ticket, a cookie, well or malformed, at the level of debug."""
    token = KEYS.sign("kim", HOUR_S, topics=["*"], start=["*"])
    header, cookie = {"Authorization": f"Bearer {token}"}, {"Cookie": f"__Host-tidings={token}"}
    ticket, odd = "t" * 43, "an-odd-secret"
    requests: list[tuple[str, dict[str, str]]] = [
        ("/api/operations", header),
        ("/api/operations", cookie),
        (f"/api/operations?token={token}", {}),
        (f"{ALL}?ticket={ticket}", {}),
        ("/metrics", {"Authorization": f"Bearer {SCRAPE}"}),
        ("/api/operations", {"Authorization": f"Bearer {token}x"}),
    ]
    for path, shown in requests:
        ask(limited, "GET", path, shown)
    ask(limited, "POST", "/api/session", header)
    for fields in (f"Authorization : Bearer {odd}", f"Authorization: Bearer {odd}\x01", f"{odd}"):
        said_to(limited, f"GET /?ticket={odd} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n".encode())
    said_to(limited, f"GET /?ticket={odd} HTTP/x\r\n\r\n".encode())
    wait_until(lambda: "InvalidHTTPVersion" in limited.output("web"), timeout_s=READ_S)
    said = limited.output("web")
    assert [
        each for each in (token, token.split(".")[2], ticket, odd, SECRET, SCRAPE, PASSWORD) if each in said
    ] == []


def test_a_worker_unpickles_nothing(stack: Stack) -> None:
    """A message that is no JSON is thrown away unread, and the worker goes on."""
    with Celery(broker=Address.parse(stack.env["REDIS_URL"]).broker_url) as app:
        app.send_task("tasks.batch", kwargs={"source": "x"}, serializer="pickle", queue=QUEUE)
    wait_until(lambda: "ContentDisallowed" in stack.output("worker"), timeout_s=READ_S)
    operation = stack.start_operation("batch", source="python-stdlib", limit=2)
    assert stack.history(operation)[-1].type == "complete"
