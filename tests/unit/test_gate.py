"""The gate before a task's first line, and when it looks at all."""

import pytest

from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.gate import FRESH_S, PAUSE_S, Gate

LEAF = Descriptor.of("leaf", "task", workflow="flow")


class Told:
    """A log that is told what to answer, and counts how often it is asked; None: it does not answer."""

    def __init__(self, asked: set[str] | None) -> None:
        self.asked = asked
        self.looks = 0

    def cancels(self, about: Descriptor) -> tuple[bool, bool]:
        """Answer as told."""
        self.looks += 1
        if self.asked is None:
            raise LogUnavailable("away")
        return bool(self.asked), about.id in self.asked


@pytest.mark.parametrize(
    ("asked", "closed"),
    [({"leaf"}, True), ({"other"}, False), (set(), False), (None, False)],
)
def test_it_is_closed_for_what_was_cancelled(asked: set[str] | None, closed: bool) -> None:  # noqa: FBT001
    """Whoever cannot be asked has nothing against it."""
    assert Gate(Told(asked)).is_closed(LEAF) is closed


@pytest.mark.parametrize(("asked", "pause_s"), [(set(), FRESH_S), (None, PAUSE_S)])
def test_it_does_not_look_again_for_a_while(asked: set[str] | None, pause_s: float) -> None:
    """Neither where nobody has cancelled anything, nor where Redis is away."""
    log = Told(asked)
    times = [1.0, 1.0, 1.0 + pause_s * 0.9, 1.0 + pause_s * 1.1, 1.0 + pause_s * 1.1]  # two of each look
    gate = Gate(log, iter(times).__next__)
    assert [(gate.is_closed(LEAF), log.looks) for _ in range(3)] == [(False, 1), (False, 1), (False, 2)]


def test_it_looks_each_time_while_somebody_cancels() -> None:
    """What was cancelled a moment ago does not begin."""
    log = Told({"other"})
    gate = Gate(log, lambda: 1.0)
    assert not gate.is_closed(LEAF)
    log.asked = {"other", "leaf"}
    assert gate.is_closed(LEAF)
