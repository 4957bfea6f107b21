"""Fixtures of the fault tests: the arena, seeds, and the table of what was measured."""

import os
import secrets
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
"""The environment variable that has a run repeated: the seed that it printed."""
SEEDS: Final = "FAULT_SEEDS"
"""The one that says how many seeds ``--chaos`` tries of each fault."""
FIGURES: Final = "FAULT_FIGURES"
"""The one that names a file for the figures as JSON."""

_ROWS = pytest.StashKey[list[Figures]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no figures."""
    config.stash[_ROWS] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each fault one seed, or many with ``--chaos``."""
    if "seed" in metafunc.fixturenames:
        count = int(os.environ.get(SEEDS, "10")) if metafunc.config.getoption("chaos") else 1
        given = os.environ.get(SEED)
        seeds = [given] if given else [secrets.token_hex(4) for _ in range(count)]
        metafunc.parametrize("seed", seeds, ids=[f"seed{n}" for n in range(len(seeds))])


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


@pytest.fixture
def one_seed() -> str:
    """One seed, for what goes on from there by itself."""
    return os.environ.get(SEED) or secrets.token_hex(4)
