"""Fixtures of the fault tests: the arena, seeds, and the table of what was measured."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from dev.redis_server import RedisServer
from tests.faults.arena import Arena
from tests.faults.figures import Figures, table, write
from tests.faults.tmpfs import small_disk

SEED: Final = "FAULT_SEED"
"""The environment variable that has one run repeated: the seed that the table shows."""
SEEDS: Final = 3
"""Runs of each fault in the long form, for each ``--seed``."""
FIGURES: Final = "FAULT_FIGURES"
"""The environment variable that names a file for the figures, as JSON."""

_ROWS = pytest.StashKey[list[Figures]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no figures."""
    config.stash[_ROWS] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each fault one seed, or some in the long form."""
    if "seed" in metafunc.fixturenames:
        options = metafunc.config.option
        numbers = range(SEEDS if options.chaos else 1)
        seeds = [os.environ.get(SEED) or f"{options.seed}.{number}" for number in numbers]
        metafunc.parametrize("seed", seeds, ids=[f"seed{number}" for number in numbers])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was measured."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section("faults: what they cost")
    for line in table(rows):
        terminalreporter.write_line(line)
    if path := os.environ.get(FIGURES):
        write(rows, Path(path))


class Grounds:
    """The arena that tests share; a new one after a run that did not come to its end."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._arena: Arena | None = None
        self._opened = ExitStack()

    def arena(self) -> Arena:
        """Give an arena in which all is well."""
        if self._arena is not None and self._arena.spoiled:
            self.close()
        if self._arena is None:
            folder = self._factory.mktemp("arena")
            self._opened.enter_context(small_disk(folder / "redis"))
            self._arena = self._opened.enter_context(Arena(folder, RedisServer(folder / "redis")))
        return self._arena

    def close(self) -> None:
        """End the arena, if there is one."""
        self._arena = None
        self._opened.close()


@pytest.fixture(scope="session")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    """What keeps the arena between tests."""
    grounds = Grounds(tmp_path_factory)
    yield grounds
    grounds.close()


@pytest.fixture
def arena(grounds: Grounds) -> Arena:
    """A Redis, a service and authors, of which the test may break what it heals again."""
    return grounds.arena()


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> list[Figures]:
    """The rows of the table at the end."""
    return pytestconfig.stash[_ROWS]
