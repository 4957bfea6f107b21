"""Any faults in any order, again and again, for half an hour: with ``--chaos`` only."""

import itertools
import os
import time
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
ANY: Final = [
    faults.killed,
    faults.killed_in_mid_write,
    faults.killed_without_persistence,
    faults.frozen,
    faults.cut,
    partial(faults.cut, way=Way.UP),
    partial(faults.cut, way=Way.DOWN),
    partial(faults.cut, forget=True),
    faults.replies_lost,
    faults.subscription_killed,
    faults.subscription_overrun,
    faults.memory_full,
    faults.evicted,
    faults.disk_refuses,
    faults.emptied,
    faults.scripts_flushed,
    faults.holes,
]


@pytest.mark.timeout(7_200)
def test_nothing_is_lost_untold_whatever_comes_after_what(
    arena: Arena, seed: str, figures: list[Figures], pytestconfig: pytest.Config
) -> None:
    """Each run has some faults, one after another; with the seed that the table shows it can be repeated."""
    if not pytestconfig.getoption("chaos"):
        pytest.skip("takes half an hour: make chaos")
    until = time.monotonic() + float(os.environ.get(DURATION, "1800"))
    for number in itertools.count():
        with Run(arena, "mixed", f"{seed}.{number}" if number else seed, figures) as run:
            for fault in run.random.choices(ANY, k=FAULTS_IN_A_RUN):
                fault(run)
        if time.monotonic() > until:
            return
        arena.forget()
