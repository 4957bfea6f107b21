"""The live signal on a Redis that is in trouble."""

from redis import Redis
from redis.exceptions import ResponseError

from dev.redis_server import RedisServer
from tests.waiting import wait_until
from tidings.log import Log
from tidings.settings import Settings
from webapp.wakeups import Wakeups

WAIT_S = 60.0


def test_redis_that_cannot_write_is_not_taken_for_dead(own_redis: RedisServer) -> None:
    """It answers even PING with an error then; the subscription to it lives, and wakes as ever."""
    log = Log(Settings(redis_url=own_redis.url, namespace="disk"))
    with Redis.from_url(own_redis.url) as redis, Wakeups(log) as wakeups:
        (own_redis.folder / "dump.rdb").mkdir()  # where the snapshot is to go
        redis.config_set("save", "3600 1")
        redis.bgsave()
        wait_until(lambda: _refuses(redis), timeout_s=WAIT_S)
        assert not wakeups.wait()  # it has sent a PING at the end
        wakeups.wait()  # and takes the answer
        redis.publish(log.channel, "1-1")
        assert wakeups.wait()
        redis.config_set("save", "")  # or it will not stop
    log.close()


def test_what_others_publish_is_counted_and_survived(log: Log) -> None:
    """A word, megabytes: each wakes, like anything, and what follows of ours is heard."""
    found: list[int] = []
    with Wakeups(log, lambda: found.append(1)) as wakeups:
        log.redis.publish(log.channel, "hello")
        assert wakeups.wait()
        log.redis.publish(log.channel, "1-0")
        assert wakeups.wait()
        log.redis.publish(log.channel, b"\0\r\n" * 1_000_000)
        log.redis.publish(log.channel, "1-1")
        while wakeups.wait():
            pass
        assert len(found) == 2
        log.redis.publish(log.channel, "1-2")
        assert wakeups.wait()
        assert len(found) == 2


def _refuses(redis: Redis) -> bool:
    try:
        return not redis.ping()
    except ResponseError:
        return True
