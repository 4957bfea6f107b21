"""Any faults of Redis and of the way to it, one after another, again and again: in the long form only."""

import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from tests.faults import faults
from tests.faults.arena import Arena
from tests.faults.cable import Way
from tests.faults.figures import Figures
from tests.faults.run import Run

DURATION: Final = "FAULT_MIXED_S"
"""The environment variable for how long, in seconds."""
FAULTS_IN_A_RUN: Final = 3
ANY: Final[dict[str, Callable[[Run], None]]] = {
    "killed": faults.killed,
    "killed, always": faults.killed_in_mid_write,
    "killed, nothing kept": faults.killed_without_persistence,
    "frozen": faults.frozen,
    "cut": faults.cut,
    "cut up": partial(faults.cut, way=Way.UP),
    "cut down": partial(faults.cut, way=Way.DOWN),
    "forgotten": partial(faults.cut, forget=True),
    "replies lost": faults.replies_lost,
    "subscription killed": faults.subscription_killed,
    "subscription overrun": faults.subscription_overrun,
    "memory full": faults.memory_full,
    "evicted": faults.evicted,
    "disk full": faults.disk_refuses,
    "emptied": faults.emptied,
    "SCRIPT FLUSH": faults.scripts_flushed,
    "holes": faults.holes,
}


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_nothing_is_lost_untold_whatever_comes_after_what(
    arena: Arena, seed: str, figures: list[Figures]
) -> None:
    """Each run has some faults, one after another; with the seed that the table shows it can be repeated."""
    until = time.monotonic() + float(os.environ.get(DURATION, "100"))
    for number in itertools.count():
        with Run(arena, "", f"{seed}.{number}" if number else seed, figures) as run:
            names = run.random.choices(list(ANY), k=FAULTS_IN_A_RUN)
            run.figures.fault = "mixed: " + " · ".join(names)
            for name in names:
                ANY[name](run)
        if time.monotonic() > until:
            return
        arena.forget()
