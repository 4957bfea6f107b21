"""The bar of one operation, divided among the steps of its work.

Beside the first stage of the flow: takes what is said in a step, gives how far the operation is. A step has
its weight's share of what surrounds it, from where that has come to; what is said outside steps
fills what is left. So the bar never falls and never passes its end, whatever the weights. Pure.
"""

from fractions import Fraction
from typing import Any, Final

from tidings.errors import InvalidValue
from tidings.workflow import portion

TOTAL: Final = 100
"""What an operation with steps says it goes up to."""
_FINENESS: Final = 1_000_000


class Scope:
    """What an operation, or a step in it, has of the bar: from ``at``, where it has come to, to ``end``."""

    __slots__ = ("_is_share", "above", "at", "base", "divides", "end", "name", "width")

    def __init__(self, name: str = "", above: "Scope | None" = None, weight: Fraction | None = None) -> None:
        self.name, self.above = name, above
        self.at: Fraction = above.at if above else Fraction(0)
        self.width: Fraction = above.width if above else Fraction(1)
        self.end: Fraction = above.end if above else Fraction(1)
        self._is_share = weight is not None
        self.divides: bool = self._is_share or (above is not None and above.divides)
        """Whether any step had a weight so far: until then the operation counts as its author does."""
        if weight is not None:
            self.width = min(weight * self.width, self.end - self.at)
            self.end = self.at + self.width
        self.base = self.at

    def report(self, current: Any, total: Any) -> float:
        """Take how far it is, and give how far the operation is, of `TOTAL`; no number moves nothing."""
        try:
            part = portion(current, total)
        except (InvalidValue, TypeError):
            part = Fraction(0)
        self.at = max(self.at, self.base + part * (self.end - self.base))
        return self.shown

    def leave(self, *, is_done: bool) -> "Scope":
        """Give back to what surrounds it: all of its share, or as far as it came. Gives what surrounds it."""
        above = self.above or Scope()
        above.divides = self.divides
        above.at = above.base = self.end if is_done and self._is_share else self.at
        return above

    @property
    def shown(self) -> float:
        """How far the operation is, of `TOTAL`."""
        return float(self.at * TOTAL)


def weight_of(weight: object) -> Fraction | None:
    """Read the share that a step has. Raises: InvalidValue unless it is a number from 0 to 1, or None."""
    if weight is None:
        return None
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise InvalidValue("weight", "a number from 0 to 1, the share of what surrounds the step", weight)
    return Fraction(weight).limit_denominator(_FINENESS)
