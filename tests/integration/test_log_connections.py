"""The connections of one log: what happens to one has happened to all, but for those that are in use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from dev.port import free_port
from dev.redis_server import RedisServer
from dev.replicated_redis import SentinelServer
from tests.waiting import wait_until
from tidings.cursor import Cursor
from tidings.errors import LogUnavailable
from tidings.log import Log
from tidings.settings import Settings

PATIENCE_S: Final = 30.0
TIMEOUT_S: Final = 0.2
START: Final = Cursor(0, 0)


@pytest.fixture
def administrator(own_redis: RedisServer) -> Iterator[Redis]:
    """One who looks at the server from outside the log."""
    with Redis.from_url(own_redis.url) as administrator:
        administrator.ping()
        yield administrator


def connections(administrator: Redis) -> int:
    """Count those that the server has, without the administrator's."""
    return len(administrator.client_list(_type="normal")) - 1


def test_a_timeout_closes_those_that_are_idle_too(own_redis: RedisServer, administrator: Redis) -> None:
    """They lead to the same server, which may be another one's replica when it answers again."""
    log = Log(Settings(redis_url=own_redis.url), connections=3, timeout_s=TIMEOUT_S)
    log.read(START)  # on one of its own
    log.hello()
    assert connections(administrator) == 2
    own_redis.freeze()
    with pytest.raises(LogUnavailable):
        log.hello()
    own_redis.thaw()
    wait_until(lambda: connections(administrator) == 0, timeout_s=PATIENCE_S)
    log.close()


def test_reads_that_fail_give_their_place_in_the_pool_back(
    own_redis: RedisServer, administrator: Redis
) -> None:
    """However often the server throws us out, the next read gets a connection."""
    log = Log(Settings(redis_url=own_redis.url), connections=1)
    for _ in range(3):
        assert log.read(START)
        administrator.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(LogUnavailable):
            log.read(START)
    assert log.read(START)
    log.close()


class Interrupted:
    """A connection behind whose back all that is idle is left while it waits for a reply."""

    def __init__(self, log: Log, connection: Any) -> None:
        self._log = log
        self._connection = connection

    def read_response(self, **options: Any) -> Any:
        """Wait for the reply, meanwhile all others are left."""
        self._log.leave()
        return self._connection.read_response(**options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_leaving_does_not_close_a_connection_that_reads(own_redis: RedisServer) -> None:
    """Its reader finds out by itself; a read that is answered is no outage."""
    log = Log(Settings(redis_url=own_redis.url))
    before = [entry.cursor for entry in log.read(START)]
    log._reading = Interrupted(log, log._reading)  # noqa: SLF001 - in place of a second thread
    assert [entry.cursor for entry in log.read(START)] == before
    log.leave()
    assert log._reading is None  # noqa: SLF001
    log.close()


def test_a_log_that_is_closed_leaves_the_sentinels_too(tmp_path: Path) -> None:
    """Nothing stays open of what found the primary."""
    with (
        RedisServer(tmp_path / "primary", port=free_port()) as primary,
        SentinelServer(
            tmp_path / "sentinel", port=free_port(), master="mymaster", primary_port=primary.port
        ) as sentinel,
        Redis.from_url(sentinel.url) as administrator,
    ):
        log = Log(Settings(redis_url=f"sentinel://127.0.0.1:{sentinel.port}"))
        administrator.ping()
        assert log.hello().token
        before = len(administrator.client_list())
        log.close()
        wait_until(lambda: len(administrator.client_list()) < before, timeout_s=PATIENCE_S)
