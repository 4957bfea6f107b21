"""Who may see what, on the service as deployed: by no way in does anybody get what is not theirs."""

import base64
import http.client
import json
import re
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from dev.redis_server import RedisServer
from tests import tus_talk
from tests.cli import CommandLine
from tests.forged_tokens import FORGED, HOUR_S, KID, OTHER, SECRET, claims, signed
from tests.http_stream import HttpStream
from tests.sse import Message
from tests.stack import READ_S, Stack
from tests.waiting import wait_until
from tidings import Operation
from tidings.cli.exits import Exit
from tidings.tickets import Tickets
from tidings.tokens import Keys

KEYS: Final = Keys.parse(f"{KID}:{SECRET}")
OLD: Final = Keys.parse(f"old:{OTHER}")
ALL: Final = "/api/events/stream"


class Answer(NamedTuple):
    """One whole answer."""

    status: int
    headers: dict[str, str]
    body: Any


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service that asks for tokens, without a worker; it knows two keys."""
    folder = tmp_path_factory.mktemp("closed")
    env = {"TIDINGS_AUTH": "required", "TIDINGS_SECRET_KEY": f"{KID}:{SECRET},old:{OTHER}"}
    with (
        RedisServer(folder / "redis") as redis,
        Stack(redis.url, folder, worker=False, web=1, **env) as stack,
    ):
        yield stack


@pytest.fixture(scope="module")
def there(closed: Stack) -> dict[str, Operation]:
    """What there is: ann's, bob's, nobody's, and a workflow's step, each with a warning."""
    operations = {
        "anns": closed.operation(id="anns", owner="ann"),
        "bobs": closed.operation(id="bobs", owner="bob"),
        "nobodys": closed.operation(id="nobodys"),
        "step": closed.operation(id="step", workflow="line", owner="bob"),
        "helper": closed.operation(id="helper", agent="bot", owner="bob"),
    }
    speak(closed, operations, "before")
    return operations


def speak(stack: Stack, operations: dict[str, Operation], code: str) -> None:
    """Have each of *operations* say a warning, and end when all of them are in the log."""
    for operation in operations.values():
        operation.warning(code, "m")
    stack.flush()


def token(subject: str, *topics: str, **may: Any) -> str:
    """Sign a token."""
    return KEYS.sign(subject, may.pop("lifetime_s", HOUR_S), topics=topics, **may)


def bearer(subject: str, *topics: str, **may: Any) -> dict[str, str]:
    """Sign a token, as the header that carries it."""
    return {"Authorization": f"Bearer {token(subject, *topics, **may)}"}


def ask(stack: Stack, method: str, path: str, headers: dict[str, str], body: Any = None) -> Answer:
    """Send a request, with JSON if there is a *body*."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=READ_S)
    fields = headers | ({"Content-Type": "application/json"} if body is not None else {})
    try:
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        response = connection.getresponse()
        said = response.read()
    finally:
        connection.close()
    is_json = "json" in (response.getheader("Content-Type") or "")
    return Answer(
        response.status,
        {name.lower(): value for name, value in response.getheaders()},
        json.loads(said) if is_json else said,
    )


def about(messages: list[Message]) -> set[str]:
    """Give the operations that *messages* are about."""
    return {
        said["operationId"] for message in messages if "operationId" in (said := json.loads(message.data))
    }


def opening(stream: HttpStream) -> list[Message]:
    """Read a stream's opening, which a heartbeat ends."""
    assert stream.status == 200, stream.raw
    return stream.read_until(lambda message: message.type == "heartbeat", READ_S)


def live(stack: Stack, there: dict[str, Operation], stream: HttpStream, code: str, last: str) -> set[str]:
    """Have everybody speak; give whom the stream told of up to *last*, who speaks last."""
    speak(stack, {name: each for name, each in there.items() if name != last}, code)
    speak(stack, {last: there[last]}, code)
    before = len(stream.messages)
    stream.read_until(lambda message: f'"{code}"' in message.data and f'"{last}"' in message.data, READ_S)
    return about(stream.messages[before:])


SEES: Final = {
    "only her own": (("ann",), {"anns"}),
    "one that is named": (("ann", "operations:nobodys"), {"anns", "nobodys"}),
    "a workflow": (("cid", "workflows:line"), {"step"}),
    "all agents": (("cid", "agents:*"), {"helper"}),
    "what is somebody else's": (("cid", "owners:bob"), {"bobs", "step", "helper"}),
    "everything": (("cid", "*"), {"anns", "bobs", "nobodys", "step", "helper"}),
}


@pytest.mark.parametrize(("who", "seen"), SEES.values(), ids=SEES)
@pytest.mark.parametrize("version", ["short", "long"])
def test_a_stream_of_everything_has_what_may_be_seen(
    closed: Stack, there: dict[str, Operation], who: tuple[str, ...], seen: set[str], version: str
) -> None:
    """Its state, what is live, what is replayed and what a reset shows: all of what the token names, no more.

    The long way goes through Flask, which a field that has to be parsed calls for.
    """
    carrier = bearer(*who) | ({"Content-Length": "0"} if version == "long" else {})
    code, last = f"live-{version}-{time.monotonic_ns()}", min(seen)
    with closed.stream(ALL, **carrier) as stream:
        assert about(opening(stream)) == seen
        cursor = stream.last_event_id
        assert live(closed, there, stream, code, last) == seen
    for query in ("", "?history=all", "?topics=operations:*"):
        with closed.stream(ALL + query, **carrier) as stream:
            assert about(opening(stream)) == seen
    for query in ("?last_event_id=", "?history=none&last_event_id="):
        with closed.stream(f"{ALL}{query}{cursor}", **carrier) as stream:
            assert about(opening(stream)) == seen
    with closed.stream(ALL, **carrier, last_event_id=cursor) as stream:
        assert about(opening(stream)) == seen
    with closed.stream(ALL, **carrier, last_event_id="evt_1-1") as stream:
        opened = opening(stream)
        assert opened[0].type == "reset"
        assert about(opened) == seen
    listed = ask(closed, "GET", "/api/operations", carrier).body["operations"]
    assert {operation["id"] for operation in listed} == seen


HIDDEN: Final = {
    "an operation": "/api/events/operations/{}",
    "an operation, from its beginning": "/api/events/operations/{}?history=all",
    "an operation, with nothing of before": "/api/events/operations/{}?history=none",
    "an operation, by its topic": "/api/events/stream?topics=operations:{}",
    "an operation, beside her own": "/api/events/stream?topics=operations:anns,operations:{}",
    "an operation, by two parameters": "/api/events/stream?topics=operations:anns&topics=operations:{}",
    "a workflow": "/api/events/workflows/{}",
    "a workflow's members": "/api/events/members/{}",
    "an agent": "/api/events/agents/{}",
    "what is his": "/api/events/stream?topics=owners:{}",
    "its state": "/api/operations/{}",
    "its history": "/api/operations/{}/events",
    "its history, after an id": "/api/operations/{}/events?after=evt_1-1",
    "its results": "/api/operations/{}/results",
    "a result": "/api/operations/{}/results/a.txt",
    "the list": "/api/operations?topics=operations:{}",
    "the list of a workflow": "/api/operations?topics=workflows:{}",
}


@pytest.mark.parametrize("path", HIDDEN.values(), ids=HIDDEN)
def test_what_is_forbidden_is_not_there(closed: Stack, there: dict[str, Operation], path: str) -> None:
    """Whatever is asked for, and with whatever cursor: the answer is that to a name that nobody has."""
    with closed.stream(ALL, **bearer("cid", "operations:bobs")) as stream:
        opening(stream)
        cursor = stream.last_event_id
    for carrier in (bearer("ann"), bearer("ann") | {"Last-Event-ID": cursor}):
        unknown = ask(closed, "GET", path.format("never"), carrier)
        assert unknown.status == 404
        for name in ("bobs", "step", "helper", "line", "bot", "bob"):
            answer = ask(closed, "GET", path.format(name), carrier)
            assert answer.status == 404
            assert json.dumps(answer.body).replace(name, "never") == json.dumps(unknown.body)
            assert answer.headers.keys() == unknown.headers.keys()


def test_what_may_be_seen_may_be_asked_for(closed: Stack, there: dict[str, Operation]) -> None:
    """Her own by its name, its topic and beside others; its history, state and results."""
    ann = bearer("ann", "operations:nobodys")
    both = "topics=operations:anns,operations:nobodys"
    for path in (
        "operations/anns",
        "operations/anns?history=all",
        "stream?topics=operations:anns",
        f"stream?{both}",
    ):
        with closed.stream(f"/api/events/{path}", **ann) as stream:
            assert "anns" in about(opening(stream))
    for path in ("anns", "anns/events", "anns/results", "nobodys"):
        assert ask(closed, "GET", f"/api/operations/{path}", ann).status == 200


@pytest.mark.parametrize(("who", "seen"), SEES.values(), ids=SEES)
def test_pages_and_lists_show_what_may_be_seen(
    closed: Stack, there: dict[str, Operation], who: tuple[str, ...], seen: set[str]
) -> None:
    """Painted by the service or as JSON, by whatever they are narrowed."""
    mine = bearer(*who)
    page = ask(closed, "GET", "/", mine).body.decode()
    assert set(re.findall(r'data-id="([a-z]+)"', page)) == seen
    for query in ("", "?status=open", "?q=s", "?limit=1000", "?before=9999999999999999"):
        listed = ask(closed, "GET", f"/api/operations{query}", mine).body
        assert {operation["id"] for operation in listed["operations"]} <= seen
    for name in there:
        assert ask(closed, "GET", f"/operations/{name}", mine).status == (200 if name in seen else 404)


def test_what_is_started_is_its_starters(closed: Stack) -> None:
    """They are told of it, and may cancel it, and nobody else; only kinds that are named are started."""
    batch = {"kind": "batch", "params": {"source": "python-stdlib", "limit": 1}}
    dora, bob = bearer("dora", start=["batch"]), bearer("bob", start=["*"])
    assert ask(closed, "POST", "/api/operations", bearer("dora"), batch).status == 403
    assert ask(closed, "POST", "/api/operations", bearer("dora", "*", start=["agent"]), batch).status == 403
    assert ask(closed, "POST", "/api/operations", dora, batch | {"id": "chosen"}).status == 403
    started = ask(closed, "POST", "/api/operations", dora, batch)
    assert started.status == 202, started
    operation = started.body["operationId"]
    path = f"/api/operations/{operation}"
    assert ask(closed, "GET", path, dora).body["operation"]["owner"] == "dora"
    assert ask(closed, "GET", path, bob).status == 404
    assert ask(closed, "POST", f"{path}/cancel", bob, {}).status == 404
    assert ask(closed, "POST", f"{path}/cancel", bearer("bob", "*"), {}).status == 403
    assert ask(closed, "POST", f"{path}/cancel", dora, {}).status == 202
    naming = bearer("dora", "operations:my1", start=["*"])
    assert ask(closed, "POST", "/api/operations", naming, batch | {"id": "my1"}).status == 202


REFERENCES: Final = {
    "an upload": ("batch", {"source": {"upload": "{}"}}, "params.source.upload"),
    "an earlier batch": ("batch", {"retry": "{}"}, "params.retry"),
    "an earlier workflow": ("workflow", {"resume": "{}"}, "params.resume"),
}


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(("kind", "params", "field"), REFERENCES.values(), ids=REFERENCES)
def test_only_what_may_be_seen_is_worked_on(
    closed: Stack, kind: str, params: dict[str, Any], field: str
) -> None:
    """What a parameter names is read by the task: another's is refused like a name that nobody has."""

    def start(name: str, carrier: dict[str, str]) -> Answer:
        named = json.loads(json.dumps(params).replace("{}", name))
        return ask(closed, "POST", "/api/operations", carrier, {"kind": kind, "params": named})

    def follow(name: str, carrier: dict[str, str]) -> Answer:
        named = json.loads(json.dumps(params).replace("{}", name))
        then = base64.b64encode(json.dumps({"kind": kind, "params": named}).encode()).decode()
        fields = {"Tus-Resumable": "1.0.0", "Upload-Length": "1", "Upload-Metadata": f"then {then}"}
        return ask(closed, "POST", "/api/uploads", carrier | fields)

    eve = bearer("eve", "operations:anns", start=["*"])
    for way, path in ((start, field), (follow, f"Upload-Metadata.then.{field}")):
        unknown, hidden = way("never", eve), way("bobs", eve)
        assert unknown.status == 400
        assert unknown.body["field"] == path
        assert hidden.status == 400
        assert json.dumps(hidden.body).replace("bobs", "never") == json.dumps(unknown.body)
        assert way("anns", eve).status in {201, 202}
        assert way("bobs", bearer("eve", "operations:bobs", start=["*"])).status in {201, 202}
    if kind == "batch" and "source" in params:
        assert follow("$upload", eve).status == 201


def test_a_ticket_opens_one_stream_once(closed: Stack) -> None:
    """That of what was started; a second time, and for anything else, it is worth nothing."""
    batch = {"kind": "batch", "params": {"source": "python-stdlib", "limit": 1}}
    started = [
        ask(closed, "POST", "/api/operations", bearer("dora", start=["*"]), batch).body for _ in range(3)
    ]
    for body in started[:2]:
        path = f"{body['eventsUrl']}?ticket={body['ticket']}"
        with closed.stream(path) as stream:
            assert about(opening(stream)) == {body["operationId"]}
        assert ask(closed, "GET", path, {}).status == 401
    other, ticket = started[0]["eventsUrl"], started[2]["ticket"]
    assert ask(closed, "GET", f"/api/operations?ticket={ticket}", {}).status == 400
    assert ask(closed, "GET", f"{other}?ticket={ticket}", {}).status == 404
    assert ask(closed, "GET", f"{started[2]['eventsUrl']}?ticket={ticket}", {}).status == 401
    for wrong in ("", "x" * 43, "../" * 14 + "x", "%2a" * 43):
        assert ask(closed, "GET", f"{other}?ticket={wrong}", {}).status == 401


def test_a_session_is_a_cookie_that_no_script_reads(closed: Stack, there: dict[str, Operation]) -> None:
    """It opens streams and API for who cannot send a header, from pages of this origin only."""
    assert ask(closed, "POST", "/api/session", {}).status == 401
    assert ask(closed, "POST", "/api/session", {"Authorization": "Bearer nonsense"}).status == 401
    begun = ask(closed, "POST", "/api/session", bearer("ann"))
    assert begun.status == 204
    flags = begun.headers["set-cookie"].split("; ")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= set(flags)
    assert re.fullmatch("__Host-tidings=[\\w.-]+", flags[0])
    assert any(re.fullmatch("Max-Age=3(600|59[0-9])", flag) for flag in flags)
    cookie = {"Cookie": f"theme=dark; {flags[0]}"}
    with closed.stream("/api/events/operations/anns", **cookie) as stream:
        assert about(opening(stream)) == {"anns"}
    assert ask(closed, "GET", "/", cookie | {"Sec-Fetch-Site": "same-origin"}).status == 200
    for site in ("cross-site", "same-site"):
        for path, status in ((ALL, 403), ("/api/operations", 403), ("/", 401)):
            assert ask(closed, "GET", path, cookie | {"Sec-Fetch-Site": site}).status == status
    assert ask(closed, "POST", "/api/session", bearer("ann") | cookie).status == 204
    ended = ask(closed, "DELETE", "/api/session", cookie)
    assert "Max-Age=0" in ended.headers["set-cookie"]


@pytest.mark.parametrize("path", [ALL, "/api/events/operations/anns", "/api/operations", "/"])
def test_one_token_in_its_place(closed: Stack, there: dict[str, Operation], path: str) -> None:
    """Two at once, and one in a URL, are refused by the name of what is wrong; none is not enough."""
    ann, more = token("ann", "*"), "&" if "?" in path else "?"
    header, cookie = {"Authorization": f"Bearer {ann}"}, {"Cookie": f"__Host-tidings={ann}"}
    wrong: dict[str, list[tuple[str, dict[str, str]]]] = {
        "Authorization": [(path, header | cookie)],
        "token": [(f"{path}{more}token={ann}", {}), (f"{path}{more}token={ann}", header)],
        "access_token": [(f"{path}{more}access_token=x", {})],
        "as": [(f"{path}{more}as={ann}", {}), (f"{path}{more}as={ann.replace('.', '%2E')}", header)],
        "ticket": [(f"{path}{more}ticket=x&ticket=y", {})],
    }
    for field, requests in wrong.items():
        for each, headers in requests:
            answer = ask(closed, "GET", each, headers)
            assert (answer.status, answer.body["field"]) == (400, field)
            assert ann not in json.dumps(answer.body)
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert ask(closed, "GET", "/api/operations", {"Authorization": f"{scheme} {ann}"}).status == 200
    useless: list[dict[str, str]] = [
        *({"Authorization": text} for text in ("Bearer", f"Basic {ann}", ann)), {"X-Token": ann},
        {"Cookie": f"tidings={ann}"}, {},
    ]  # fmt: skip
    for headers in useless:
        assert ask(closed, "GET", path, headers).status == 401


def test_no_forged_token_opens_anything(closed: Stack, there: dict[str, Operation]) -> None:
    """Neither way in; and all of them are refused in the same words."""
    answers = set()
    for how, forge in FORGED.items():
        forged = forge()
        if not forged.isascii() or len(forged) > 8_000 or "\n" in forged or forged != forged.strip():
            continue  # no header can carry it
        for path in (ALL, "/api/operations"):
            answer = ask(closed, "GET", path, {"Authorization": f"Bearer {forged}"})
            assert answer.status == 401, how
            answers.add((json.dumps(answer.body), answer.headers["www-authenticate"]))
        if ";" not in forged and '"' not in forged and "," not in forged and " " not in forged and forged:
            assert ask(closed, "GET", ALL, {"Cookie": f"__Host-tidings={forged}"}).status == 401, how
    assert len(answers) == 1


def test_a_key_that_is_leaving_still_opens(closed: Stack, there: dict[str, Operation]) -> None:
    """Keys are changed by their names: the old one's tokens are good until it is taken out."""
    carrier = {"Authorization": f"Bearer {OLD.sign('ann', HOUR_S)}"}
    with closed.stream(ALL, **carrier) as stream:
        assert about(opening(stream)) == {"anns"}
    misnamed = {"Authorization": f"Bearer {signed(claims(), kid='old')}"}
    assert ask(closed, "GET", ALL, misnamed).status == 401


def test_a_stream_ends_with_its_token(closed: Stack, there: dict[str, Operation]) -> None:
    """It is told when to come back, its body ends as it should, and the old token opens no other."""
    lifetime_s = 4
    carrier, begun_at = bearer("ann", lifetime_s=lifetime_s), time.time()
    with closed.stream(ALL, **carrier) as stream, closed.stream(ALL, **bearer("ann")) as other:
        opening(stream)
        opening(other)
        stream.read_to_end(READ_S)
        assert time.time() - begun_at >= lifetime_s * 0.8 - 1  # iat is in whole seconds
        assert time.time() - begun_at < lifetime_s + 8  # without it, up to a heartbeat's 15 s later, or never
        assert stream.ended_cleanly
        assert b"retry: " in stream.raw[-40:]
        wait_until(lambda: ask(closed, "GET", ALL, carrier).status == 401, timeout_s=READ_S)
        assert live(closed, there, other, f"after-{begun_at}", "anns") == {"anns"}


def test_a_revoked_token_ends_its_streams_at_once(closed: Stack, there: dict[str, Operation]) -> None:
    """By its id that one alone, by its subject all that were made until then; a new one is let in."""
    first, second = (bearer("ann", token_id=name) for name in ("first", "second"))
    with (
        closed.stream(ALL, **first) as one,
        closed.stream(ALL, **second) as two,
        closed.stream(ALL, **bearer("bob")) as his,
    ):
        for stream in (one, two, his):
            opening(stream)
        closed.log.revoke("jti", "first")
        one.read_to_end(10)  # 1 s is promised
        assert one.ended_cleanly
        assert ask(closed, "GET", ALL, first).status == 401
        assert ask(closed, "POST", "/api/session", first).status == 401
        assert live(closed, there, two, f"jti-{time.monotonic_ns()}", "anns") == {"anns"}
        closed.log.revoke("sub", "ann")
        two.read_to_end(10)
        assert ask(closed, "GET", "/api/operations", second).status == 401
        assert live(closed, there, his, f"sub-{time.monotonic_ns()}", "step") == {"bobs", "step", "helper"}
    wait_until(lambda: ask(closed, "GET", "/api/operations", bearer("ann")).status == 200, timeout_s=READ_S)


def test_what_the_command_line_signs_and_revokes_the_service_takes_and_refuses(
    closed: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the settings that both have; another of the same subject's stays good until that is revoked."""
    tidings = CommandLine(closed.env | {"TIDINGS_URL": closed.url}, monkeypatch, capsys)
    first, second = (tidings("token", "sign", "eve").out.strip() for _ in range(2))
    assert tidings("list", "--token", first).exit == Exit.OK
    assert tidings("list").exit == Exit.UNREACHABLE
    token_id = str(tidings("token", "show", first, "--json").json[0]["jti"])
    assert tidings("token", "revoke", "--id", token_id).out == f"{token_id} revoked\n"
    wait_until(lambda: tidings("list", "--token", first).exit == Exit.UNREACHABLE, timeout_s=READ_S)
    assert tidings("list", "--token", second).exit == Exit.OK
    assert tidings("token", "revoke", "--subject", "eve", "--json").json == [{"revoked": {"sub": "eve"}}]
    wait_until(lambda: tidings("list", "--token", second).exit == Exit.UNREACHABLE, timeout_s=READ_S)


def test_who_waits_for_what_is_for_operators(closed: Stack, there: dict[str, Operation]) -> None:
    """Not for who may see everything, nor for who has a ticket; the page has nothing on it for others."""
    everything, operator = bearer("cid", "*", start=["*"], cancel=["*"]), bearer("olga", operator=True)
    with closed.stream(ALL, **bearer("ann")) as hers:
        opening(hers)
        for carrier, status in (({}, 401), (everything, 403), (operator, 200)):
            answer = ask(closed, "GET", "/api/debug/streams", carrier)
            page = ask(closed, "GET", "/debug", carrier)
            assert (answer.status, page.status) == (status, status)
            assert (b'id="sign-in"' in page.body) is (status != 200)
            assert (b'id="tail"' in page.body) is (status == 200)
        assert "ann" in {each["subject"] for each in answer.body["streams"]}
    ticket = Tickets(closed.log).issue(["*"], "olga")
    assert ask(closed, "GET", f"/api/debug/streams?ticket={ticket}", {}).status == 400
    with closed.stream(ALL, **operator) as stream:
        assert about(opening(stream)) == set()  # it sees who waits, and events only as it is granted


def test_an_upload_is_its_owners(closed: Stack) -> None:
    """To anybody else it is not there, and only who may start one begins it."""
    dora, bob = bearer("dora", start=["upload"]), bearer("bob", "*", start=["*"], cancel=["*"])
    url, content = f"{closed.url}/api/uploads", b"0123456789"
    assert tus_talk.ask("POST", url, None, Upload_Length="10").status == 401
    assert tus_talk.ask("POST", url, None, Upload_Length="10", **bearer("dora")).status == 403
    then = tus_talk.metadata(then=json.dumps({"kind": "batch", "params": {"upload": "$upload"}}))
    assert tus_talk.ask("POST", url, None, Upload_Length="10", Upload_Metadata=then, **dora).status == 403
    created = tus_talk.ask("POST", url, None, Upload_Length="10", **dora)
    assert created.status == 201
    upload = closed.url + created.headers["location"]
    for method, status in (("HEAD", 404), ("PATCH", 404), ("DELETE", 404)):
        headers = {"Upload_Offset": "0", **tus_talk.CHUNK, **bob}
        body = content if method == "PATCH" else None
        assert tus_talk.ask(method, upload, body, **headers).status == status
        assert tus_talk.ask(method, f"{url}/op_{'0' * 32}", body, **headers).status == status
    sent = tus_talk.ask("PATCH", upload, content[:5], Upload_Offset="0", **tus_talk.CHUNK, **dora)
    assert (sent.status, sent.offset) == (204, 5)
    assert tus_talk.ask("HEAD", upload, None, **dora).offset == 5
    with closed.stream(f"/api/events/operations/{created.json['operationId']}", **dora) as stream:
        opening(stream)
    assert tus_talk.ask("DELETE", upload, None, **dora).status == 204


def test_nothing_is_shown_to_who_has_no_token(closed: Stack, there: dict[str, Operation]) -> None:
    """Pages, scripts, kinds, streams and the API; only whether the service lives and is ready."""
    for path in (
        "/",
        "/static/overview.js",
        "/client/tidings.js",
        "/api/kinds",
        "/nothing",
        ALL,
        "/api/operations",
    ):
        assert ask(closed, "GET", path, {}).status == 401, path
    for path in ("/healthz", "/readyz", "/static/sign_in.js"):
        assert ask(closed, "GET", path, {}).status == 200
    assert SECRET not in closed.output("web")
