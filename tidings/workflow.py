"""The tree of a workflow, and the one bar that its leaves make.

Beside the flow: takes a plan (what will run, and what weighs how much) and what leaves report,
gives how far the whole is. The bar is the weighted mean of the leaves, in whole units: it
never passes the whole, and falls only where a later attempt gives back what an earlier one
had (docs/adr/0008). Pure; it does not say when a workflow ends.
"""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple

from tidings.errors import InvalidValue

UNITS: Final = 1_000_000
"""What a leaf of weight 1 is divided into: weights count to a millionth."""
MAX_UNITS: Final = 2**53
"""Of a whole workflow: Redis' Lua adds in doubles, which are exact up to here."""

COUNTED: Final = "counted"
STALE: Final = "stale"
"""A later attempt has begun, or the task has been replaced."""
OVER: Final = "over"
"""The leaf, or what it replaces a part of, has ended."""
UNKNOWN: Final = "unknown"
"""No leaf has this place, or none any more: the attempt that it belonged to was given up."""


class Leaf(NamedTuple):
    """One task of a plan: a place unlike every other in the workflow, and a weight (0: not in the bar)."""

    place: str
    weight: float = 1


class Branch(NamedTuple):
    """What several parts of a plan make together: it weighs what they weigh."""

    place: str
    parts: tuple["Part", ...]


Part = Leaf | Branch


class Change(NamedTuple):
    """What became of a report: the units that the bar moved by, and those that an attempt gave back."""

    outcome: str
    moved: int = 0
    gave_back: int = 0


class _Node:
    """One place: what it is worth, how much of it is done, and for a task which attempt is at it."""

    __slots__ = ("above", "attempt", "done", "is_over", "is_task", "parts", "place", "units")

    def __init__(self, place: str, above: "_Node | None", *, is_task: bool) -> None:
        self.place = place
        self.above = above
        self.is_task = is_task
        self.units = self.done = self.attempt = 0
        self.is_over = False
        self.parts: list[_Node] = []

    def upwards(self) -> Iterator["_Node"]:
        """Give this place and all above it."""
        node: _Node | None = self
        while node is not None:
            yield node
            node = node.above

    def below(self) -> Iterator["_Node"]:
        """Give all places below this one."""
        for part in self.parts:
            yield part
            yield from part.below()

    def add(self, units: int) -> int:
        """Count *units* here and above: one step per level. Returns them."""
        if units:
            for node in self.upwards():
                node.done += units
        return units


class Workflow:
    """The tree of one workflow and what is done of it; for one thread at a time."""

    def __init__(self, plan: Part) -> None:
        """Take the *plan*. Raises: InvalidValue for weights or places that make no bar."""
        weights = _weights(plan)
        units = [round(weight * UNITS) for weight in weights]
        if sum(units) > MAX_UNITS:
            raise InvalidValue("weights", f"at most {MAX_UNITS // UNITS} together", float(sum(weights)))
        if not any(units):
            raise InvalidValue("weights", f"0, or from {1 / UNITS:f}, at least one of them above 0")
        self._nodes: dict[str, _Node] = {}
        self._check_places(plan)
        self._root = self._plant(plan, None, iter(units))

    @property
    def units(self) -> int:
        """What the whole is worth; it never changes."""
        return self._root.units

    @property
    def done(self) -> int:
        """How many of the units are done, at most all."""
        return self._root.done

    @property
    def mean(self) -> Fraction:
        """The weighted mean of all leaves, from 0 to 1."""
        return Fraction(self.done, self.units)

    def done_at(self, place: str) -> Fraction | None:
        """Return how far the part at *place* is, from 0 to 1; None where nothing is or nothing weighs."""
        node = self._nodes.get(place)
        return Fraction(node.done, node.units) if node is not None and node.units else None

    def begin(self, place: str, attempt: int) -> Change:
        """Let an *attempt* at a leaf begin: a later one gives back what the one before had."""
        return self._count(place, attempt, 0)

    def report(self, place: str, attempt: int, current: float, total: float | None) -> Change:
        """Count how far a leaf is; within an attempt the highest report stands.

        Raises: InvalidValue for numbers that are negative or not finite.
        """
        return self._count(place, attempt, portion(current, total))

    def succeed(self, place: str, attempt: int) -> Change:
        """End a leaf well: all of it is done. Any attempt may say so (CELERY.md, 3)."""
        node = self._nodes.get(place)
        refused = _refusal(node, max(attempt, node.attempt) if node else attempt)
        if node is None or refused:
            return Change(refused)
        self._uproot(node)
        node.attempt, node.is_over = max(attempt, node.attempt), True
        return Change(COUNTED, node.add(node.units - node.done))

    def fail(self, place: str, attempt: int) -> Change:
        """End a leaf that failed or was cancelled: it keeps what this attempt had done."""
        change = self._count(place, attempt, 0, replaced=True)
        if change.outcome == COUNTED:
            self._nodes[place].is_over = True
        return change

    def join(self, host: str, attempt: int, plan: Part) -> Change:
        """Put *plan* in the place of what the leaf *host* has not done, and share that out by its weights.

        Raises: InvalidValue for weights or places that make no bar, and then nothing has changed.
        """
        weights = _weights(plan)
        node = self._nodes.get(host)
        if node is None or (refused := _refusal(node, attempt)):
            return Change(UNKNOWN if node is None else refused)
        is_later = attempt > node.attempt
        if node.parts and not is_later:
            return Change(COUNTED if node.parts[0].place == plan.place else STALE)
        self._check_places(plan, besides={part.place for part in node.below()})
        change = self._count(host, attempt, 0)
        node.parts.append(self._plant(plan, node, iter(_shares(node.units - node.done, weights))))
        return change

    def _count(self, place: str, attempt: int, part: Fraction | int, *, replaced: bool = False) -> Change:
        """Raise what an attempt has done to *part* of the leaf; *replaced*: even if others do its work."""
        node = self._nodes.get(place)
        refused = _refusal(node, attempt)
        if node is None or refused:
            return Change(refused)
        if node.parts and attempt == node.attempt:
            return Change(COUNTED if replaced else STALE)
        gave_back = 0
        if attempt > node.attempt:
            gave_back, node.attempt = node.done, attempt
            self._uproot(node)
            node.add(-gave_back)
        raised = node.add(max(0, math.floor(node.units * part) - node.done))
        return Change(COUNTED, raised - gave_back, gave_back)

    def _plant(self, plan: Part, above: _Node | None, units: Iterator[int]) -> _Node:
        node = self._nodes[plan.place] = _Node(plan.place, above, is_task=isinstance(plan, Leaf))
        if isinstance(plan, Leaf):
            node.units = next(units)
        else:
            node.parts = [self._plant(part, node, units) for part in plan.parts]
            node.units = sum(part.units for part in node.parts)
        return node

    def _uproot(self, node: _Node) -> None:
        """Forget what replaced a leaf; what it has done stays counted in the leaf."""
        for part in node.below():
            del self._nodes[part.place]
        node.parts = []

    def _check_places(self, plan: Part, besides: Iterable[str] = ()) -> None:
        taken = set(self._nodes) - set(besides)
        for place in _places(plan):
            if place in taken:
                raise InvalidValue("place", "used once in a workflow", place)
            taken.add(place)


def divided(plan: Part, units: int, *, exact: bool = False) -> list[int]:
    """Divide *units* among the leaves of *plan*, in their order; *exact*: each has what its weight says.

    Raises: InvalidValue for weights that make no bar.
    """
    weights = _weights(plan)
    return [round(weight * UNITS) for weight in weights] if exact else _shares(units, weights)


def portion(current: float, total: float | None) -> Fraction:
    """Return *current* of *total* as a number from 0 to 1; 0 where the total is not known, or 0.

    Raises: InvalidValue for numbers that are negative or not finite.
    """
    for field, value in (("current", current), ("total", total)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InvalidValue(field, "a finite number of at least 0", value)
    return min(Fraction(1), Fraction(current) / Fraction(total)) if total else Fraction(0)


def _refusal(node: _Node | None, attempt: int) -> str:
    """Say why nothing that an *attempt* says counts, or nothing."""
    if node is None or not node.is_task:
        return UNKNOWN
    if any(above.is_over for above in node.upwards()):
        return OVER
    return STALE if attempt < node.attempt else ""


def _weights(plan: Part) -> list[Fraction]:
    """Give the leaves' weights, in their order. Raises: InvalidValue naming what is wrong."""
    weights = [_weight(leaf.weight) for leaf in _leaves(plan)]
    if not any(weights):
        raise InvalidValue("weights", "weights of which at least one is above 0", [float(w) for w in weights])
    return weights


def _weight(weight: float) -> Fraction:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise InvalidValue("weight", "a number of at least 0", weight)
    if not math.isfinite(weight) or weight < 0:
        raise InvalidValue("weight", "a finite number of at least 0", weight)
    return Fraction(weight)


def _shares(units: int, weights: list[Fraction]) -> list[int]:
    """Divide *units* by *weights*; what rounding takes from one share goes to a later one."""
    whole, so_far, marks = sum(weights), Fraction(0), [0]
    for weight in weights:
        so_far += weight
        marks.append(math.floor(units * so_far / whole))
    return [after - before for before, after in pairwise(marks)]


def _leaves(plan: Part) -> Iterator[Leaf]:
    if isinstance(plan, Leaf):
        yield plan
    else:
        for part in plan.parts:
            yield from _leaves(part)


def _places(plan: Part) -> Iterator[str]:
    yield plan.place
    if isinstance(plan, Branch):
        for part in plan.parts:
            yield from _places(part)
