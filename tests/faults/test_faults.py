"""Every fault once, in a run of real processes: nothing lost, nothing twice, nothing silent.

With ``--chaos`` each with many seeds, and the long ones too.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from tests.faults import faults
from tests.faults.arena import Arena
from tests.faults.cable import Way
from tests.faults.figures import Figures
from tests.faults.run import Run

Fault = Callable[[Run], None]

EXACT: Final[dict[str, Fault]] = {
    "kill -9, AOF": faults.killed,
    "SIGSTOP 3 s": faults.frozen,
    "blackhole both ways": faults.cut,
    "blackhole of replies": partial(faults.cut, way=Way.DOWN),
    "connections forgotten": partial(faults.cut, forget=True),
    "replies lost": faults.replies_lost,
    "subscription killed": faults.subscription_killed,
    "subscription overrun": faults.subscription_overrun,
    "memory full, noeviction": faults.memory_full,
    "disk full": faults.disk_full,
    "save failed": faults.save_failed,
    "SCRIPT FLUSH": faults.scripts_flushed,
}
"""Those through which every stream goes on exactly."""
TOLD: Final[dict[str, Fault]] = {
    "kill -9, nothing kept": faults.killed_without_persistence,
    "FLUSHALL": faults.emptied,
    "FLUSHDB": partial(faults.emptied, command="FLUSHDB"),
}
"""Those that take the history from everybody, who must be told."""
PARTIAL: Final[dict[str, Fault]] = {
    f"evicted, {policy}": partial(faults.evicted, policy=policy)
    for policy in ("allkeys-lru", "volatile-ttl", "allkeys-random")
}
"""Those that take something from somebody, who must be told."""


@pytest.mark.parametrize("name", EXACT)
def test_nothing_is_lost_and_nobody_is_reset(
    arena: Arena, seed: str, figures: list[Figures], name: str
) -> None:
    """Every event comes to every browser once, in order, across the fault."""
    with Run(arena, name, seed, figures) as run:
        EXACT[name](run)
    assert run.figures.resets == 0


@pytest.mark.parametrize("name", TOLD)
def test_lost_history_is_told_to_everybody(
    arena: Arena, seed: str, figures: list[Figures], name: str
) -> None:
    """Every browser is told that its history is gone, and misses nothing from the state that follows."""
    with Run(arena, name, seed, figures) as run:
        TOLD[name](run)
    assert all(verdict.resets for verdict in run.verdicts)


@pytest.mark.parametrize("name", PARTIAL)
def test_what_is_taken_is_told(arena: Arena, seed: str, figures: list[Figures], name: str) -> None:
    """Whatever Redis throws out, who misses something is told, and nothing comes twice."""
    with Run(arena, name, seed, figures) as run:
        PARTIAL[name](run)
