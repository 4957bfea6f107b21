"""The JSON API: operations as they are, their history by the page, and every way to ask wrongly.

Over real HTTP, because much of what is refused is refused by gunicorn, werkzeug and our views together. What
is refused must have started nothing: each such test looks at the list of operations before and after.
"""

import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from dev.redis_server import RedisServer
from tests.http_stream import JsonReply, get_json, post_json
from tests.stack import READ_S, ROOT, Stack, logged, place
from tests.waiting import wait_until
from tidings import Operation
from tidings.cursor import Cursor

BATCH: Final = {"kind": "batch", "params": {"source": "python-stdlib", "limit": 1}}
SIXTY_FIVE_TOPICS: Final = ",".join(f"operations:o{number}" for number in range(65))


def get(stack: Stack, path: str) -> JsonReply:
    """GET a path of the API."""
    return get_json(f"{stack.url}/api{path}", timeout_s=READ_S)


def listed(stack: Stack) -> list[str]:
    """Give the ids of all operations that there are."""
    return [operation["id"] for operation in get(stack, "/operations?limit=1000").body["operations"]]


def request(
    stack: Stack, method: str, path: str, body: Any = None, *, chunked: bool = False, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send any request, in one piece or in chunks, and give status, header fields and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=READ_S)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, named, encode_chunked=chunked)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return response.status, fields, response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def settled(stack: Stack) -> None:
    """Wait for what earlier tests began on this stack: an upload or a workflow starts others by itself.

    What is not a task's, but told by a test, may be left open, and starts nothing.
    """
    of_tasks = "/operations?status=open&q=tasks."
    wait_until(lambda: get(stack, of_tasks).body["operations"] == [], timeout_s=READ_S)


@pytest.fixture
def unharmed(stack: Stack, settled: None) -> Iterator[None]:
    """Make sure that a test started nothing, lost nothing, and left the service able to deliver."""
    before = listed(stack)
    yield
    assert listed(stack) == before
    assert get_json(f"{stack.url}/readyz").status == 200


def assert_problem(reply: JsonReply, status: int, field: str | None = None) -> None:
    """Check that *reply* is a problem document of that *status* which names *field*."""
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.body["status"] == status
    assert reply.body["title"]
    assert reply.body["detail"]
    if field is not None:
        assert reply.body["field"] == field
        assert reply.body["allowed"]
        assert field in reply.body["detail"]


def finished(stack: Stack, kind: str = "import", warnings: int = 0, **descriptor: Any) -> Operation:
    """Report an operation from its beginning to its end."""
    operation = stack.operation(kind, **descriptor)
    for number in range(warnings):
        operation.warning("row", str(number))
    operation.complete({"rows": warnings})
    stack.flush()
    return operation


def test_kinds_are_listed_with_what_they_take(stack: Stack) -> None:
    """A page can make a form of it."""
    (batch,) = [kind for kind in get(stack, "/kinds").body["kinds"] if kind["kind"] == "batch"]
    assert batch["description"]
    assert batch["params"]["properties"].keys() >= {"source", "items", "retry", "concurrency"}


def test_post_says_where_the_events_are(stack: Stack) -> None:
    """A started operation is answered with its id, its status and the address of its stream."""
    reply = post_json(f"{stack.url}/api/operations", BATCH)

    assert reply.status == 202
    operation_id = reply.body["operationId"]
    assert reply.body == {
        "operationId": operation_id,
        "kind": "batch",
        "status": "queued",
        "eventsUrl": f"/api/events/operations/{operation_id}",
    }
    assert reply.headers["location"] == f"/api/operations/{operation_id}"
    assert stack.history(operation_id)[-1].type == "complete"


def test_list_then_stream_has_no_hole(stack: Stack) -> None:
    """A stream opened from the list's cursor has exactly what happened since the list was made."""
    operation = stack.operation()
    operation.warning("before", "the list")
    stack.flush()
    cursor = get(stack, "/operations").body["lastEventId"]
    operation.warning("between", "list and stream")
    stack.flush()
    with stack.stream(f"/api/events/operations/{operation.id}?last_event_id={cursor}") as stream:
        operation.warning("after", "the stream was opened")
        operation.complete()
        events = logged(stream.read_to_end(READ_S))

    assert [json.loads(event.data).get("code") for event in events] == ["between", "after", None, None]
    assert not any(message.type == "reset" for message in stream.messages)


def test_list_has_the_open_ones_first_as_they_are(stack: Stack) -> None:
    """The list shows each operation's kind, status, place and latest events, and goes on page by page."""
    one = finished(stack, warnings=2)
    two = stack.operation(name="second")
    two.progress(1, 4, "one of four")
    stack.flush()
    page = get(stack, "/operations?limit=1&status=open,succeeded").body
    (first,) = page["operations"]
    (second,) = get(stack, "/operations?limit=1&status=succeeded").body["operations"]
    further = get(stack, f"/operations?limit=1000&status=open,succeeded&before={page['next']}").body
    listed = [each["id"] for each in further["operations"]]

    assert one.id in listed
    assert two.id not in listed
    assert page["counts"]["open"] >= 1
    assert place(first["firstEventId"]) < place(page["lastEventId"])
    assert (first["id"], first["kind"], first["name"]) == (two.id, "import", "second")
    assert (first["status"], second["status"]) == ("running", "succeeded")
    assert first["events"]["progress"]["percentage"] == 25
    assert (second["id"], second["events"]["warning"]["message"]) == (one.id, "1")
    assert second["events"]["complete"]["result"] == {"rows": 2}
    assert second["eventsUrl"] == f"/api/events/operations/{one.id}"
    assert second["createdAt"] <= second["updatedAt"]
    two.complete()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kinds={tag}", ["three", "two", "one"]),
        ("kinds={tag}&limit=2", ["three", "two"]),
        ("kinds={tag}&status=running", ["three"]),
        ("kinds={tag}&status=succeeded,running", ["three", "two", "one"]),
        ("kinds={tag}&status=failed", []),
        ("kinds={tag}&status=open", ["three"]),
        ("kinds={tag}&q={tag}-T", ["three", "two"]),
        ("topics=operations:{tag}-one", ["one"]),
        ("topics=operations:{tag}-one,operations:{tag}-three", ["three", "one"]),
        ("topics=agents:{tag}-agent", ["two"]),
        ("topics=workflows:{tag}-flow&status=succeeded", ["two", "one"]),
        ("topics=agents:*&kinds={tag}", ["two"]),
        ("topics=agents:nobody", []),
        ("kinds=nothing-of-the-kind", []),
    ],
)
def test_list_is_narrowed_by_its_query(stack: Stack, query: str, expected: list[str]) -> None:
    """Status, kinds, topics and limit choose which operations are listed."""
    tag = uuid.uuid4().hex
    finished(stack, tag, id=f"{tag}-one", workflow=f"{tag}-flow")
    finished(stack, tag, id=f"{tag}-two", workflow=f"{tag}-flow", agent=f"{tag}-agent")
    running = stack.operation(tag, id=f"{tag}-three", workflow=f"{tag}-flow")
    reply = get(stack, f"/operations?{query.format(tag=tag)}")
    running.complete()
    stack.flush()

    assert reply.status == 200
    assert [operation["id"] for operation in reply.body["operations"]] == [
        f"{tag}-{word}" for word in expected
    ]


def test_operation_shows_where_it_stands(stack: Stack) -> None:
    """An operation's own document says the same as the list does, with a cursor for its stream."""
    operation = finished(stack, warnings=1)
    reply = get(stack, f"/operations/{operation.id}")

    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert (
        reply.body["operation"]
        == get(stack, f"/operations?topics=operations:{operation.id}").body["operations"][0]
    )
    assert place(reply.body["lastEventId"]) >= place(reply.body["operation"]["lastEventId"])


@pytest.mark.parametrize("limit", [1, 2, 5, 12, 13, 1000])
def test_history_by_the_page_is_what_the_stream_has(stack: Stack, limit: int) -> None:
    """Paging with ``after``, whatever the limit, gives each event of the stream once and then says so."""
    operation = finished(stack, warnings=10)
    expected = stack.history(operation.id)
    assert len(expected) == 13

    events: list[dict[str, Any]] = []
    query = f"?limit={limit}"
    while True:
        page = get(stack, f"/operations/{operation.id}/events{query}").body
        events += page["events"]
        assert len(page["events"]) <= limit
        assert "reset" not in page
        if not page["more"]:
            break
        assert page["lastEventId"] == page["events"][-1]["id"]
        query = f"?limit={limit}&after={page['lastEventId']}"

    assert [event["id"] for event in events] == [message.last_event_id for message in expected]
    assert [event["type"] for event in events] == [message.type for message in expected]
    assert [event["data"] for event in events] == [json.loads(message.data) for message in expected]
    assert place(page["lastEventId"]) >= place(events[-1]["id"])
    nothing = get(stack, f"/operations/{operation.id}/events?after={page['lastEventId']}").body
    assert (nothing["events"], nothing["more"]) == ([], False)


def test_history_after_a_lost_cursor_is_a_reset_with_the_present(stack: Stack) -> None:
    """Polling from a cursor of another life of the log says so, and gives the operation as it is."""
    operation = finished(stack)
    body = get(stack, f"/operations/{operation.id}/events?after=evt_1-1").body

    assert body["reset"] == {"reason": "history_lost"}
    assert [state["status"] for state in body["operations"]] == ["succeeded"]
    assert body["events"] == []
    after = get(stack, f"/operations/{operation.id}/events?after={body['lastEventId']}").body
    assert "reset" not in after


@pytest.mark.parametrize(
    "path", ["/operations/nobody", "/operations/nobody/events", "/events/operations/nobody"]
)
def test_unknown_operation_is_not_found(stack: Stack, path: str) -> None:
    """An operation that nobody reported is a 404 that names it."""
    reply = get(stack, path)
    assert_problem(reply, 404)
    assert "nobody" in reply.body["detail"]


@pytest.mark.parametrize("path", ["/nothing", "/operations/a/b/c", "/events", "/events/teams/x"])
def test_unknown_path_is_a_problem_too(stack: Stack, path: str) -> None:
    """A path that there is not is a 404 in the same form as every other refusal."""
    assert_problem(get(stack, path), 404)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "nothing", "params": {}}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": ["batch"]}, "kind"),
        ({"kind": {}}, "kind"),
        ({"params": {"source": "python-stdlib"}}, "kind"),
        ({"kind": "batch"}, "params.source"),
        ({"kind": "batch", "params": {}}, "params.source"),
        ({"kind": "batch", "params": None}, "params"),
        ({"kind": "batch", "params": "python-stdlib"}, "params"),
        ({"kind": "batch", "params": []}, "params"),
        ({"kind": "batch", "params": {"source": "elsewhere"}}, "params.source"),
        ({"kind": "batch", "params": {"source": None}}, "params.source"),
        ({"kind": "batch", "params": {"source": "python-stdlib", "limit": 0}}, "params.limit"),
        ({"kind": "batch", "params": {"source": "python-stdlib", "limit": -1}}, "params.limit"),
        ({"kind": "batch", "params": {"source": "python-stdlib", "limit": 1.5}}, "params.limit"),
        ({"kind": "batch", "params": {"source": "python-stdlib", "limit": "1"}}, "params.limit"),
        ({"kind": "batch", "params": {"source": "python-stdlib", "limit": True}}, "params.limit"),
        ({"kind": "batch", "params": {"source": "python-stdlib", "surplus": 1}}, "params.surplus"),
        ({**BATCH, "surplus": 1}, "surplus"),
        ({**BATCH, "id": "two words"}, "id"),
        ({**BATCH, "id": ""}, "id"),
        ({**BATCH, "id": "x" * 129}, "id"),
        ({**BATCH, "id": 17}, "id"),
        ({**BATCH, "id": "évt"}, "id"),
        ([BATCH], "body"),
        ("batch", "body"),
        (None, "body"),
        (17, "body"),
    ],
)
def test_post_that_cannot_be_done_names_the_field(stack: Stack, body: Any, field: str) -> None:
    """A POST with anything wrong in it is refused by the name of what is wrong, and starts nothing."""
    assert_problem(post_json(f"{stack.url}/api/operations", body), 400, field)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"kind=batch",
        b'{"kind": "batch"} x',
        b"\xff\xfe{}",
        b'{"kind": NaN}',
        b'{"kind": "\xff"}',
        b'{"kind": "\\ud800"}',
        b"[" * 60_000,
        b'{"kind":' * 7_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_body_that_is_no_json_is_named_as_such(stack: Stack, body: bytes) -> None:
    """What is not JSON is refused as the body, whatever is wrong with it, and starts nothing."""
    status, headers, answer = request(stack, "POST", "/api/operations", body, Content_Type="application/json")
    assert_problem(JsonReply(status, headers, json.loads(answer)), 400, "body")


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_wrong_content_type_is_named(stack: Stack, content_type: str) -> None:
    """JSON under another name is refused: a form of another site could send it without being asked."""
    body = json.dumps(BATCH).encode()
    status, headers, answer = request(stack, "POST", "/api/operations", body, Content_Type=content_type)
    assert_problem(JsonReply(status, headers, json.loads(answer)), 400, "Content-Type")


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize("filler", ["x", " "], ids=["in-the-json", "behind-the-json"])
def test_megabyte_body_is_too_large(stack: Stack, filler: str, *, chunked: bool) -> None:
    """A body of 1 MB is a 413 that says how much is allowed, whether its length was announced or not."""
    content = json.dumps(BATCH | ({"id": filler * 1_000_000} if filler == "x" else {})).encode()
    content += filler.encode() * (1_000_000 - len(content))
    pieces = (content[start : start + 8_192] for start in range(0, len(content), 8_192))
    body = pieces if chunked else content
    framing = {"Transfer_Encoding": "chunked"} if chunked else {}
    status, headers, answer = request(
        stack, "POST", "/api/operations", body, chunked=chunked, Content_Type="application/json", **framing
    )
    assert_problem(JsonReply(status, headers, json.loads(answer)), 413, "body")


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/api/operations", "DELETE", {"GET", "POST", "HEAD", "OPTIONS"}),
        ("/api/operations", "PUT", {"GET", "POST", "HEAD", "OPTIONS"}),
        ("/api/operations/some", "POST", {"GET", "HEAD", "OPTIONS"}),
        ("/api/events/stream", "POST", {"GET", "HEAD", "OPTIONS"}),
        ("/healthz", "PATCH", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_method_that_there_is_not_is_405_with_those_there_are(
    stack: Stack, path: str, method: str, allowed: set[str]
) -> None:
    """A method that a path does not take is a 405 whose ``Allow`` says which it takes."""
    status, headers, answer = request(stack, method, path)
    assert_problem(JsonReply(status, headers, json.loads(answer)), 405)
    assert set(headers["allow"].split(", ")) == allowed


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/events/stream?types=nonsense", "types"),
        ("/events/stream?types=progress,,complete", "types"),
        ("/events/stream?types=", "types"),
        ("/events/stream?types=heartbeat", "types"),
        ("/events/stream?topics=", "topics"),
        ("/events/stream?topics=everything", "topics"),
        ("/events/stream?topics=*", "topics"),
        ("/events/stream?topics=operations", "topics"),
        ("/events/stream?topics=operations:", "topics"),
        ("/events/stream?topics=teams:a", "topics"),
        ("/events/stream?topics=operations:a%0Ab", "topics"),
        ("/events/stream?topics=operations:a,agents:%F0%9F%98%80", "topics"),
        ("/events/stream?topics=agents:a*", "topics"),
        (f"/events/stream?topics={SIXTY_FIVE_TOPICS}", "topics"),
        ("/events/stream?kinds=two%20words", "kinds"),
        ("/events/stream?kinds=", "kinds"),
        ("/events/stream?history=some", "history"),
        ("/events/stream?history=ALL", "history"),
        ("/events/stream?last_event_id=17", "last_event_id"),
        ("/events/stream?last_event_id=evt_1", "last_event_id"),
        ("/events/stream?last_event_id=evt_1-1-1", "last_event_id"),
        ("/events/stream?last_event_id=evt_%D9%A1-1", "last_event_id"),
        ("/events/stream?last_event_id=evt_1-1%0D%0Adata:x", "last_event_id"),
        ("/events/stream?last_event_id=evt_99999999999999999-1", "last_event_id"),
        ("/events/operations/two%20words", "id"),
        ("/events/agents/a*", "id"),
        ("/events/workflows/%00", "id"),
        ("/operations?limit=0", "limit"),
        ("/operations?limit=-1", "limit"),
        ("/operations?limit=1001", "limit"),
        ("/operations?limit=ten", "limit"),
        ("/operations?limit=1e2", "limit"),
        ("/operations?limit=%D9%A1", "limit"),
        ("/operations?limit=" + "9" * 3000, "limit"),
        ("/operations?topics=nonsense", "topics"),
        ("/operations?kinds=a%2Fb", "kinds"),
        ("/operations?status=", "status"),
        ("/operations/two%20words", "id"),
        ("/operations/some/events?after=nonsense", "after"),
        ("/operations/some/events?limit=0", "limit"),
        ("/operations/two%20words/events", "id"),
    ],
    ids=lambda value: value[:60],
)
def test_query_that_means_nothing_names_the_parameter(stack: Stack, path: str, field: str) -> None:
    """A parameter that cannot be understood is a 400 that names it and says what is allowed."""
    assert_problem(get(stack, path), 400, field)


def test_id_can_be_chosen_and_used_once(stack: Stack) -> None:
    """A POST that names an id gets that id, and a second one with it is refused and changes nothing."""
    chosen = f"my-{uuid.uuid4().hex}"
    assert post_json(f"{stack.url}/api/operations", {**BATCH, "id": chosen}).body["operationId"] == chosen
    events = stack.history(chosen)

    assert_problem(post_json(f"{stack.url}/api/operations", {**BATCH, "id": chosen}), 400, "id")
    assert stack.history(chosen) == events


def test_health_says_alive_and_ready(stack: Stack) -> None:
    """Both health checks answer 200 while the service can deliver."""
    assert get_json(f"{stack.url}/healthz").body == {"status": "alive"}
    assert get_json(f"{stack.url}/readyz").body == {"status": "ready"}


def test_every_answer_has_the_security_headers(stack: Stack) -> None:
    """Page, stream, JSON and refusal alike forbid scripts of others and guessing of types."""
    for path in (
        "/",
        "/static/overview.js",
        "/api/operations",
        "/api/operations/nobody",
        "/healthz",
        "/nothing",
    ):
        _, headers, _ = request(stack, "GET", path)
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"], path


def test_closed_service_refuses_all_but_the_health_checks(redis_server: RedisServer, tmp_path: Path) -> None:
    """With TIDINGS_AUTH=required nothing is shown or started for anybody without a token."""
    env = {"TIDINGS_NAMESPACE": "closed", "TIDINGS_AUTH": "required", "TIDINGS_SECRET_KEY": "x" * 32}
    with Stack(redis_server.url, tmp_path, worker=False, web=1, **env) as stack:
        for path in ("/operations", "/operations/a", "/operations/a/events", "/events/stream", "/nothing"):
            assert_problem(get(stack, path), 401)
        assert_problem(post_json(f"{stack.url}/api/operations", BATCH), 401)
        assert_problem(get_json(f"{stack.url}/"), 401)
        for path in ("/healthz", "/readyz"):
            assert get_json(f"{stack.url}{path}").status == 200
        _, states = stack.log.state(["*"], 10)
        assert states == []


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"HOST": "0.0.0.0"}, ["HOST", "TIDINGS_AUTH"]),  # noqa: S104 - what must be refused
        (
            {"PORT": "http", "TIDINGS_HEARTBEAT_S": "0", "REDIS_URL": ""},
            ["PORT", "TIDINGS_HEARTBEAT_S", "REDIS_URL"],
        ),
        ({"REDIS_URL": "http://:secret@host"}, ["REDIS_URL"]),
        ({"TIDINGS_AUTH": "required"}, ["TIDINGS_SECRET_KEY"]),
        ({"TIDINGS_AUTH": "required", "TIDINGS_SECRET_KEY": "secrets"}, ["TIDINGS_SECRET_KEY"]),
    ],
)
def test_impossible_settings_end_the_service_with_a_line_each(
    stack: Stack, env: dict[str, str], named: list[str]
) -> None:
    """The service does not start on settings that cannot be, and says all that is wrong, a line each."""
    done = subprocess.run(
        [Path(sys.executable).parent / "gunicorn", "wsgi:app"],
        cwd=ROOT,
        env=os.environ | stack.env | env,
        capture_output=True,
        text=True,
        timeout=READ_S,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line]

    assert done.returncode != 0
    assert done.stdout == ""
    assert ":secret@" not in done.stderr
    assert "secrets" not in done.stderr
    for variable in named:
        assert any(variable in line for line in lines)
    assert len(lines) <= len(named)


def test_cursor_of_a_list_is_where_the_log_stands(stack: Stack) -> None:
    """The list's cursor is the id of the last event that anybody reported."""
    operation = finished(stack)
    last = Cursor.parse(stack.history(operation.id)[-1].last_event_id)
    assert place(get(stack, "/operations?limit=1").body["lastEventId"]) == last
