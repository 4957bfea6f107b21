"""Streams as they leave a web process: joining, filtering, resuming, beating, and being turned away.

The last stages of the flow over real processes and sockets. What streams tell is reported by the test itself
(`Stack.operation`), so that each event is known beforehand.
"""

import dataclasses
import http.client
import json
import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from dev.redis_server import RedisServer
from tests.http_stream import HttpStream, get_json
from tests.sse import Message
from tests.stack import READ_S, Stack, logged, place
from tests.waiting import wait_until
from tidings import Operation
from tidings.cursor import Cursor
from tidings.events import TYPES, decode
from tidings.log import Log
from tidings.reporter import Reporter

GLOBAL: Final = "/api/events/stream"


@pytest.fixture(scope="module")
def quick(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service whose streams beat three times a second."""
    with _alone(redis_server, tmp_path_factory.mktemp("quick"), TIDINGS_HEARTBEAT_S="0.3") as stack:
        yield stack


@pytest.fixture(scope="module")
def cold(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service that keeps next to nothing in memory, so that whatever it replays comes from Redis."""
    with _alone(redis_server, tmp_path_factory.mktemp("cold"), TIDINGS_RING_EVENTS="1") as stack:
        yield stack


def _alone(redis_server: RedisServer, folder: Path, **env: str) -> Stack:
    """Make a service of one web process, with a namespace of its own."""
    env |= {"TIDINGS_NAMESPACE": folder.name}
    return Stack(redis_server.url, folder, worker=False, web=1, **env)


def settle(stack: Stack) -> None:
    """Wait until the one web process has read all of the log, so that what a stream opens with is known."""
    reached = place(get_json(f"{stack.url}/api/operations").body["lastEventId"])
    wait_until(lambda: _position(stack) >= reached, timeout_s=READ_S)


def _position(stack: Stack) -> Cursor:
    """Ask how far the web process has read."""
    with stack.stream(f"{GLOBAL}?history=none") as stream:
        return place(stream.read_until(lambda message: message.type == "heartbeat", READ_S)[0].last_event_id)


def stream_of(operation: Operation, query: str = "") -> str:
    """Give the path of an operation's stream."""
    return f"/api/events/operations/{operation.id}{query}"


def opening_of(stream: HttpStream) -> list[Message]:
    """Read the frames that begin the stream, without the heartbeat that ends them."""
    return stream.read_until(lambda message: message.type == "heartbeat", READ_S)[:-1]


def until_warning(stream: HttpStream, code: str) -> list[Message]:
    """Read up to the warning of that *code*, and give the events of the log up to there."""
    return logged(
        stream.read_until(
            lambda message: message.type == "warning" and json.loads(message.data)["code"] == code, READ_S
        )
    )


def said(messages: list[Message]) -> list[tuple[str, Any]]:
    """Give of each event its type and the words that tell it from its like."""
    return [(message.type, _words(json.loads(message.data))) for message in messages]


def _words(data: dict[str, Any]) -> Any:
    return next((data[field] for field in ("current", "code", "status") if field in data), None)


def work(stack: Stack, operation: Operation, *, steps: int = 3) -> None:
    """Report *steps* times progress and a warning, each of which arrives, and the end."""
    for step in range(1, steps + 1):
        operation.progress(step, steps)
        stack.flush()
        operation.warning(f"w{step}", "noticed")
    operation.complete()
    stack.flush()


def test_clients_of_both_web_processes_see_all_operations_in_one_order(stack: Stack) -> None:
    """Every client of the global stream, on whichever web process, has the same events in the same order."""
    with ExitStack() as opened:
        others = set(stack.connections())
        streams = [opened.enter_context(stack.stream(GLOBAL)) for _ in range(12)]
        serving = {pid for inode, pid in stack.connections().items() if inode not in others}
        while len(serving) < 2 and len(streams) < 100:
            streams.append(opened.enter_context(stack.stream(GLOBAL)))
            serving = {pid for inode, pid in stack.connections().items() if inode not in others}
        assert len(serving) == 2
        for stream in streams:
            opening_of(stream)
        operations = [stack.operation() for _ in range(4)]
        for step in range(20):
            for operation in operations:
                operation.progress(step, 20)
                operation.warning(f"w{step}", "noticed")
        for operation in operations:
            operation.complete()
        stack.operation(id=f"{operations[0].id}-last").warning("last", "of all")
        stack.flush()
        first, *rest = [until_warning(stream, "last") for stream in streams]

    ids = [place(message.last_event_id) for message in first]
    assert ids == sorted(set(ids))
    assert {json.loads(message.data)["operationId"] for message in first} >= {op.id for op in operations}
    assert all(other == first for other in rest)


def test_reconnect_to_the_other_web_process_sees_the_same(stack: Stack) -> None:
    """A cursor earned on one web process is good on the other: both give the same rest."""
    operation = stack.operation()
    work(stack, operation)
    events = stack.history(operation.id)
    cursor = events[1].last_event_id

    served: set[int] = set()
    for _ in range(100):
        others = set(stack.connections())
        # The global stream stays open, so that the connection can still be found.
        with stack.stream(f"{GLOBAL}?topics=operations:{operation.id}", Last_Event_ID=cursor) as stream:
            served |= {pid for inode, pid in stack.connections().items() if inode not in others}
            stream.read_until(lambda message: message.type == "complete", READ_S)
            assert logged(stream.messages, after=cursor) == events[2:]
        if len(served) == 2:
            break
    assert len(served) == 2


@pytest.mark.parametrize("name", ["stack", "cold"], ids=["from-memory", "from-the-log"])
def test_resume_after_any_event_gives_exactly_the_rest(name: str, request: pytest.FixtureRequest) -> None:
    """Whichever event was the last, the resumed stream has those after it, once each, and ends cleanly."""
    stack: Stack = request.getfixturevalue(name)
    operation = stack.operation()
    work(stack, operation)
    if name == "cold":
        settle(stack)
    events = stack.history(operation.id)
    assert said(events) == [
        ("status", "running"),
        *[(kind, word) for step in (1, 2, 3) for kind, word in (("progress", step), ("warning", f"w{step}"))],
        ("status", "succeeded"),
        ("complete", None),
    ]

    for count, event in enumerate(events[:-1], start=1):
        with stack.stream(stream_of(operation), Last_Event_ID=event.last_event_id) as stream:
            messages = stream.read_to_end(READ_S)
            assert stream.ended_cleanly
        # Not `logged`, which would not notice if the event of the cursor itself were told again.
        assert [message for message in messages if message.type != "heartbeat"] == events[count:]


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html"])
def test_a_name_that_was_made_to_lead_here_gets_nothing(stack: Stack, accept: str) -> None:
    """No stream, whether gunicorn has its request or not, no list and no page; only how the service is."""
    evil = {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
    with stack.stream(GLOBAL, Accept=accept, **evil) as stream:
        assert stream.status == 403
    for path, status in (("/api/operations", 403), ("/", 403), ("/healthz", 200)):
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=READ_S)
        connection.request("GET", path, headers=evil)
        assert connection.getresponse().status == status, path
        connection.close()


def test_resume_at_the_end_is_told_to_stay_away(stack: Stack) -> None:
    """Who has the terminal event of an operation and asks for more gets 204, which ends an EventSource."""
    operation = stack.operation()
    work(stack, operation)
    end = stack.history(operation.id)[-1].last_event_id

    for query, headers in ((f"?last_event_id={end}", {}), ("", {"Last_Event_ID": end})):
        with stack.stream(stream_of(operation, query), **headers) as stream:
            assert stream.status == 204
            assert stream.ended_cleanly


def test_nothing_follows_the_end_of_an_operation(stack: Stack) -> None:
    """Whatever is said of an operation that is over, by whomever, its end stays the one and the last."""
    operation = stack.operation()
    work(stack, operation)
    events = stack.history(operation.id)
    again = stack.operation(id=operation.id, attempt=2)
    again.warning("late", "by another")
    again.error("late", "by another")
    stack.flush()

    assert stack.history(operation.id) == events


def test_finished_operation_without_cursor_shows_its_last_state_and_ends(stack: Stack) -> None:
    """A stream opened after the end has the final state, its end last, and a cursor at that end."""
    operation = stack.operation()
    work(stack, operation)
    with stack.stream(stream_of(operation)) as stream:
        *state, heartbeat = stream.read_to_end(READ_S)
        assert stream.ended_cleanly
    assert said(state) == [("progress", 3), ("status", "succeeded"), ("warning", "w3"), ("complete", None)]
    assert heartbeat.type == "heartbeat"
    with stack.stream(stream_of(operation), Last_Event_ID=heartbeat.last_event_id) as again:
        assert again.status == 204


def test_cursor_in_the_url_works_and_the_header_wins(stack: Stack) -> None:
    """``last_event_id`` resumes like the header, which says more lately where the browser is."""
    operation = stack.operation()
    work(stack, operation)
    events = stack.history(operation.id)
    query = f"?last_event_id={events[1].last_event_id}"

    with stack.stream(stream_of(operation, query)) as stream:
        assert logged(stream.read_to_end(READ_S)) == events[2:]
    with stack.stream(stream_of(operation, query), Last_Event_ID=events[4].last_event_id) as stream:
        assert logged(stream.read_to_end(READ_S), after=events[4].last_event_id) == events[5:]


def test_long_history_is_replayed_page_by_page_without_a_hole(cold: Stack) -> None:
    """A resume that spans several reads of the log has every event in order, of one topic or two."""
    one, two = cold.operation(), cold.operation()
    cursor = get_json(f"{cold.url}/api/operations").body["lastEventId"]
    for number in range(900):
        one.warning("row", str(number))
        two.warning("row", str(number))
    cold.flush()
    settle(cold)

    for topics, each in ((f"operations:{one.id}", 1), (f"operations:{one.id},operations:{two.id}", 2)):
        with cold.stream(f"{GLOBAL}?topics={topics}", Last_Event_ID=cursor) as stream:
            rows = [json.loads(message.data)["message"] for message in opening_of(stream)]
        assert rows == [str(number) for number in range(900) for _ in range(each)]


def test_join_in_the_middle_begins_with_the_present_then_goes_on(stack: Stack) -> None:
    """A stream without a cursor has the state without ids, a heartbeat with one, then what follows it."""
    operation = stack.operation()
    operation.progress(4, 10, "four")
    stack.flush()
    operation.warning("w1", "noticed")
    stack.flush()
    with stack.stream(stream_of(operation)) as stream:
        *state, heartbeat = stream.read_until(lambda message: message.type == "heartbeat", READ_S)
        operation.progress(5, 10)
        operation.complete()
        stream.read_to_end(READ_S)

    assert said(state) == [("progress", 4), ("status", "running"), ("warning", "w1")]
    assert {message.last_event_id for message in state} == {""}
    assert heartbeat.data == "{}"
    after = [event for event in stack.history(operation.id) if _is_after(event, heartbeat)]
    assert said(after) == [("progress", 5), ("status", "succeeded"), ("complete", None)]
    assert logged(stream.messages) == after


def _is_after(event: Message, other: Message) -> bool:
    return place(event.last_event_id) > place(other.last_event_id)


def test_streams_opened_while_events_rush_by_have_no_hole_between_state_and_live(stack: Stack) -> None:
    """However a stream's opening falls between the events, state and live together miss nothing."""
    operation = stack.operation()
    streams = []
    with ExitStack() as opened:
        for number in range(30):
            for step in range(20):
                operation.warning("row", str(number * 20 + step))
            streams.append(opened.enter_context(stack.stream(stream_of(operation))))
        operation.complete()
        for stream in streams:
            stream.read_to_end(READ_S)
    events = stack.history(operation.id)

    for stream in streams:
        count = next(n for n, message in enumerate(stream.messages) if message.type == "heartbeat")
        state, heartbeat = stream.messages[:count], stream.messages[count]
        assert logged(stream.messages) == [event for event in events if _is_after(event, heartbeat)]
        before = [event.data for event in events if not _is_after(event, heartbeat)]
        assert all(message.data in before for message in state)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("types=warning", ["one.warning", "two.warning", "three.warning"]),
        (
            "types=warning,complete&types=status&kinds=second",
            ["two.status", "two.warning", "two.status", "two.complete"],
        ),
        ("kinds=first,third&types=complete", ["one.complete", "three.complete"]),
        ("topics=operations:{one}&types=progress,complete", ["one.progress", "one.complete"]),
        ("topics=operations:{one},operations:{two}&types=warning", ["one.warning", "two.warning"]),
        ("topics=agents:*&types=warning", ["three.warning"]),
        ("topics=agents:{agent}&types=complete", ["three.complete"]),
        ("topics=workflows:{flow}&types=complete", ["two.complete", "three.complete"]),
        ("topics=operations:*&types=complete", ["one.complete", "two.complete", "three.complete"]),
        ("topics=agents:{agent}&topics=operations:{one}&types=warning", ["one.warning", "three.warning"]),
        ("topics=workflows:*&kinds=second&types=warning", ["two.warning"]),
        ("topics=agents:elsewhere", []),
    ],
)
@pytest.mark.parametrize(
    ("name", "live"),
    [("quick", True), ("quick", False), ("cold", False)],
    ids=["live", "from-memory", "from-the-log"],
)
def test_stream_has_only_what_its_query_asks_for(
    name: str, query: str, expected: list[str], request: pytest.FixtureRequest, *, live: bool
) -> None:
    """Topics, types and kinds narrow a stream alike while it is live and when it is resumed."""
    stack: Stack = request.getfixturevalue(name)
    tag = uuid.uuid4().hex
    names = {f"{tag}-{word}": word for word in ("one", "two", "three")}
    one, two, three = names
    flow, agent = f"{tag}-flow", f"{tag}-agent"
    path = f"{GLOBAL}?{query.format(one=one, two=two, flow=flow, agent=agent)}"
    cursor = get_json(f"{stack.url}/api/operations").body["lastEventId"]

    with ExitStack() as opened:
        if live:
            stream = opened.enter_context(stack.stream(path, Last_Event_ID=cursor))
            opening_of(stream)
        operations = [
            stack.operation("first", id=one),
            stack.operation("second", id=two, workflow=flow),
            stack.operation("third", id=three, workflow=flow, agent=agent),
        ]
        for operation in operations:
            operation.progress(1, 2)
        stack.flush()
        for operation in operations:
            operation.warning("noticed", "it")
        for operation in operations:
            operation.complete()
        stack.flush()
        if not live:
            settle(stack)
            stream = opened.enter_context(stack.stream(path, Last_Event_ID=cursor))
        events = logged(until_position(stack, stream), after=cursor)

    assert [f"{names[json.loads(event.data)['operationId']]}.{event.type}" for event in events] == expected


def until_position(stack: Stack, stream: HttpStream) -> list[Message]:
    """Read until a heartbeat says that the stream has come to where the log is now."""
    reached = place(get_json(f"{stack.url}/api/operations").body["lastEventId"])
    return stream.read_until(
        lambda message: message.type == "heartbeat" and place(message.last_event_id) >= reached, READ_S
    )


def test_history_none_begins_with_what_is_yet_to_come(quick: Stack) -> None:
    """With ``history=none`` there is nothing before the first heartbeat, and everything after it."""
    operation = quick.operation()
    settle(quick)
    with quick.stream(stream_of(operation, "?history=none")) as stream:
        assert opening_of(stream) == []
        operation.complete()
        assert said(logged(stream.read_to_end(READ_S))) == [("status", "succeeded"), ("complete", None)]


def test_history_latest_is_what_a_stream_begins_with_unasked(quick: Stack) -> None:
    """``history=latest`` shows the present state, and so does a stream that asks for nothing."""
    operation = quick.operation()
    operation.warning("w1", "noticed")
    quick.flush()
    settle(quick)
    for query in ("", "?history=latest"):
        with quick.stream(stream_of(operation, query)) as stream:
            assert said(opening_of(stream)) == [("status", "running"), ("warning", "w1")]


def test_history_all_begins_with_everything(quick: Stack) -> None:
    """``history=all`` has every event from the first, with its id, and then goes on."""
    operation = quick.operation()
    operation.warning("w1", "noticed")
    quick.flush()
    settle(quick)
    with quick.stream(stream_of(operation, "?history=all")) as stream:
        opening = opening_of(stream)
        assert said(logged(opening)) == said(opening) == [("status", "running"), ("warning", "w1")]
        operation.complete()
        rest = logged(stream.read_to_end(READ_S))[2:]
    assert said(rest) == [("status", "succeeded"), ("complete", None)]


def test_history_all_of_everything_has_every_operation(quick: Stack) -> None:
    """``history=all`` on the global stream tells the log from its first event, without a reset."""
    operations = [quick.operation() for _ in range(3)]
    settle(quick)
    with quick.stream(f"{GLOBAL}?history=all") as stream:
        opening = opening_of(stream)
    assert "reset" not in {message.type for message in opening}
    assert {json.loads(message.data)["operationId"] for message in opening} >= {op.id for op in operations}


def test_heartbeat_of_a_quiet_stream_tells_its_true_position(quick: Stack) -> None:
    """While others report, a filtered stream's heartbeats keep up with the log and never pass an event."""
    mine, other = quick.operation(), quick.operation()
    settle(quick)
    with quick.stream(f"{GLOBAL}?topics=operations:{mine.id}&types=warning") as stream:
        opening_of(stream)
        cursors = []
        for number in range(5):
            other.warning("elsewhere", str(number))
            quick.flush()
            heartbeat = until_position(quick, stream)[-1]
            cursors.append(heartbeat.last_event_id)
        mine.warning("mine", "at last")
        quick.flush()
        until_position(quick, stream)
    places = [place(message.last_event_id) for message in stream.messages if message.last_event_id]

    assert places == sorted(places)
    assert said(logged(stream.messages)) == [("warning", "mine")]
    for cursor in cursors:
        with quick.stream(f"{GLOBAL}?topics=operations:{mine.id}", Last_Event_ID=cursor) as resumed:
            assert said(logged(opening_of(resumed), after=cursor)) == [("warning", "mine")]


def test_resume_from_any_heartbeat_of_a_busy_service_loses_nothing(quick: Stack) -> None:
    """Whatever heartbeat came last, what is before it was on the stream and the rest is on the next."""
    operation, other = quick.operation(), quick.operation()
    settle(quick)
    path = f"{GLOBAL}?topics=operations:{operation.id}"
    seen: list[Message] = []
    cursor = ""
    for number in range(6):
        with quick.stream(path + "&history=none", **({"Last_Event_ID": cursor} if cursor else {})) as stream:
            for message in opening_of(stream):
                assert message.type != "reset"
            operation.warning("mine", str(number))
            for _ in range(50):
                other.warning("elsewhere", "it")
            stream.read_until(lambda message: message.type == "heartbeat", READ_S)
            seen += logged(stream.messages, after=cursor)
            cursor = stream.messages[-1].last_event_id
        operation.warning("between", str(number))
        quick.flush()
    with quick.stream(path, Last_Event_ID=cursor) as stream:
        seen += logged(until_position(quick, stream), after=cursor)

    expected = [(code, str(number)) for number in range(6) for code in ("mine", "between")]
    assert [(data["code"], data["message"]) for data in map(_data, seen)] == expected


def _data(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(message.data)
    return data


@pytest.mark.parametrize(
    "cursor", ["nonsense", "evt_1-1", "evt_01-1", "evt_9000000000000000-5", "17", "évt"], ids=repr
)
def test_cursor_that_nobody_gave_out_is_a_reset_and_the_present(stack: Stack, cursor: str) -> None:
    """A header that cannot be resumed from is a reset, then the state and a good cursor, never an error."""
    operation = stack.operation()
    with stack.stream(stream_of(operation), Last_Event_ID=cursor) as stream:
        reset, *state = opening_of(stream)
        assert reset.type == "reset"
        known = cursor.startswith("evt_") and not cursor.startswith("evt_0")
        assert _data(reset)["reason"] == ("history_lost" if known else "unknown_cursor")
        assert said(state) == [("status", "running")]
        good = stream.last_event_id
    with stack.stream(stream_of(operation), Last_Event_ID=good) as stream:
        assert opening_of(stream) == []


def test_trimmed_history_is_a_reset_never_a_shorter_list(cold: Stack, redis_server: RedisServer) -> None:
    """A resume from before what is kept says so first, then shows the present state."""
    settings = dataclasses.replace(cold.log.settings, log_events=100, topic_events=100)
    log = Log(settings)
    reporter = Reporter(log, buffer_records=10_000, interval_s=0.001)
    operation = Operation("import", reporter=reporter, strict=False).start()
    assert reporter.flush(READ_S)
    born = get_json(f"{cold.url}/api/operations/{operation.id}").body["lastEventId"]
    for number in range(1_000):
        operation.warning("row", str(number))
    assert reporter.flush(READ_S)
    log.close()

    for query, headers in (("", {"Last_Event_ID": born}), ("?history=all", {})):
        with cold.stream(stream_of(operation, query), **headers) as stream:
            reset, *rest = opening_of(stream)
            assert reset.type == "reset"
            assert _data(reset)["reason"] == "history_trimmed"
            assert _data(rest[-1])["message"] == "999"


def test_retry_comes_first_in_range_and_differs_between_connections(stack: Stack) -> None:
    """Each stream begins with a reconnection time of 500 to 1500 ms, drawn anew."""
    times = set()
    for _ in range(8):
        with stack.stream(GLOBAL) as stream:
            opening_of(stream)
            assert stream.raw.partition(b"\r\n")[2].startswith(b"retry: ")
            assert stream.retry_ms is not None
            assert 500 <= stream.retry_ms <= 1500
            times.add(stream.retry_ms)
    assert len(times) > 1


def test_stream_has_the_headers_that_proxies_and_browsers_need(stack: Stack) -> None:
    """A stream's head is as the protocol has it, so that nothing on the way keeps or holds back an event."""
    with stack.stream(GLOBAL) as stream:
        assert stream.status == 200
        head = stream.headers
    assert head["content-type"] == "text/event-stream"
    assert head["cache-control"] == "no-store, no-transform"
    assert head["x-accel-buffering"] == "no"
    assert head["x-content-type-options"] == "nosniff"
    assert head["transfer-encoding"] == "chunked"
    assert "content-length" not in head


def test_answer_204_may_not_be_kept_by_caches(stack: Stack) -> None:
    """The answer that ends an EventSource is as little for a cache as the stream would have been."""
    operation = stack.operation()
    work(stack, operation)
    end = stack.history(operation.id)[-1].last_event_id
    with stack.stream(stream_of(operation), Last_Event_ID=end) as stream:
        assert "no-store" in stream.headers.get("cache-control", "")


def test_head_of_a_stream_is_answered_and_holds_nothing(redis_server: RedisServer, tmp_path: Path) -> None:
    """HEAD gives a stream's head at once, and takes none of the places that streams have."""
    with _small(redis_server, tmp_path) as small:
        for _ in range(5):
            connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=READ_S)
            connection.request("HEAD", GLOBAL)
            response = connection.getresponse()
            assert response.status == 200
            assert response.getheader("content-type") == "text/event-stream"
            assert response.read() == b""
            connection.close()
        with small.stream(GLOBAL) as one, small.stream(GLOBAL) as two:
            assert opening_of(one) == opening_of(two) == []


def test_stream_above_the_cap_is_sent_away_and_served_when_another_leaves(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """Too many streams: 200, when to come back, a clean end; a place that becomes free is given again."""
    with _small(redis_server, tmp_path) as small:
        one, two = small.stream(GLOBAL), small.stream(GLOBAL)
        opening_of(one)
        opening_of(two)
        with small.stream(GLOBAL) as third:
            assert third.status == 200
            assert third.headers["content-type"] == "text/event-stream"
            assert third.read_to_end(READ_S) == []
            assert third.ended_cleanly
            assert third.retry_ms is not None
            assert third.retry_ms >= 500
        one.close(abruptly=True)
        wait_until(lambda: _is_served(small), timeout_s=READ_S)
        two.close()


def _small(redis_server: RedisServer, folder: Path) -> Stack:
    """A web process that has room for two streams and looks for dead ones often."""
    return _alone(redis_server, folder, TIDINGS_MAX_STREAMS="2", TIDINGS_HEARTBEAT_S="0.2")


def _is_served(stack: Stack) -> bool:
    """Tell whether a stream gets further than the advice to come back."""
    with stack.stream(GLOBAL) as stream:
        try:
            opening_of(stream)
        except EOFError:
            return False
        return True


NEWLINES: Final = "a\nb\rc\r\nd\x85e\u2028f\u2029g\vh\fi\x1cj\x1dk\x1el\x00m\ufeffn"
SAYINGS: Final = {
    "nan": lambda op: op.progress(math.nan, math.nan, "nan"),
    "infinity": lambda op: op.progress(math.inf, -math.inf, "inf"),
    "negative-total": lambda op: op.progress(5, -10, "negative"),
    "negative-current": lambda op: op.progress(-5, 10),
    "beyond-the-total": lambda op: op.progress(50, 10),
    "huge": lambda op: op.progress(10**400, 10**400),
    "zero-total": lambda op: op.progress(0, 0),
    "no-number": lambda op: op.progress("many", object(), 17),
    "surrogates": lambda op: op.warning("\ud800", "half \udfff of a pair", {"\ud800": ["\udfff"]}),
    "newlines": lambda op: op.warning("n\nl", NEWLINES, {NEWLINES: NEWLINES}),
    "newlines-in-progress": lambda op: op.progress(1, 2, NEWLINES),
    "newlines-in-status": lambda op: (op.status(NEWLINES, NEWLINES), op.status("after")),
    "surrogates-in-status": lambda op: (op.status("\ud800"), op.status("after")),
    "100-kb-message": lambda op: op.warning("long", "x" * 100_000),
    "100-kb-of-newlines": lambda op: op.progress(1, 2, "\n\u2028" * 50_000),
    "100-kb-details": lambda op: op.warning("long", "details", {"rows": ["\u2028" * 1000] * 100}),
    "30-kb-details": lambda op: op.warning("long", "details", "\u2028" * 10_000),
    "no-json": lambda op: op.warning("odd", "details", {"x": object(), "y": {1, 2}}),
    "nan-in-details": lambda op: op.warning("odd", "details", {"x": [math.nan, {"y": math.inf}]}),
    "odd-keys": lambda op: op.warning("odd", "details", {None: 1, 2: 3, (4, 5): 6, math.nan: 7}),
    "bytes": lambda op: op.warning("odd", "details", {b"\xff": b"\xfe"}),
    "deep": lambda op: op.warning("odd", "details", _nested(2_000)),
    "circular": lambda op: op.warning("odd", "details", _circular()),
    "frame-in-a-message": lambda op: op.warning("frame", "x\n\nevent: complete\ndata: {}\n\n"),
    "not-text": lambda op: op.warning(None, b"bytes", None),
    "empty": lambda op: (op.status(""), op.warning("", ""), op.progress(0, None, "")),
    "error-that-does-not-end": lambda op: op.error("\u2028", NEWLINES, object(), terminal=False),
}


def _nested(depth: int) -> list[Any]:
    """Nest a list *depth* times."""
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def _circular() -> list[Any]:
    """Make a list that holds itself."""
    circular: list[Any] = []
    circular.append(circular)
    return circular


@pytest.mark.parametrize("say", SAYINGS.values(), ids=SAYINGS.keys())
def test_whatever_is_said_arrives_as_a_well_formed_frame(stack: Stack, say: Callable[[Any], object]) -> None:
    """No value breaks a stream: frames of one line of strict JSON, and the operation goes on to its end."""
    operation = stack.operation()
    with stack.stream(stream_of(operation, "?history=all")) as stream:
        opening_of(stream)
        say(operation)
        stack.flush()
        operation.complete()
        events = logged(stream.read_to_end(READ_S))
        assert stream.ended_cleanly

    assert len(events) >= 4
    assert said(events)[-2:] == [("status", "succeeded"), ("complete", None)]
    for event in events:
        decode(event.type, event.data.encode())
        json.loads(event.data, parse_constant=_refuse)
        assert len(event.data.splitlines()) == 1
        assert len(event.data.encode()) < 70_000
    assert {message.type for message in stream.messages} <= {*TYPES, "heartbeat"}
    assert [event.type for event in events].count("complete") == 1


def _refuse(constant: str) -> None:
    """Refuse what Python reads and JSON does not have."""
    raise AssertionError(f"{constant} is no JSON")


def test_result_that_is_no_json_does_not_keep_an_operation_from_ending(stack: Stack) -> None:
    """An operation whose result cannot be sent completes, and says what was left out."""
    operation = stack.operation()
    operation.complete({"connection": object()})
    stack.flush()
    (end,) = [event for event in stack.history(operation.id) if event.type == "complete"]

    assert "omitted" in _data(end)["result"]


@pytest.mark.parametrize("family", ["operations", "agents", "workflows"])
def test_stream_of_something_unknown_is_not_found(stack: Stack, family: str) -> None:
    """A stream of an operation, agent or workflow that nobody reported is a 404 that says so."""
    reply = get_json(f"{stack.url}/api/events/{family}/nobody")
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert "nobody" in reply.body["detail"]


def test_agents_and_workflows_have_streams_of_their_own(stack: Stack) -> None:
    """The stream of an agent or a workflow has the events of its operations and of no other."""
    tag = uuid.uuid4().hex
    with ExitStack() as opened:
        stack.operation(id=f"{tag}-0", agent=f"{tag}-agent", workflow=f"{tag}-flow")
        streams = [
            opened.enter_context(stack.stream(f"/api/events/{path}"))
            for path in (f"agents/{tag}-agent", f"workflows/{tag}-flow")
        ]
        for stream in streams:
            assert said(opening_of(stream)) == [("status", "running")]
        stack.operation().warning("other", "not theirs")
        stack.operation(id=f"{tag}-1", agent=f"{tag}-agent", workflow=f"{tag}-flow").warning("last", "theirs")
        stack.flush()
        for stream in streams:
            assert said(until_warning(stream, "last")) == [("status", "running"), ("warning", "last")]
