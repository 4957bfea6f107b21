"""Where an operation stands in a workflow, as its task's message, its descriptor and the log carry it.

Beside the first stage of the flow: takes a plan, gives each of its leaves a placement that is enough to
count by, whoever reports and in whatever order reports come in (docs/adr/0008). Pure.
"""

from collections.abc import Iterator
from typing import Any, Self

from msgspec import Struct, ValidationError, convert, to_builtins

from tidings.errors import InvalidValue
from tidings.workflow import Branch, Leaf, Part, Workflow, divided, portion

MEMBERS = "group."
"""What the place of a group begins with: leaves below one are its members, the others are steps."""


class Host(Struct, frozen=True, array_like=True):
    """A leaf that was replaced: by which attempt, what it had done by then, how many leaves came in."""

    place: str
    attempt: int
    token: str
    """Names this replacement, unlike that of any other run."""
    kept: int
    more: int


class Placement(Struct, frozen=True, array_like=True):
    """One leaf's place in its workflow, and what it is worth there, in units.

    ``whole`` and ``planned`` are the workflow's units and leaves as it was published; ``hosts`` what the
    leaf replaces a part of, nearest first. ``after``: how many attempts its operation had seen by then.
    """

    workflow: str
    place: str
    units: int
    whole: int
    planned: int
    is_member: bool = False
    hosts: tuple[Host, ...] = ()
    after: int = 0

    @classmethod
    def decode(cls, said: object) -> Self | None:
        """Read what `encode` gave; None for anything else, as for nothing."""
        try:
            return None if said is None else convert(said, cls)
        except ValidationError:
            return None

    def encode(self) -> Any:
        """Give it as lists that every serialiser of Celery can carry."""
        return to_builtins(self)

    def units_of(self, current: float, total: float | None) -> int:
        """Say how many of its units *current* of *total* are, rounded down; 0 for what is no number."""
        try:
            return int(self.units * portion(current, total))
        except InvalidValue:
            return 0


def planted(plan: Part, workflow: str) -> dict[str, Placement]:
    """Place the leaves of a whole *plan*, by their places.

    Raises: InvalidValue for weights that make no bar.
    """
    whole = Workflow(plan).units
    leaves = list(_leaves(plan))
    shares = divided(plan, whole, exact=True)
    return {
        leaf.place: Placement(workflow, leaf.place, units, whole, len(leaves), is_member)
        for (leaf, is_member), units in zip(leaves, shares, strict=True)
    }


def grafted(plan: Part, host: Placement, attempt: int, kept: int, token: str) -> dict[str, Placement]:
    """Place the leaves of what replaces *host*, whose *attempt* had *kept* units done.

    One of them stands for the host's own operation, and its leaf rests.
    Raises: InvalidValue for weights that make no bar.
    """
    leaves = list(_leaves(plan))
    shares = divided(plan, host.units - kept)
    hosts = (Host(host.place, attempt, token, kept, len(leaves)), *host.hosts)
    return {
        leaf.place: Placement(
            host.workflow, leaf.place, units, host.whole, host.planned, is_member or host.is_member, hosts
        )
        for (leaf, is_member), units in zip(leaves, shares, strict=True)
    }


def _leaves(plan: Part, *, is_member: bool = False) -> Iterator[tuple[Leaf, bool]]:
    if isinstance(plan, Branch):
        is_member = is_member or plan.place.startswith(MEMBERS)
        for part in plan.parts:
            yield from _leaves(part, is_member=is_member)
    else:
        yield plan, is_member
