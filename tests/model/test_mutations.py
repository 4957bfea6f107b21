"""The proof proved: with any rule of the protocol off, a named test fails."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration import test_leases
from tests.model import test_traces
from tests.model.mutations import BY_THE_TIME_OF_DAY, MUTATIONS, THROUGH_A_BREAK, Mutation
from tests.model.world import World
from tests.unit import test_vigil
from tidings.log import Log


def trace(mutation: Mutation) -> Callable[..., Any]:
    """Give the test that must notice a mutation."""
    found: Callable[..., Any] = getattr(test_traces, mutation.trace)
    return found


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.rule)
def test_a_rule_that_is_off_is_noticed(
    mutation: Mutation, make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The named test fails, by what it asserts, once the rule is off; it passes with the rule."""
    run = trace(mutation)
    assert set(inspect.signature(run).parameters) == {"world", *mutation.arguments}
    run(make_world(), **mutation.arguments)
    mutation.switch_off(monkeypatch)
    with pytest.raises(AssertionError):
        run(make_world(), **mutation.arguments)


def test_leases_by_the_time_of_day_are_noticed(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set forward makes the living lost then."""
    BY_THE_TIME_OF_DAY(monkeypatch)
    contact = test_leases.TestContact()
    with pytest.raises(AssertionError):
        contact.test_a_clock_that_is_set_forward_makes_nobody_lost(log, test_leases.Worker(log), monkeypatch)


def test_leases_that_go_on_through_a_break_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage, or a pause of the web process, makes the living lost then."""
    THROUGH_A_BREAK(monkeypatch)
    with pytest.raises(AssertionError):
        test_vigil.test_a_break_in_the_watch_starts_every_count_anew(test_vigil.Watcher(), gap_s=60.0)
