"""Every fault once, in a run of real processes: nothing lost, nothing twice, nothing silent.

In the long form (``--chaos``) each with several seeds, and further ones.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from tests.faults import faults, netns
from tests.faults.arena import Arena
from tests.faults.cable import Way
from tests.faults.figures import Figures
from tests.faults.run import Run

Fault = Callable[[Run], None]

EXACT: Final[dict[str, Fault]] = {
    "kill -9, AOF everysec": faults.killed,
    "SIGSTOP 3 s": faults.frozen,
    "replies swallowed on the way": partial(faults.cut, way=Way.DOWN),
    "replies lost, connection cut": faults.replies_lost,
    "subscription killed": faults.subscription_killed,
    "subscription overrun": faults.subscription_overrun,
    "memory full, noeviction": faults.memory_full,
    "disk full": faults.disk_refuses,
    "SCRIPT FLUSH": faults.scripts_flushed,
}
"""Those through which every stream goes on exactly."""
LONG: Final[dict[str, Fault]] = {
    "kill -9, AOF always": faults.killed_in_mid_write,
    "SIGSTOP 20 s": partial(faults.frozen, duration_s=20.0),
    "nothing comes through": faults.cut,
    "connections forgotten": partial(faults.cut, forget=True),
    "subscription killed 100 times": partial(faults.subscription_killed, kills=100),
    "save failed": faults.save_failed,
}
"""Further ones, for the long form."""
TOLD: Final[dict[str, Fault]] = {
    "kill -9, nothing kept": faults.killed_without_persistence,
    "FLUSHALL, FLUSHDB": faults.emptied,
}
"""Those that take the history from everybody, who must be told."""
EVICTIONS: Final = "memory full, evictions"


def _long(name: str) -> bool:
    """Tell whether a further fault is left to the long form.

    Where the kernel's own cable cannot be pulled (test_far_redis.py), the relay's stands in for it.
    """
    return name != "nothing comes through" or netns.why_not() is None


@pytest.mark.parametrize(
    "name", [*EXACT, *(pytest.param(name, marks=pytest.mark.long if _long(name) else ()) for name in LONG)]
)
def test_nothing_is_lost_and_nobody_is_reset(
    arena: Arena, seed: str, figures: list[Figures], name: str
) -> None:
    """Every event comes to every browser once, in order, across the fault."""
    with Run(arena, name, seed, figures) as run:
        (EXACT | LONG)[name](run)
    assert run.figures.resets == 0


@pytest.mark.parametrize("name", TOLD)
def test_lost_history_is_told_to_everybody(
    arena: Arena, seed: str, figures: list[Figures], name: str
) -> None:
    """Every browser is told that its history is gone, and misses nothing from the state that follows."""
    with Run(arena, name, seed, figures) as run:
        TOLD[name](run)
    assert all(verdict.resets for verdict in run.verdicts)


def test_what_is_evicted_is_told(arena: Arena, seed: str, figures: list[Figures]) -> None:
    """Whatever Redis throws out, who misses something is told, and nothing comes twice."""
    with Run(arena, EVICTIONS, seed, figures) as run:
        faults.evicted(run)
