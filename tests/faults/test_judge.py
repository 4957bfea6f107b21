"""The judge of the fault tests: what it excuses, and what it does not."""

import pytest

from tests.faults.judge import Kept, judge
from tests.faults.transcript import Heard, Transcript
from tidings.cursor import Cursor

ERA = 7
SAID = {"a": 3}


def event(n: int, row: int = 0, *, kind: str = "warning", operation: str = "a", ends: bool = False) -> Heard:
    """Give the log's *n*-th event, the *row*-th report of its operation."""
    return Heard(0.0, kind, Cursor(ERA, n).wire, operation, row, ends=ends)


def progress(n: int, current: float) -> Heard:
    """Give a progress event."""
    return Heard(0.0, "progress", Cursor(ERA, n).wire, "a", current=current)


def state(row: int, *, ends: bool = False) -> Heard:
    """Give a state: an event without an id."""
    return Heard(0.0, "warning", "", "a", row, ends=ends)


def beat(n: int) -> Heard:
    """Give a heartbeat at the log's *n*-th place."""
    return Heard(0.0, "heartbeat", Cursor(ERA, n).wire)


RESET = Heard(0.0, "reset", "")
WHOLE = [beat(0), event(1, 1), event(2, 2), event(3, 3, kind="complete", ends=True), beat(3)]
KEPT = [Kept(Cursor(ERA, n), "a", "warning") for n in (1, 2, 3)]


def faults(*heard: Heard, from_start: bool = True, kept: list[Kept] = KEPT) -> list[str]:
    """Judge what one browser heard of an operation with three reports."""
    return judge(Transcript("one", frozenset({"a"}), from_start, list(heard)), SAID, kept).faults


def test_progress_may_be_left_out_if_newer_comes() -> None:
    """A reader too slow for it gets the newest progress instead of all of it (DESIGN.md, 5.1)."""
    kept = [Kept(Cursor(ERA, n), "a", "progress") for n in (1, 2)]
    kept += [Kept(Cursor(ERA, n), "a", "warning") for n in (3, 4, 5)]
    rest = [event(3, 1), event(4, 2), event(5, 3, kind="complete", ends=True)]
    assert faults(beat(0), progress(2, 5), *rest, kept=kept) == []
    assert faults(beat(0), progress(1, 4), *rest, kept=kept) != []
    assert faults(beat(0), *rest, kept=kept) != []
    assert faults(beat(0), RESET, beat(1), *rest, kept=kept) != []
    assert faults(beat(0), RESET, beat(2), *rest, kept=kept) == []


def test_only_a_reset_lets_ids_fall() -> None:
    """A history that knows of none before it may have a lower era; nobody is led there untold."""
    lower = Heard(0.0, "warning", Cursor(ERA - 1, 5).wire, "a", 3, ends=True)
    assert faults(beat(0), event(1, 1), RESET, state(2), lower, kept=[]) == []
    assert faults(beat(0), event(1, 1), event(2, 2), lower, kept=[]) != []


def test_whole_transcript_is_clean() -> None:
    """All three reports, in order, the last of them terminal."""
    assert faults(*WHOLE) == []


@pytest.mark.parametrize(
    ("heard", "kind"),
    [
        ([*WHOLE[:2], *WHOLE[3:]], "lost"),
        (WHOLE[:3], "lost"),
        (WHOLE[:3], "unended"),
        ([], "lost"),
        ([*WHOLE[:2], WHOLE[1], *WHOLE[2:]], "doubled"),
        ([*WHOLE[:2], event(2, 1), *WHOLE[3:]], "doubled"),
        ([WHOLE[0], event(2, 1), event(1, 2), *WHOLE[3:]], "disordered"),
        ([*WHOLE[:3], beat(1), *WHOLE[3:]], "disordered"),
        ([*WHOLE, event(4, 0)], "disordered"),
        ([*WHOLE, event(4, 3, kind="complete", ends=True)], "doubled"),
        ([beat(0), progress(1, 5), progress(2, 4)], "disordered"),
        ([beat(0), event(1, 1), event(3, 2), event(4, 3, ends=True)], "lost"),
    ],
    ids=[
        "hole", "tail", "no end", "nothing", "same id", "new id", "swapped", "cursor back", "behind the end",
        "two ends", "progress back", "the log has more",
    ],
)  # fmt: skip
def test_what_is_wrong_is_called_so(heard: list[Heard], kind: str) -> None:
    """Each kind of fault is found."""
    assert any(fault.startswith(kind) for fault in faults(*heard))


def test_reset_excuses_what_is_missing_before_its_state() -> None:
    """What lies between the last event and the state after a reset was told to be missing."""
    assert faults(beat(0), event(1, 1), RESET, state(2), beat(2), WHOLE[3]) == []


def test_reset_does_not_excuse_what_is_missing_after_its_state() -> None:
    """A state says up to where; the next report must be the next number."""
    assert faults(beat(0), RESET, state(1), beat(1), WHOLE[3]) != []


def test_end_may_be_told_by_a_state() -> None:
    """Behind a reset the terminal event may be part of the state."""
    assert faults(beat(0), event(1, 1), RESET, state(3, ends=True), beat(3)) == []


def test_late_browser_counts_from_the_state_it_was_shown() -> None:
    """A browser that comes in mid-run begins with a state, and misses nothing from there on."""
    assert faults(state(1), beat(1), *WHOLE[2:], from_start=False) == []
    assert faults(state(1), beat(1), *WHOLE[3:], from_start=False) != []
