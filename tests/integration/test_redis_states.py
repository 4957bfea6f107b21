"""What a Redis that accepts connections can answer instead of doing as asked, and what becomes of it.

Each state is a real one of a real server, brought about and undone. A state either keeps us from reading, and
then the log is away, or from writing only, and then events wait; in both nothing is lost and nothing doubled.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError

from dev.port import free_port
from dev.redis_server import RedisServer
from tests.waiting import wait_until
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.log import Log
from tidings.operation import Operation
from tidings.record import Record
from tidings.reporter import Reporter
from tidings.settings import Settings
from tidings.writer import Writer

PATIENCE_S: Final = 30.0
LOADED_KEYS: Final = 400
DELAY_US: Final = 2_000


class State(NamedTuple):
    """How to bring a state about through an administrator's connection, and how to undo it."""

    enter: Callable[[Redis], Any]
    leave: Callable[[Redis], Any]
    says: str
    reads: bool
    """Whether the log can still be read."""


def loop_for_ever(redis: Redis) -> None:
    """Occupy the server with a script, from another connection."""
    redis.config_set("busy-reply-threshold", 1)
    looping = Redis(unix_socket_path=redis.connection_pool.connection_kwargs["path"])

    def loop() -> None:
        with looping:
            try:
                looping.eval("while true do end", 0)
            except RedisError:
                return  # it was killed

    threading.Thread(target=loop, daemon=True).start()
    wait_until(lambda: _is_busy(redis), timeout_s=PATIENCE_S)


def _is_busy(redis: Redis) -> bool:
    try:
        redis.ping()
    except RedisError as error:
        return "BUSY" in str(error)
    return False


def follow(redis: Redis, *, stale: bool) -> None:
    """Make the server the replica of one that is not there."""
    redis.config_set("replica-serve-stale-data", "yes" if stale else "no")
    redis.replicaof("127.0.0.1", 1)


def stop_following(redis: Redis) -> None:
    """Make the server a primary again."""
    redis.replicaof("NO", "ONE")


def fail_to_save(redis: Redis) -> None:
    """Have a background save end by a signal, with save points set."""
    redis.config_set("save", "3600 1")
    redis.config_set("rdb-key-save-delay", 10_000_000)
    redis.set("key", "value")
    redis.bgsave()
    for child in Path(f"/proc/{redis.info('server')['process_id']}").glob("task/*/children"):
        for pid in child.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", timeout_s=PATIENCE_S)


def ask_for_a_password(redis: Redis) -> None:
    """Let nobody in who does not know it; whoever is in stays, so they are sent away."""
    redis.config_set("requirepass", "secret")
    redis.client_kill_filter(_type="normal", skipme=True)


def set_(name: str, value: object) -> Callable[[Redis], Any]:
    """Make a step that sets a parameter of the server."""
    return lambda redis: redis.config_set(name, str(value))


STATES: Final = {
    "BUSY": State(loop_for_ever, lambda redis: redis.script_kill(), "BUSY", reads=False),
    "READONLY": State(
        lambda redis: follow(redis, stale=True),
        stop_following,
        "no primary: this server is a replica",
        reads=False,
    ),
    "MASTERDOWN": State(
        lambda redis: follow(redis, stale=False),
        stop_following,
        "Link with MASTER is down",
        reads=False,
    ),
    "NOAUTH": State(ask_for_a_password, set_("requirepass", ""), "Authentication required", reads=False),
    "NOREPLICAS": State(
        set_("min-replicas-to-write", 1), set_("min-replicas-to-write", 0), "NOREPLICAS", reads=True
    ),
    "OOM": State(set_("maxmemory", 1), set_("maxmemory", 0), "OOM", reads=True),
    "MISCONF": State(fail_to_save, set_("save", ""), "MISCONF", reads=True),
}


@pytest.fixture
def log(own_redis: RedisServer) -> Iterator[Log]:
    """A log on a server of the test's own."""
    log = Log(Settings(redis_url=own_redis.url))
    yield log
    log.close()


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_state_delays_what_is_said_and_loses_nothing(
    own_redis: RedisServer, log: Log, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading says why it fails; writing too, at once; the reporter says it once, and goes on behind it."""
    reporter = Reporter(log, buffer_records=1_000, interval_s=0.1)
    operation = Operation("batch", "op", reporter=reporter, strict=False).start()
    assert reporter.flush(PATIENCE_S)
    with Redis.from_url(own_redis.url) as administrator:
        administrator.ping()
        state.enter(administrator)
        if state.reads:
            log.hello()
        else:
            with pytest.raises(LogUnavailable, match=state.says):
                log.hello()
        with pytest.raises(LogUnavailable, match=state.says):
            Writer(log).append(Record.beginning(Descriptor.of("other", "batch"), "me.1", 1))
        for n in range(3):
            operation.warning(f"w{n}", "m")
        assert not reporter.flush(0.2)
        state.leave(administrator)
        operation.complete()
        assert reporter.flush(PATIENCE_S)
    entries = [entry for entry in log.read(Cursor(0, 0)) if entry.operation_id == "op"]
    assert [entry.type for entry in entries] == ["status", *["warning"] * 3, "status", "complete"]
    assert len([line for line in caplog.messages if state.says in line]) == 1


class LoadingServer(RedisServer):
    """A server that counts as started while it still reads its data, slowly."""

    def _answers(self) -> bool:
        with Redis.from_url(self.url) as client:
            try:
                client.ping()
            except BusyLoadingError:
                return True
            except RedisError:
                return False
        return True


def test_a_server_that_loads_its_data_is_waited_for(tmp_path: Path) -> None:
    """LOADING is an outage like another, and what was said meanwhile is there when it ends."""
    slow = {"--key-load-delay": str(DELAY_US), "--loading-process-events-interval-bytes": "1024"}
    with LoadingServer(tmp_path / "redis", persist=False, options=slow) as server:
        log = Log(Settings(redis_url=server.url))
        reporter = Reporter(log, buffer_records=1_000, interval_s=0.1)
        operation = Operation("batch", "op", reporter=reporter, strict=False).start()
        assert reporter.flush(PATIENCE_S)
        log.redis.mset({f"key{n}": "value" * 20 for n in range(LOADED_KEYS)})
        log.redis.save()
        server.kill()
        server.start()
        with pytest.raises(LogUnavailable, match="loading"):
            log.hello()
        operation.complete()
        assert reporter.flush(PATIENCE_S)
        assert [entry.type for entry in log.read(Cursor(0, 0))][-2:] == ["status", "complete"]
        log.close()


def test_a_server_that_was_a_replica_in_between_opens_an_era(own_redis: RedisServer, log: Log) -> None:
    """What it has now is its former primary's copy, which may be less, even if nobody spoke to that one."""
    before = log.hello()
    with Redis.from_url(own_redis.url) as administrator:
        follow(administrator, stale=True)
        stop_following(administrator)
    after = log.hello()
    assert after.token != before.token
    (entry,) = log.read(before.position)
    assert entry.cursor == after.position
    assert entry.follows(before.position)


def test_an_append_leaves_a_demoted_server(own_redis: RedisServer, log: Log) -> None:
    """The connection is closed, though the server would keep it, so that the next one may lead elsewhere."""
    writer = Writer(log)
    writer.append(Record.beginning(Descriptor.of("op", "batch"), "me.1", 1))
    with Redis.from_url(own_redis.url) as administrator:
        follow(administrator, stale=True)
        others = len(administrator.client_list(_type="normal"))
        with pytest.raises(LogUnavailable, match="no primary"):
            log.append("me", 1, [Record.beginning(Descriptor.of("op2", "batch"), "me.2", 1)])
        wait_until(lambda: len(administrator.client_list(_type="normal")) == others - 1, timeout_s=PATIENCE_S)


@pytest.mark.parametrize("key", ["log", "meta"])
def test_a_key_that_somebody_else_wrote_is_made_anew(log: Log, key: str) -> None:
    """Without a web process to notice it, a reporter heals the log itself, in a history of its own."""
    reporter = Reporter(log, buffer_records=1_000, interval_s=0.1)
    operation = Operation("batch", "op", reporter=reporter, strict=False).start()
    assert reporter.flush(PATIENCE_S)
    log.redis.set(log.key(key), "foreign")
    operation.warning("c", "m")
    assert reporter.flush(PATIENCE_S)
    entries = log.read(Cursor(0, 0))
    assert entries[0].previous is None
    assert [entry.type for entry in entries][-1] == "warning"


def test_tries_that_fail_leave_nothing_behind() -> None:
    """However long no Sentinel answers, the pool keeps the one connection that it tries with."""
    log = Log(Settings(redis_url=f"sentinel://127.0.0.1:{free_port()}"), connections=3)
    for _ in range(20):
        with pytest.raises(LogUnavailable, match="No master found"):
            log.hello()
    made = log._pool._connections  # noqa: SLF001 - what redis-py would let grow
    assert len(made) <= 3
