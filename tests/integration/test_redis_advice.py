"""What is said of a Redis whose settings take a promise back, and of one that may not be asked."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dev.redis_server import RedisServer
from tests.listener import Listener
from tidings.log import MOVED, Log
from tidings.redis_advice import EVICTS, FORGETS, UNREAD_SAVES, Advice
from tidings.settings import Settings


@pytest.fixture
def log(own_redis: RedisServer) -> Iterator[Log]:
    """A log on a server of the test's own, which writes an append-only file and evicts nothing."""
    log = Log(Settings(redis_url=own_redis.url))
    yield log
    log.close()


def test_nothing_is_said_of_a_redis_as_it_should_be(log: Log) -> None:
    """Also not of a policy that has nothing to evict, or of snapshots without an append-only file."""
    assert Advice.of(log) == Advice()
    log.redis.config_set("maxmemory-policy", "allkeys-lru")
    assert Advice.of(log) == Advice()
    log.redis.config_set("appendonly", "no")
    log.redis.config_set("save", "3600 1")
    assert Advice.of(log) == Advice()


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_policy_that_evicts_is_named(log: Log, policy: str) -> None:
    """With what is to be set instead."""
    log.redis.config_set("maxmemory", "1gb")
    log.redis.config_set("maxmemory-policy", policy)
    assert Advice.of(log) == Advice(warnings=(EVICTS.format(policy=policy),))


def test_a_redis_that_writes_nothing_down_is_named(log: Log) -> None:
    """Neither an append-only file nor a snapshot."""
    log.redis.config_set("appendonly", "no")
    assert Advice.of(log) == Advice(warnings=(FORGETS,))


def test_a_host_that_forbids_config_is_asked_what_it_allows(log: Log, own_redis: RedisServer) -> None:
    """The policy is read all the same; what cannot be known is a doubt, not a warning."""
    log.redis.config_set("maxmemory", "1gb")
    log.redis.config_set("maxmemory-policy", "allkeys-lru")
    log.redis.config_set("appendonly", "no")
    log.redis.acl_setuser(
        "guest", enabled=True, passwords=["+guest"], commands=["+@all", "-config"], keys=["*"], channels=["*"]
    )
    guest = Log(Settings(redis_url=own_redis.url.replace("unix://", "unix://guest:guest@")))
    assert Advice.of(guest) == Advice(warnings=(EVICTS.format(policy="allkeys-lru"),), doubts=(UNREAD_SAVES,))
    guest.close()


class Switchboard(Listener):
    """A proxy that keeps its clients' connections and asks whichever server is behind it now.

    Leave the ``with`` to end it.
    """

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.server = server
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def serve(self, client: socket.socket) -> None:
        """Carry requests and their replies; the client waits for each reply before it asks again."""
        with client:
            while request := client.recv(1 << 20):
                with socket.socket(socket.AF_UNIX) as server:
                    server.connect(urlsplit(self.server.url).path)
                    server.sendall(request)
                    client.sendall(server.recv(1 << 20))


def test_a_proxy_that_hides_which_server_answers_is_named(
    own_redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One connection cannot reach two processes unless something stands between."""
    with (
        RedisServer(tmp_path / "other") as other,
        Switchboard(own_redis) as proxy,
        caplog.at_level(logging.WARNING, "tidings"),
    ):
        log = Log(Settings(redis_url=proxy.url))
        Advice.of(log)
        assert caplog.messages == []
        proxy.server = other
        Advice.of(log)
        proxy.server = own_redis
        Advice.of(log)
        assert caplog.messages == [f"Redis: {MOVED}"]
        log.close()


def test_a_restart_is_no_proxy(own_redis: RedisServer, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that was made anew may well lead to another process."""
    before = log.hello()
    own_redis.stop()
    own_redis.start()
    log.leave()
    assert log.hello().token != before.token
    assert caplog.messages == []
