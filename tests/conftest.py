"""Fixtures that all tests share: real servers, started here on free ports and ended here."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.redis_server import RedisServer
from tests.stack import Stack
from tidings.log import Log
from tidings.reporter import Reporter
from tidings.settings import Settings

_namespaces = itertools.count(1)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the whole run; tests keep apart by namespace, and harm none of its keys but theirs."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for one test, to kill, freeze and flush."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def settings(redis_server: RedisServer) -> Settings:
    """Settings of a namespace of the test's own."""
    return Settings(redis_url=redis_server.url, namespace=f"test{next(_namespaces)}")


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    """An empty log."""
    log = Log(settings)
    yield log
    log.close()


@pytest.fixture
def reporter(log: Log) -> Iterator[Reporter]:
    """A reporter into that log, whose throttle lets 10 reports a second through."""
    reporter = Reporter(log, buffer_records=1_000, interval_s=0.1)
    yield reporter
    reporter.flush(5)


@pytest.fixture(scope="session")
def stack(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole service with two web processes and a prefork worker, for the whole run."""
    with Stack(redis_server.url, tmp_path_factory.mktemp("stack"), TIDINGS_NAMESPACE="stack") as stack:
        yield stack
