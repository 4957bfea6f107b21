"""The delivery contract on real code and real servers, moved by Hypothesis, judged by the oracle.

A failure prints the steps that lead to it, as few as it takes, and the violations by name. In `make test` the
runs are the same each time; with ``--chaos`` there are more, and ``--seed`` decides.
"""

import time
from typing import Final, NamedTuple

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.long_run import Figure
from tests.model.machine import Machine
from tests.model.mutations import MUTATIONS, Mutation
from tests.model.servers import Servers

STEPS: Final = 80
RUNS_TO_NOTICE: Final = 150
"""Runs in which the machine must have found a rule that is off: five times what any took when measured."""


class Form(NamedTuple):
    """How much is run, and the least that comes of it."""

    runs: int
    resumes: int


SHORT: Final = Form(12, 900)
LONG: Final = Form(400, 35_000)
"""For each of the three seeds of `make chaos`."""


@pytest.fixture
def run_seed(pytestconfig: pytest.Config, *, chaos: bool) -> int:
    """What chance begins with: each long run's own; a short one is the same each time."""
    return int(pytestconfig.option.seed) if chaos else 0


def new_machine(servers: Servers, apps: list[Flask], run_seed: int) -> type[Machine]:
    """Make a machine that counts for itself."""

    @seed(run_seed)
    class Run(Machine):
        resumes = 0

    Run.servers, Run.apps = servers, apps
    return Run


def profile(runs: int, phases: tuple[Phase, ...]) -> settings:
    """Say how a machine is run."""
    return settings(
        max_examples=runs,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        report_multiple_bugs=False,
        phases=phases,
    )


@pytest.mark.timeout(1_800)
def test_nothing_is_lost_doubled_disordered_or_silent(
    servers: Servers, apps: list[Flask], run_seed: int, figure: Figure, *, chaos: bool
) -> None:
    """Whatever befalls servers, authors, web processes and browsers, every promise is kept."""
    form = LONG if chaos else SHORT
    machine = new_machine(servers, apps, run_seed)
    began = time.monotonic()
    run_state_machine_as_test(machine, settings=profile(form.runs, (Phase.generate, Phase.shrink)))
    figure("resumes", f"{machine.resumes:,} in {form.runs} runs, {time.monotonic() - began:.0f} s")
    assert machine.resumes >= form.resumes


@pytest.mark.long
@pytest.mark.parametrize(
    "mutation", [each for each in MUTATIONS if each.by_machine], ids=lambda mutation: mutation.rule
)
def test_the_machine_notices_a_rule_that_is_off(
    mutation: Mutation, servers: Servers, apps: list[Flask], run_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine finds by itself what the traces were told of."""
    mutation.switch_off(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            new_machine(servers, apps, run_seed), settings=profile(RUNS_TO_NOTICE, (Phase.generate,))
        )
