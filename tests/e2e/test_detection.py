"""How soon a Redis that does not answer is noticed, what is said of it meanwhile, and how soon it is back.

The figures are promises (docs/operations.md). They are made of time-outs, not of work; what a slow machine
needs on top is `SLACK_S`. What a run on this machine needed is in the table of the fault tests.
"""

import time
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from dev.redis_server import RedisServer
from tests.http_stream import get_json
from tests.stack import READ_S, Stack
from tests.waiting import wait_until

SLACK_S: Final = 0.7
NOTICED_S: Final = 3.0 + SLACK_S
LIVE_S: Final = 1.0 + SLACK_S
DEGRADED: Final = '{"degraded":true}'


def readiness(stack: Stack) -> dict[str, Any]:
    """Give what the service says of itself."""
    body: dict[str, Any] = get_json(f"{stack.url}/readyz", timeout_s=READ_S).body
    return body


def test_a_redis_that_is_away_is_noticed_and_said_and_so_is_its_return(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Within 3 s /readyz says why; streams stay open, say that they are delayed, and are live within 1 s."""
    with Stack(own_redis.url, tmp_path, web=1, worker=False, TIDINGS_HEARTBEAT_S="0.25") as stack:
        operation = stack.operation()
        with stack.stream(f"/api/events/operations/{operation.id}") as stream:
            stream.read_until(lambda message: message.data == "{}", READ_S)
            for code, take_away, bring_back in (
                ("frozen", own_redis.freeze, own_redis.thaw),
                ("killed", own_redis.kill, own_redis.start),
            ):
                away_at = time.monotonic()
                take_away()
                wait_until(lambda: readiness(stack)["status"] == "degraded", timeout_s=READ_S)
                assert time.monotonic() - away_at < NOTICED_S
                assert readiness(stack)["reason"]
                cursor = stream.last_event_id
                for _ in range(3):  # told at once, and in each heartbeat
                    stream.read_until(lambda message: message.data == DEGRADED, READ_S)
                assert stream.last_event_id == cursor
                operation.warning(code, "m")

                bring_back()
                back_at = time.monotonic()
                stream.read_until(lambda message: message.type == "warning", READ_S)
                assert time.monotonic() - back_at < LIVE_S
                wait_until(lambda: readiness(stack)["status"] == "ready", timeout_s=READ_S)
                stream.read_until(lambda message: message.data == "{}", READ_S)
            operation.complete()
            events = [message for message in stream.read_to_end(READ_S) if message.type != "heartbeat"]
            assert [event.type for event in events[1:]] == ["warning", "warning", "status", "complete"]


@pytest.mark.long
def test_a_connection_that_is_made_anew_at_once_is_no_news(own_redis: RedisServer, tmp_path: Path) -> None:
    """Streams are not told of what is over before anybody could care."""
    with Stack(own_redis.url, tmp_path, web=1, worker=False) as stack:
        operation = stack.operation()
        with stack.stream(f"/api/events/operations/{operation.id}") as stream:
            stream.read_until(lambda message: message.type == "heartbeat", READ_S)
            for row in range(3):
                assert stack.log.redis.client_kill_filter(_type="pubsub") == 1
                operation.warning("row", str(row))
                stream.read_until(lambda message: message.type == "warning", READ_S)
                wait_until(lambda: readiness(stack)["status"] == "ready", timeout_s=READ_S)
                wait_until(lambda: stack.log.redis.pubsub_numsub(stack.log.channel)[0][1], timeout_s=READ_S)
            operation.complete()
            assert DEGRADED not in {message.data for message in stream.read_to_end(READ_S)}


def test_settings_that_take_a_promise_back_are_said_at_the_start(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """One line in the log of each web process, and a warning for who asks; the service works all the same."""
    with Redis.from_url(own_redis.url) as administrator:
        administrator.config_set("maxmemory", "1gb")
        administrator.config_set("maxmemory-policy", "allkeys-lru")
    with Stack(own_redis.url, tmp_path, web=1, worker=False) as stack:
        wait_until(lambda: "warnings" in readiness(stack), timeout_s=READ_S)
        (warning,) = readiness(stack)["warnings"]
        assert readiness(stack)["status"] == "ready"
        assert "allkeys-lru" in warning
        assert stack.output("web").count(warning) == 1
