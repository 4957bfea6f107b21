"""The short way to a stream says what Flask says: the same app is asked both ways."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import gevent
import pytest
from flask import Flask
from gevent import socket
from werkzeug.test import Client

from tests.forged_tokens import SECRET
from tests.http_body import ChunkedBody
from tests.sse import parse
from tidings.descriptor import Descriptor
from tidings.events import Complete, Progress
from tidings.log import Log
from tidings.record import OWN, Record
from tidings.settings import Settings
from tidings.tickets import Tickets
from tidings.tokens import Keys
from webapp.app import SECURITY_HEADERS, create_app
from webapp.service import EXTENSION, Service
from webapp.settings import ServiceSettings
from webapp.shortcut import Shortcut

RUNNING, OVER = (
    Descriptor.of("running", "batch", workflow="w", agent="g"),
    Descriptor.of("over", "batch"),
)
RECORDS = [
    Record.beginning(RUNNING, "me.1", 1),
    Record.of(RUNNING, Progress, condition=OWN, run="me.1", current=1, total=2, percentage=50),
    Record.beginning(OVER, "me.2", 1),
    Record.of(OVER, Complete, condition=OWN, run="me.2"),
]

HERE = "127.0.0.1"


class Told(NamedTuple):
    """What an answer says; ``types`` of its events, up to the first heartbeat."""

    status: int
    headers: dict[str, str]
    types: list[str]


class Ways:
    """One app, asked the long way, through Flask, and the short one, from the bytes of a request on."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.here: Service = app.extensions[EXTENSION]
        self._client = Client(app, use_cookies=False)
        self._shortcut = Shortcut(self.here, SECURITY_HEADERS)

    def long(self, path: str, cursor: str = "", method: str = "GET", **more: str) -> Told:
        """Ask Flask."""
        headers = more | ({"Last-Event-ID": cursor} if cursor else {})
        response = self._client.open(path, method=method, headers=headers)
        if response.content_type != "text/event-stream":
            return Told(response.status_code, {}, [])
        body = bytearray()
        for piece in response.response:
            assert isinstance(piece, bytes)
            body += piece
            if b"event: heartbeat" in body:
                break
        response.close()
        return Told(response.status_code, dict(response.headers), _types(bytes(body)))

    def whole(self, path: str, peer: str = HERE, **headers: str) -> Any:
        """Ask Flask for what is no stream."""
        return self._client.open(path, headers=headers, environ_base={"REMOTE_ADDR": peer})

    def short(
        self, path: str, cursor: str = "", method: str = "GET", version: str = "1.1", **more: str
    ) -> Told | None:
        """Ask the short way; None if it leaves the request, of which it has then read nothing."""
        headers = {"Host": "localhost"} | more | ({"Last-Event-ID": cursor} if cursor else {})
        said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"{method} {path} HTTP/{version}\r\n{said}\r\n".encode()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(request)
            if not self._shortcut.serve(ours, HERE):
                assert ours.recv(len(request) + 1) == request
                return None
            ours.close()
            answer = _read(theirs)
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        assert status.startswith(f"HTTP/{version} ")
        headers = dict(line.split(": ", 1) for line in lines)
        assert headers.pop("Connection") == "close"
        assert headers.pop("Date")
        assert headers.pop("Server")
        if headers.pop("Transfer-Encoding", "") == "chunked":
            body = ChunkedBody().feed(body)
        return Told(int(status.split()[1]), headers, _types(body))


def _read(connected: Any) -> bytes:
    """Read a stream up to its first heartbeat, or its end."""
    said = b""
    while b"event: heartbeat" not in said and (piece := connected.recv(65_536)):
        said += piece
    return said


def _types(body: bytes) -> list[str]:
    """Give the types of the events in *body*; what has none only says when to come back."""
    return [message.type for message in parse(body)] or [body.partition(b":")[0].decode()]


@pytest.fixture
def made(settings: Settings, log: Log) -> Iterator[Callable[..., Ways]]:
    """Make an app whose feed stands at the end of a log with two operations. Nothing of it runs by itself."""
    apps: list[Ways] = []
    greenlets: list[Any] = []
    gevent.Greenlet.add_spawn_callback(greenlets.append)
    log.append("me", 1, RECORDS)

    def make(**changed: Any) -> Ways:
        ways = Ways(
            create_app(replace(ServiceSettings(log=settings, host="127.0.0.1", auth="open"), **changed))
        )
        ways.here.hub.start_over(log.hello())
        apps.append(ways)
        return ways

    yield make
    gevent.Greenlet.remove_spawn_callback(greenlets.append)
    gevent.killall(greenlets)
    for ways in apps:
        ways.here.log.close()


ALL = "/api/events/stream"
THERE = {"X-Forwarded-For": "8.8.4.4"}
ANSWERED = {
    "everything": (ALL, "", 200),
    "a running operation": ("/api/events/operations/running", "", 200),
    "an operation that is over": ("/api/events/operations/over", "", 200),
    "a workflow": ("/api/events/workflows/w", "", 200),
    "an agent": ("/api/events/agents/g?types=progress&kinds=batch", "", 200),
    "chosen topics": (f"{ALL}?topics=operations:running,operations:over&history=all", "", 200),
    "nothing of before": (f"{ALL}?history=none", "", 200),
    "a cursor": (ALL, "here", 200),
    "a cursor of nowhere": (ALL, "evt_1-1", 200),
    "a malformed cursor": (ALL, "nonsense", 200),
}
LEFT_TO_FLASK = {
    "the end that was seen": ("/api/events/operations/over", "here", 204),
    "an unknown operation": ("/api/events/operations/nobody", "", 404),
    "an unknown agent": ("/api/events/agents/nobody", "", 404),
    "all operations": ("/api/events/operations/*", "", 400),
    "a malformed name": ("/api/events/operations/a%20b", "", 400),
    "an empty name": ("/api/events/operations/", "", 404),
    "a longer path": ("/api/events/operations/a/b", "", 404),
    "an unknown type": (f"{ALL}?types=nonsense", "", 400),
    "a malformed id": (f"{ALL}?last_event_id=nonsense", "", 400),
    "another path": ("/api/events/jobs/a", "", 404),
    "another page": ("/healthz", "", 200),
}


def cursor_of(ways: Ways, cursor: str) -> str:
    """Give the id that *cursor* stands for: where the log is, or just that."""
    mark = ways.here.hub.mark
    assert mark is not None
    return mark.position.wire if cursor == "here" else cursor


@pytest.mark.parametrize(("path", "cursor", "status"), ANSWERED.values(), ids=ANSWERED)
def test_stream_is_the_same_either_way(
    made: Callable[..., Ways], path: str, cursor: str, status: int
) -> None:
    """Status, headers and events are Flask's."""
    ways = made()
    cursor = cursor_of(ways, cursor)
    short = ways.short(path, cursor)
    assert short == ways.long(path, cursor)
    assert short == ways.short(path, cursor, version="1.0")
    assert short is not None
    assert short.status == status


@pytest.mark.parametrize(("path", "cursor", "status"), LEFT_TO_FLASK.values(), ids=LEFT_TO_FLASK)
def test_what_is_no_stream_is_left_to_flask(
    made: Callable[..., Ways], path: str, cursor: str, status: int
) -> None:
    """What is wrong, over or not there is said by Flask."""
    ways = made()
    cursor = cursor_of(ways, cursor)
    assert ways.short(path, cursor) is None
    assert ways.long(path, cursor).status == status


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_other_methods_are_left_to_flask(made: Callable[..., Ways], method: str) -> None:
    """Only a GET is a stream."""
    assert made().short(ALL, method=method) is None


@pytest.mark.parametrize("path", [ALL, "/api/events/operations/running", "/api/events/operations/nobody"])
def test_closed_service_refuses_either_way(made: Callable[..., Ways], path: str) -> None:
    """Without the right to, nobody gets a stream, nor learns what there is."""
    ways = made(auth="required")
    assert ways.short(path) is None
    assert ways.long(path).status == 401
    assert len(ways.here.hub) == 0


def test_full_or_draining_service_sends_away_either_way(made: Callable[..., Ways]) -> None:
    """Overload and drain are a stream that says when to come back."""
    ways = made(max_streams=1)
    ways.here.hub.draining = True
    short = ways.short(ALL)
    assert short == ways.long(ALL)
    assert short is not None
    assert (short.status, short.types) == (200, ["retry"])


def test_who_leaves_or_says_nothing_is_let_go(
    made: Callable[..., Ways], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is handed on to gunicorn, to be waited for once more."""
    monkeypatch.setattr("webapp.shortcut.HEAD_S", 0.01)
    shortcut = Shortcut(made().here, SECURITY_HEADERS)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert shortcut.serve(ours, HERE)
        theirs.close()
        assert shortcut.serve(ours, HERE)


def test_flask_does_nothing_to_a_stream_that_the_shortcut_leaves_out(made: Callable[..., Ways]) -> None:
    """What is hung on every request of Flask must be hung on the shortcut too; then change this."""
    app = made().app
    before, after = app.before_request_funcs, app.after_request_funcs
    # own_names, origins, pacing, auth
    assert [len(before.get(scope, ())) for scope in (None, "events")] == [4, 0]
    assert [len(after.get(scope, ())) for scope in (None, "events")] == [2, 0]  # origins, SECURITY_HEADERS
    assert not app.teardown_request_funcs
    assert not app.url_value_preprocessors


APP = "https://app.example"


def test_pages_of_allowed_origins_stream_either_way(made: Callable[..., Ways]) -> None:
    """Their answer names them; ours, and what is no browser, are told nothing but that it depends."""
    ways = made(allowed_origins=f"{APP},https://other.example")
    for caller, told in (
        ({"Origin": APP, "Sec-Fetch-Site": "cross-site"}, APP),
        ({"Origin": "http://localhost"}, None),
        ({"Sec-Fetch-Site": "same-origin"}, None),
        ({}, None),
    ):
        short = ways.short(ALL, **caller)
        assert short == ways.long(ALL, **caller, Host="localhost")
        assert short is not None
        assert short.headers["Vary"] == "Origin"
        assert short.headers.get("Access-Control-Allow-Origin") == told
        assert short.headers.get("Access-Control-Allow-Credentials") == (told and "true")


def test_another_name_that_leads_here_is_refused_either_way(made: Callable[..., Ways]) -> None:
    """Where no token is asked for: a page of that name would be of our origin."""
    ways = made()
    page = {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
    assert ways.short(ALL, **page) is None
    assert ways.long(ALL, **page).status == 403


def test_pages_of_other_origins_are_refused_either_way(made: Callable[..., Ways]) -> None:
    """Before anything is opened for them, whatever else they show."""
    ways = made(allowed_origins=APP)
    for caller in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert ways.short(ALL, **caller) is None
        assert ways.long(ALL, **caller).status == 403
    assert len(ways.here.hub) == 0
    assert not ways.here.hub.counts.opened


def test_a_cookie_counts_from_an_allowed_origin_either_way(made: Callable[..., Ways], log: Log) -> None:
    """A page of the same site may open a stream with its cookie where the operator has named it."""
    ways = closed(made, log, allowed_origins=APP)
    cookie = {"Cookie": f"__Host-tidings={bearer('*')['Authorization'][7:]}", "Sec-Fetch-Site": "same-site"}
    short = ways.short(ALL, Origin=APP, **cookie)
    assert short is not None
    assert short == ways.long(ALL, Origin=APP, **cookie)
    assert ways.short(ALL, Origin="https://www.example", **cookie) is None
    assert ways.long(ALL, Origin="https://www.example", **cookie).status == 403


def test_an_address_with_all_its_streams_is_sent_away_either_way(made: Callable[..., Ways]) -> None:
    """As in an overload: a 200 that says when to come back. Others are not."""
    ways = made(streams_per_address=1, trusted_proxies=HERE)
    ways.here.limits.opened("8.8.4.4", "")
    assert ways.short(ALL, **THERE) is None  # Flask says it
    assert ways.long(ALL, **THERE)[::2] == (200, ["retry"])
    assert ways.here.hub.counts.turned_away == {"limited": 1}
    short = ways.short(ALL, **{"X-Forwarded-For": "8.8.8.8"})
    assert short is not None
    for told in (short, ways.long(ALL, **{"X-Forwarded-For": "8.8.4.4, 9.9.9.9"})):
        assert told.types[-1] == "heartbeat"


def test_a_subject_with_all_its_streams_is_sent_away_either_way(made: Callable[..., Ways], log: Log) -> None:
    """By whatever token, from wherever; another subject is not."""
    ways = closed(made, log, streams_per_subject=1)
    ways.here.limits.opened("", "ann")
    short = ways.short(ALL, **bearer("*"))
    assert short == ways.long(ALL, **bearer("operations:over"))
    assert short is not None
    assert (short.status, short.types) == (200, ["retry"])
    ways.here.limits.ended("", "ann")
    short = ways.short(ALL, **bearer("*"))
    assert short is not None
    assert short.types[-1] == "heartbeat"


def test_an_address_that_asks_too_often_is_told_to_wait_either_way(
    made: Callable[..., Ways], caplog: pytest.LogCaptureFixture
) -> None:
    """Streams by a 200 and `retry:`, all else by a 429; each request counts once, whichever way it goes."""
    ways = made(requests_per_s=1, trusted_proxies=HERE)
    for _ in range(5):
        assert ways.short(ALL, **THERE) is not None
        assert ways.long(ALL, **THERE).types[-1] == "heartbeat"
    assert ways.short(ALL, **THERE) is None
    assert ways.long(ALL, **THERE)[::2] == (200, ["retry"])
    refused = ways.whole("/api/kinds", **THERE)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json["status"] == 429
    assert ways.whole("/healthz", **THERE).status_code == 200  # a probe is never refused
    assert ways.whole("/api/kinds").status_code == 200
    counts = ways.here.hub.counts
    assert (counts.limited, counts.turned_away) == (1, {"limited": 1})
    assert "TIDINGS_TRUSTED_PROXIES" not in caplog.text


def test_a_proxy_that_was_not_named_is_asked_after(
    made: Callable[..., Ways], caplog: pytest.LogCaptureFixture
) -> None:
    """All its users count as one, which the log says once."""
    ways = made(requests_per_s=1)
    for _ in range(20):
        ways.whole("/api/kinds", "8.8.4.4", **{"X-Forwarded-For": "9.9.9.9"})
    assert caplog.text.count("TIDINGS_TRUSTED_PROXIES") == 1


def closed(made: Callable[..., Ways], log: Log, **changed: Any) -> Ways:
    """Make an app that asks for tokens, and knows that none was revoked but one."""
    ways = made(auth="required", secret_key=SECRET, **changed)
    log.revoke("jti", "revoked")
    ways.here.revoked.look("0-0")
    return ways


def bearer(*topics: str, **may: Any) -> dict[str, str]:
    """Sign a token, as the header that carries it."""
    return {"Authorization": f"Bearer {Keys.parse(SECRET).sign('ann', 60, topics=topics, **may)}"}


GRANTED = {
    "everything": (ALL, ("*",), 200),
    "everything, of one": (ALL, ("operations:running",), 200),
    "everything, of nothing": (ALL, (), 200),
    "one": ("/api/events/operations/running", ("operations:running",), 200),
    "one of a workflow": ("/api/events/operations/running", ("workflows:w",), 200),
    "a workflow": ("/api/events/workflows/w", ("workflows:*",), 200),
    "another": ("/api/events/operations/running", ("operations:over",), 404),
    "another's workflow": ("/api/events/workflows/w", ("operations:running",), 404),
    "one that is not there": ("/api/events/operations/nobody", ("operations:over",), 404),
}


@pytest.mark.parametrize(("path", "topics", "status"), GRANTED.values(), ids=GRANTED)
def test_a_token_opens_the_same_either_way(
    made: Callable[..., Ways], log: Log, path: str, topics: tuple[str, ...], status: int
) -> None:
    """What it names is streamed; what it does not is left to Flask, which finds nothing."""
    ways, carrier = closed(made, log), bearer(*topics)
    cookie = {
        "Cookie": f"a=b; __Host-tidings={carrier['Authorization'][7:]}",
        "Sec-Fetch-Site": "same-origin",
    }
    for shown in (carrier, cookie):
        short, long = ways.short(path, **shown), ways.long(path, **shown)
        assert long.status == status
        assert short == (long if status == 200 else None)


def test_what_shows_nobody_is_refused_either_way(made: Callable[..., Ways], log: Log) -> None:
    """No token, a bad one, a revoked one, two, one in the URL, a ticket, a cookie from another site."""
    ways, good = closed(made, log), bearer("*")
    token = good["Authorization"][7:]
    cookie = {"Cookie": f"__Host-tidings={token}"}
    for path, shown, status in (
        (ALL, {}, 401),
        (ALL, {"Authorization": "Bearer x"}, 401),
        (ALL, bearer("*", token_id="revoked"), 401),  # noqa: S106 - an id
        (ALL, good | cookie, 400),
        (ALL, cookie | {"Sec-Fetch-Site": "cross-site"}, 403),
        (ALL, cookie | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 401),
        (f"{ALL}?token=x", good, 400),
        (f"{ALL}?%74oken=x", good, 400),
        (f"{ALL}?x={token}", good, 400),
        (f"{ALL}?ticket=x", good, 400),
        (f"{ALL}?ticket=x", {}, 401),
    ):
        assert ways.short(path, **shown) is None
        assert ways.long(path, **shown).status == status


def test_a_ticket_is_taken_by_flask(made: Callable[..., Ways], log: Log) -> None:
    """It is spent by one way: the short one leaves it where it is."""
    ways = closed(made, log)
    path = f"{ALL}?ticket={Tickets(log).issue(['operations:running'])}"
    assert ways.short(path) is None
    assert ways.long(path).status == 200
    assert ways.long(path).status == 401
