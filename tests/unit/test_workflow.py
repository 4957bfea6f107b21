"""The bar of a workflow is the weighted mean of its leaves, whatever they say and in whatever order."""

import sys
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.errors import InvalidValue
from tidings.workflow import (
    COUNTED,
    OVER,
    STALE,
    UNITS,
    UNKNOWN,
    Branch,
    Change,
    Leaf,
    Part,
    Workflow,
    portion,
)

Shape = float | list["Shape"]
"""A plan without places: a leaf's weight, or what a branch is made of."""

weights = st.one_of(st.integers(0, 20), st.floats(0, 20).map(lambda weight: round(weight, 6)))
shapes: st.SearchStrategy[Any] = st.recursive(
    weights, lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=8
)
actions = st.lists(
    st.tuples(
        st.sampled_from(["begin", "report", "report", "report", "succeed", "fail", "join", "join"]),
        st.integers(0, 1_000),  # which place
        st.integers(1, 3),  # attempt
        st.integers(0, 12),  # current, of 10
        shapes,
    ),
    max_size=40,
)


def planted(shape: Any, places: "count[int]") -> Part:
    """Give each part of a shape a place of its own."""
    place = f"p{next(places)}"
    if isinstance(shape, list):
        return Branch(place, tuple(planted(part, places) for part in shape))
    return Leaf(place, shape)


def weight_of(shape: Any) -> Fraction:
    """Add up the weights in a shape."""
    return sum(map(weight_of, shape), Fraction(0)) if isinstance(shape, list) else Fraction(shape)


@dataclass
class Plain:
    """The same tree without arithmetic: each task with its own share, and a sum that walks over all of it."""

    place: str
    share: Fraction = Fraction(0)
    part: Fraction = Fraction(0)
    attempt: int = 0
    is_task: bool = True
    is_over: bool = False
    parts: list["Plain"] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Part, scale: Fraction) -> "Plain":
        """Take a plan, its weights times *scale*."""
        if isinstance(plan, Leaf):
            return cls(plan.place, Fraction(plan.weight) * scale)
        return cls(plan.place, is_task=False, parts=[cls.of(part, scale) for part in plan.parts])

    def sum(self) -> Fraction:
        """Add up all that is done from here down."""
        return self.share * self.part + sum((part.sum() for part in self.parts), Fraction(0))

    def path(self, place: str) -> list["Plain"]:
        """Find what stands at a place, and all above it."""
        if self.place == place:
            return [self]
        for part in self.parts:
            if below := part.path(place):
                return [self, *below]
        return []

    def hear(self, said: "Said", weight: Fraction) -> None:
        """Take what one leaf says; *weight* is that of the plan that it may want to join."""
        action, attempt, part = said.action, said.attempt, min(Fraction(said.current, 10), Fraction(1))
        path = self.path(said.place)
        if not path or not path[-1].is_task or any(node.is_over for node in path):
            return
        node = path[-1]
        if action == "succeed":
            node.attempt, node.part, node.parts, node.is_over = (
                max(attempt, node.attempt),
                Fraction(1),
                [],
                True,
            )
            return
        if attempt < node.attempt:
            return
        if attempt > node.attempt:
            node.attempt, node.part, node.parts = attempt, Fraction(0), []
        if action == "fail":
            node.is_over = True
        elif action == "report" and not node.parts:
            node.part = max(node.part, part)
        elif action == "join" and not node.parts:
            node.parts = [Plain.of(said.plan, node.share * (1 - node.part) / weight)]


class Said(NamedTuple):
    """One call of a workflow."""

    action: str
    place: str
    attempt: int
    current: int
    plan: Part

    def to(self, workflow: Workflow) -> Change:
        """Make the call."""
        match self.action:
            case "report":
                return workflow.report(self.place, self.attempt, self.current, 10)
            case "join":
                return workflow.join(self.place, self.attempt, self.plan)
            case _:
                change: Change = getattr(workflow, self.action)(self.place, self.attempt)
                return change


@given(shapes.filter(lambda shape: weight_of(shape) > 0), actions)
@settings(max_examples=80, deadline=None)
def test_the_bar_is_the_plain_recursive_sum(shape: Any, actions_said: list[Any]) -> None:
    """After every report, in any order, from any attempt, the bar is the sum over the leaves."""
    places = count()
    plan = planted(shape, places)
    workflow, plain, known = Workflow(plan), Plain.of(plan, Fraction(1)), next(places)
    joined = 0
    for action, which, attempt, current, late in actions_said:
        if action == "join" and not weight_of(late):
            continue
        said = Said(action, f"p{which % known}", attempt, current, planted(late, places))
        before = workflow.done
        change = said.to(workflow)
        plain.hear(said, weight_of(late))
        joined += action == "join"
        known = next(places)
        # A leaf is rounded down to a unit, and what joins shares out whole ones.
        assert abs(workflow.done - plain.sum() * UNITS) <= known + joined
        assert workflow.done == before + change.moved
        assert change.moved >= -change.gave_back
        assert 0 <= workflow.done <= workflow.units
        assert change.outcome == COUNTED or change == Change(change.outcome)


@given(shapes.filter(lambda shape: weight_of(shape) > 0), shapes.filter(lambda shape: weight_of(shape) > 0))
@settings(max_examples=30, deadline=None)
def test_all_that_succeeds_is_exactly_the_whole(shape: Any, late: Any) -> None:
    """When every leaf has succeeded, late ones too, the bar is at exactly 100 %."""
    places = count()
    workflow = Workflow(planted(shape, places))
    planned = next(places)
    for index in range(planned):
        workflow.report(f"p{index}", 1, 1, 3)
        workflow.join(f"p{index}", 1, planted(late, places))
    for index in range(planned, next(places)):
        workflow.succeed(f"p{index}", 1)
    assert workflow.mean == 1


def test_the_mean_is_weighted_by_leaf() -> None:
    """A leaf of weight 3 moves the bar three times as far, however deep it stands."""
    workflow = Workflow(Branch("w", (Leaf("light"), Branch("group", (Leaf("heavy", 3),)))))
    assert workflow.report("heavy", 1, 1, 2) == Change(COUNTED, 1_500_000)
    assert workflow.mean == Fraction(3, 8)
    assert workflow.done_at("group") == Fraction(1, 2)


def test_a_retry_gives_back_what_it_had_and_says_so() -> None:
    """A later attempt's first word takes away what the earlier one had done; the earlier one is stale."""
    workflow = Workflow(Branch("w", (Leaf("a"), Leaf("b"))))
    workflow.report("a", 1, 8, 10)
    assert workflow.begin("a", 2) == Change(COUNTED, -800_000, 800_000)
    assert workflow.report("a", 1, 9, 10) == Change(STALE)
    assert workflow.report("a", 3, 1, 10) == Change(COUNTED, 100_000)
    assert workflow.succeed("a", 1) == Change(COUNTED, 900_000)  # its result is stored, whoever runs now
    assert workflow.begin("a", 4) == Change(OVER)


def test_a_retry_gives_back_its_replacement_too() -> None:
    """What replaced a task in one attempt is unknown in the next."""
    workflow = Workflow(Leaf("host"))
    workflow.report("host", 1, 1, 2)
    assert workflow.join("host", 1, Branch("r", (Leaf("x"), Leaf("y")))) == Change(COUNTED)
    workflow.succeed("x", 1)
    assert workflow.mean == Fraction(3, 4)
    assert workflow.begin("host", 2) == Change(COUNTED, -750_000, 750_000)
    assert workflow.report("y", 1, 1, 2) == Change(UNKNOWN)
    assert workflow.join("host", 2, Branch("r", (Leaf("x"), Leaf("y")))) == Change(COUNTED)


def test_a_replaced_task_says_no_more() -> None:
    """What a task still reports after it was replaced counts nothing: others do that work."""
    workflow = Workflow(Leaf("host"))
    workflow.join("host", 1, Leaf("late"))
    assert workflow.report("host", 1, 1, 2) == Change(STALE)
    assert workflow.mean == 0


def test_a_repeated_word_counts_once() -> None:
    """The same report, join or end a second time moves nothing."""
    workflow = Workflow(Branch("w", (Leaf("a"), Leaf("b"))))
    workflow.report("a", 1, 1, 2)
    assert workflow.report("a", 1, 1, 2) == Change(COUNTED)
    workflow.join("a", 1, Leaf("late"))
    assert workflow.join("a", 1, Leaf("late")) == Change(COUNTED)
    workflow.succeed("b", 1)
    assert workflow.succeed("b", 1) == Change(OVER)
    assert workflow.mean == Fraction(3, 4)


def test_a_failed_leaf_keeps_what_it_had() -> None:
    """Failure leaves the bar where it is; what it was replaced by is not heard any more."""
    workflow = Workflow(Branch("w", (Leaf("a"), Leaf("b"))))
    workflow.report("a", 1, 1, 2)
    workflow.join("a", 1, Leaf("late"))
    assert workflow.fail("a", 1) == Change(COUNTED)
    assert workflow.report("late", 1, 1, 1) == Change(OVER)
    assert workflow.mean == Fraction(1, 4)


def test_an_unknown_total_moves_nothing() -> None:
    """Without a total there is no fraction to count."""
    assert portion(5, None) == portion(5, 0) == 0
    assert portion(12, 10) == 1


@pytest.mark.parametrize("weight", [-1, -0.5, float("nan"), float("inf"), "3", None, True])
def test_a_weight_that_is_none_is_refused_by_name(weight: Any) -> None:
    """A negative weight, or one that is no number, is refused by name, in a plan and in what joins it."""
    with pytest.raises(InvalidValue, match=r"^weight must be a .*number of at least 0") as refused:
        Workflow(Branch("w", (Leaf("a"), Leaf("b", weight))))
    assert refused.value.field == "weight"
    workflow = Workflow(Leaf("a"))
    with pytest.raises(InvalidValue, match=r"^weight must be"):
        workflow.join("a", 1, Leaf("b", weight))


@pytest.mark.parametrize("plan", [Leaf("a", 0), Branch("w", ()), Branch("w", (Leaf("a", 0), Leaf("b", 0.0)))])
def test_weights_that_sum_to_zero_are_refused_by_name(plan: Part) -> None:
    """Without any weight there is no mean, in a plan as in what joins it."""
    with pytest.raises(InvalidValue, match=r"^weights must be weights of which at least one is above 0"):
        Workflow(plan)
    workflow = Workflow(Leaf("host"))
    with pytest.raises(InvalidValue, match=r"^weights must be"):
        workflow.join("host", 2, plan)
    assert workflow.report("host", 1, 1, 2) == Change(COUNTED, 500_000)


def test_weights_beyond_what_is_exact_are_refused() -> None:
    """All units together stay where doubles are exact, and no weight gets lost in rounding."""
    with pytest.raises(InvalidValue, match=r"^weights must be at most 9007199254 together"):
        Workflow(Branch("w", (Leaf("a", 9e9), Leaf("b", 1e9))))
    with pytest.raises(InvalidValue, match=r"^weights must be 0, or from 0\.000001"):
        Workflow(Leaf("a", 1e-9))


def test_a_place_is_used_once() -> None:
    """Two parts with one place are refused, and then nothing has changed."""
    with pytest.raises(InvalidValue, match=r"^place must be used once in a workflow, not 'a'"):
        Workflow(Branch("w", (Leaf("a"), Leaf("a"))))
    workflow = Workflow(Branch("w", (Leaf("a"), Leaf("b"))))
    workflow.report("a", 1, 1, 2)
    with pytest.raises(InvalidValue, match=r"^place must be used once"):
        workflow.join("a", 2, Leaf("b"))
    assert workflow.mean == Fraction(1, 4)


@pytest.mark.parametrize(
    ("current", "total", "field"),
    [(-1, 2, "current"), (float("nan"), 2, "current"), (1, -2, "total"), (1, float("inf"), "total")],
)
def test_a_report_that_is_no_number_is_refused_by_name(current: float, total: float, field: str) -> None:
    """Negative and unbounded numbers are refused, naming which of the two it was."""
    with pytest.raises(InvalidValue, match=f"^{field} must be a finite number of at least 0"):
        portion(current, total)


def test_a_report_costs_its_depth() -> None:
    """A report makes as many calls in a group of 10,000 as in a group of 10."""
    assert calls_of_a_report(10_000) == calls_of_a_report(10)


def calls_of_a_report(leaves: int) -> int:
    """Count the calls, Python's and C's, that one report makes in a group."""
    workflow = Workflow(Branch("w", tuple(Leaf(f"l{index}") for index in range(leaves))))
    calls = count()
    sys.setprofile(lambda *_: next(calls))
    try:
        workflow.report("l5", 1, 1, 2)
    finally:
        sys.setprofile(None)
    return next(calls)
