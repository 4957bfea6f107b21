"""What streams live through: Redis gone and back, Redis emptied, a web process told to end or killed.

Each way a stream can end that is nobody's fault but the house's, on a service and a Redis of the test's own.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from dev.redis_server import RedisServer
from tests.http_stream import HttpStream, get_json, post_json
from tests.sse import Message
from tests.stack import READ_S, Stack, logged
from tests.waiting import wait_until

GLOBAL: Final = "/api/events/stream"
BATCH: Final = {"kind": "batch", "params": {"source": "python-stdlib", "limit": 5}}
DRAIN_S: Final = 20.0
"""Promised (DESIGN.md, 5.8): a process that was told to end is gone by then."""


def opening_of(stream: HttpStream) -> list[Message]:
    """Read the frames that begin the stream, without the heartbeat that ends them."""
    return stream.read_until(lambda message: message.type == "heartbeat", READ_S)[:-1]


def rows(messages: list[Message]) -> list[str]:
    """Give the numbers of the rows that warnings tell of."""
    return [json.loads(message.data)["message"] for message in messages if message.type == "warning"]


def until_row(stream: HttpStream, row: int) -> None:
    """Read up to the warning about that *row*."""
    stream.read_until(
        lambda message: message.type == "warning" and json.loads(message.data)["message"] == str(row), READ_S
    )


def is_ready(stack: Stack) -> bool:
    """Tell whether the service says that it can deliver."""
    return get_json(f"{stack.url}/readyz", timeout_s=READ_S).status == 200


@pytest.mark.parametrize("web", [1, 2])
def test_streams_outlive_redis_and_go_on_without_loss(
    own_redis: RedisServer, tmp_path: Path, web: int
) -> None:
    """While Redis is away streams stay open and starting is refused; after it every event comes once."""
    with Stack(own_redis.url, tmp_path, web=web, worker=False) as stack, ExitStack() as opened:
        operation = stack.operation()
        streams = [
            opened.enter_context(stack.stream(f"/api/events/operations/{operation.id}")) for _ in range(6)
        ]
        for stream in streams:
            opening_of(stream)
        for row in range(20):
            operation.warning("row", str(row))
        stack.flush()
        for stream in streams:
            until_row(stream, 19)
        wait_until(lambda: _is_on_disk(own_redis, '"19"'), timeout_s=READ_S)

        own_redis.kill()
        for row in range(20, 40):
            operation.warning("row", str(row))
        wait_until(lambda: not is_ready(stack), timeout_s=READ_S)
        assert get_json(f"{stack.url}/readyz").status == 503
        assert get_json(f"{stack.url}/healthz").status == 200
        refused = post_json(f"{stack.url}/api/operations", BATCH, timeout_s=READ_S)
        assert refused.status == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"]

        own_redis.start()
        wait_until(lambda: is_ready(stack), timeout_s=READ_S)
        operation.warning("row", "40")
        operation.complete()
        for stream in streams:
            messages = stream.read_to_end(READ_S)
            assert stream.ended_cleanly
            assert rows(messages) == [str(row) for row in range(41)]
            assert messages[-1].type == "complete"
        assert len({tuple(logged(stream.messages)) for stream in streams}) == 1
        listed = get_json(f"{stack.url}/api/operations").body["operations"]
        assert [each["id"] for each in listed] == [operation.id]


def _is_on_disk(redis: RedisServer, text: str) -> bool:
    """Tell whether the server's append-only file, which it writes before it answers, has *text*."""
    return any(text.encode() in path.read_bytes() for path in redis.folder.glob("appendonlydir/*.aof"))


@pytest.mark.parametrize("path", [GLOBAL, "/api/events/operations/{id}"], ids=["global", "operation"])
def test_resume_of_the_recent_past_works_while_redis_is_away(
    own_redis: RedisServer, tmp_path: Path, path: str
) -> None:
    """What a web process has in memory it gives to a returning stream, Redis or not, which then goes on."""
    with Stack(own_redis.url, tmp_path, web=1, worker=False) as stack:
        operation = stack.operation()
        path = path.format(id=operation.id)
        with stack.stream(path) as stream:
            opening_of(stream)
            operation.warning("row", "0")
            until_row(stream, 0)
            cursor = stream.last_event_id
            operation.warning("row", "1")
            until_row(stream, 1)
            own_redis.kill()
            wait_until(lambda: not is_ready(stack), timeout_s=READ_S)
            with stack.stream(path, Last_Event_ID=cursor) as again:
                assert rows(logged(opening_of(again), after=cursor)) == ["1"]
                own_redis.start()
                operation.warning("row", "2")
                until_row(again, 2)


@pytest.mark.parametrize("path", [GLOBAL, "/api/events/operations/{id}"], ids=["global", "operation"])
def test_new_stream_while_redis_is_away_is_sent_away(
    own_redis: RedisServer, tmp_path: Path, path: str
) -> None:
    """A stream that cannot know the present is told when to come back, in a way that EventSource survives."""
    with Stack(own_redis.url, tmp_path, web=1, worker=False) as stack:
        operation = stack.operation()
        own_redis.kill()
        wait_until(lambda: not is_ready(stack), timeout_s=READ_S)
        with stack.stream(path.format(id=operation.id)) as stream:
            assert stream.status == 200
            assert stream.read_to_end(READ_S) == []
            assert stream.ended_cleanly
            assert stream.retry_ms is not None


def test_emptied_redis_ends_streams_and_their_resume_says_so(own_redis: RedisServer, tmp_path: Path) -> None:
    """After FLUSHALL clients are closed, and come back to a reset with the reason, then to what goes on."""
    with Stack(own_redis.url, tmp_path, web=2, worker=False) as stack, ExitStack() as opened:
        operation = stack.operation()
        operation.warning("row", "0")
        stack.flush()
        path = f"/api/events/operations/{operation.id}"
        streams = [opened.enter_context(stack.stream(path)) for _ in range(6)]
        for stream in streams:
            opening_of(stream)
        assert stack.log.redis.flushall()
        for stream in streams:
            stream.read_to_end(READ_S)
            assert stream.ended_cleanly
        for stream in streams:
            with stack.stream(path, Last_Event_ID=stream.last_event_id) as again:
                first = again.read_until(lambda _: True, READ_S)[0]
                assert first.type == "reset"
                assert json.loads(first.data)["reason"] == "history_lost"
                assert json.loads(first.data)["requestedId"] == stream.last_event_id

        with stack.stream(path, Last_Event_ID=streams[0].last_event_id) as again:
            opening_of(again)
            operation.warning("row", "1")
            operation.complete()
            assert rows(logged(again.read_to_end(READ_S))) == ["1"]
            assert again.messages[-1].type == "complete"
