"""The steps of one task share its bar, exactly, and it never falls."""

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_operation import KeptLog, log, operation, reporter  # noqa: F401 - fixtures
from tidings import step, track
from tidings.current import activate, deactivate
from tidings.errors import InvalidValue
from tidings.operation import Operation
from tidings.steps import Scope, weight_of

Tree = int | list["Tree"]
trees: st.SearchStrategy[Any] = st.recursive(
    st.integers(1, 9), lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=10
)


def size(tree: Any) -> int:
    """Add up what is in a tree."""
    return sum(map(size, tree)) if isinstance(tree, list) else tree


def leaves(tree: Any) -> list[int]:
    """List what is in a tree."""
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, list) else [tree]


def work(tree: list[Any], scope: Scope, seen: list[Fraction]) -> None:
    """Go through steps, each weighing what is in it, and note where the bar is behind each leaf."""
    for part in tree:
        inner = Scope("part", scope, Fraction(size(part), size(tree)))
        if isinstance(part, list):
            work(part, inner, seen)
        else:
            inner.report(1, 3)
        inner.leave(is_done=True)
        if not isinstance(part, list):
            seen.append(scope.at)


@given(st.lists(trees, min_size=1, max_size=4))
def test_the_bar_is_the_plain_sum_of_the_steps_that_are_done(tree: Any) -> None:
    """Exact at every depth: behind the last step it is the whole."""
    seen: list[Fraction] = []
    work(tree, Scope(), seen)
    sums = list(itertools.accumulate(leaves(tree)))
    assert seen == [Fraction(part, size(tree)) for part in sums]


words = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "fail", "report"]), st.floats(0, 1), st.integers(0, 12)),
    max_size=30,
)


@given(words)
def test_whatever_is_said_the_bar_rises_and_ends_at_the_whole(said: list[tuple[str, float, int]]) -> None:
    """Weights that are too much for what is left have what is left."""
    scope = Scope()
    before = 0.0
    for word, weight, current in said:
        if word == "enter":
            scope = Scope("step", scope, weight_of(weight))
        elif word == "report":
            scope.report(current, 10)
        elif scope.above:
            scope = scope.leave(is_done=word == "leave")
        assert before <= scope.shown <= 100
        before = scope.shown


def test_steps_divide_an_operation_and_name_its_status(log: KeptLog, operation: Operation) -> None:  # noqa: F811
    """What is outside steps fills what they leave."""
    token = activate(operation)
    with step("Parse", weight=0.2):
        operation.progress(1, 2)
        operation._reporter.flush(5)  # noqa: SLF001
    for _ in track([1, 2]):
        pass
    operation.complete()
    deactivate(token)
    operation._reporter.flush(5)  # noqa: SLF001
    assert log.counts == [10, 100]
    told = [(said["status"], said.get("details")) for kind, said in log.said if kind == "status"]
    assert told == [
        ("running", None), ("Parse", None), ("running", {"step": "Parse", "done": True}), ("succeeded", None)
    ]  # fmt: skip


def test_a_step_that_fails_keeps_what_it_had(log: KeptLog, operation: Operation) -> None:  # noqa: F811
    """And its error goes on."""
    with pytest.raises(KeyError), operation.step("Parse", weight=0.5):  # noqa: PT012
        operation.progress(1, 2)
        raise KeyError
    operation.error("failed", "m")
    operation._reporter.flush(5)  # noqa: SLF001
    assert log.counts == [25]


def test_a_step_without_a_weight_has_a_name_only(log: KeptLog, operation: Operation) -> None:  # noqa: F811
    """The operation counts as its author does."""
    with operation.step("Parse"):
        operation.progress(3, 7)
    operation.complete()
    operation._reporter.flush(5)  # noqa: SLF001
    assert log.counts == [3]


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan"), "half", True])
def test_a_weight_that_is_no_share_is_refused_by_name(reporter: Any, weight: Any) -> None:  # noqa: F811
    """Strict operations raise; others do without it."""
    strict = Operation("batch", reporter=reporter, strict=True).start()
    with pytest.raises(InvalidValue, match="weight"), strict.step("Parse", weight):
        pass
    lenient = Operation("batch", reporter=reporter, strict=False).start()
    with lenient.step("Parse", weight):
        lenient.progress(1, 2)
