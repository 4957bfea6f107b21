"""Fixtures that all tests share: real servers, started here on free ports and ended here."""

import itertools
import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.redis_server import RedisServer
from tests.long_run import Figure
from tests.stack import Stack
from tidings.log import Log
from tidings.reporter import Reporter
from tidings.settings import Settings

_namespaces = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the long runs (`make chaos`), and of the README's pictures."""
    parser.addoption("--pictures", action="store_true", help="put the README's pictures into docs/pictures")
    parser.addoption("--chaos", action="store_true", help="the fault tests in their long form")
    parser.addoption(
        "--seed", type=int, default=None, help="what chance begins with; drawn and printed if not given"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Draw the run's seed, unless it was given."""
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(1_000_000)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the long runs have time for, and the pictures unless they are wanted."""
    asked = {"long": config.option.chaos, "pictures": config.option.pictures}
    names = [name for name, is_asked in asked.items() if not is_asked]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in names)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_report_header(config: pytest.Config) -> str:
    """Say the seed, so that a run can be had again."""
    return f"--seed {config.option.seed}"


@pytest.fixture(scope="session")
def chaos(pytestconfig: pytest.Config) -> bool:
    """Whether this is the long form of the fault tests."""
    return bool(pytestconfig.option.chaos)


@pytest.fixture
def chance(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> random.Random:
    """The chance of one test: the same for the same seed, whichever tests run beside it."""
    return random.Random(f"{pytestconfig.option.seed} {request.node.name}")  # noqa: S311 - to be repeatable


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """A way to say what was measured: at the end of a long run each figure is shown."""
    return record_property


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say the figures of a long run."""
    passed = terminalreporter.stats.get("passed", []) if config.option.chaos else []
    for report in passed:
        for what, found in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {what}: {found}")


@pytest.fixture(scope="session")
def many_descriptors() -> None:
    """Let this process have as many connections as its hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole service with two web processes and a prefork worker, for the whole run.

    On a Redis of its own: its worker would take the tasks that a file's own stack sends, and tell of them in
    its own namespace.
    """
    folder = tmp_path_factory.mktemp("stack")
    with RedisServer(folder / "redis") as redis, Stack(redis.url, folder, TIDINGS_NAMESPACE="stack") as stack:
        yield stack
