"""Past runs are summed up once read, read again when they are old, and unknown until then."""

from collections.abc import Iterable

import pytest

from tidings import past
from tidings.past import UNKNOWN, Past, Pasts, Took


class Shelf:
    """A source that knows the same of each task, and which tasks it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def past(self, tasks: Iterable[str]) -> dict[str, list[Took]]:
        """Give two runs of each."""
        self.asked.append(sorted(tasks))
        return {task: [(2.0, 1.0), (1.0, 0.5)] for task in self.asked[-1]}


def test_of_many_runs_it_is_said_how_long_they_are_silent() -> None:
    """Nine of ten runs had no longer silence; one that stood still for an hour changes nothing."""
    runs = [(100.0 - n, float(n)) for n in range(10)] + [(4_000.0, 3_600.0)]
    known = Past.of(runs)
    assert known.durations_s == (*sorted(100.0 - n for n in range(10)), 4_000.0)
    assert known.usual_silence_s == 9


def test_of_few_runs_it_is_not_said() -> None:
    """Four runs show no custom."""
    assert Past.of([(9.0, 1.0)] * 4).usual_silence_s is None
    assert Past.of([]) == UNKNOWN


def test_what_was_not_read_is_not_known() -> None:
    """A look-up asks nobody."""
    assert Pasts().of("task") == UNKNOWN


def test_it_is_read_once_while_it_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task once in KEPT_FOR_S, and then again."""
    pasts, shelf = Pasts(), Shelf()
    pasts.refresh(shelf, ["a", "b"])
    pasts.refresh(shelf, ["a", "b", "c"])
    pasts.refresh(shelf, ["a"])
    assert shelf.asked == [["a", "b"], ["c"]]
    assert pasts.of("c").durations_s == (1, 2)
    monkeypatch.setattr(past, "KEPT_FOR_S", 0)
    pasts.refresh(shelf, ["a"])
    assert shelf.asked[2:] == [["a"]]


def test_no_read_and_no_memory_is_without_bound() -> None:
    """At most so many tasks at a time, and so many in all."""
    pasts, shelf = Pasts(), Shelf()
    tasks = [f"task{n}" for n in range(past.MAX_TASKS)]
    while sum(map(len, shelf.asked)) < len(tasks):
        pasts.refresh(shelf, tasks)
    assert {len(asked) for asked in shelf.asked} == {past.TASKS_PER_READ}
    pasts.refresh(shelf, ["one more"])
    assert pasts.of("one more") != UNKNOWN
    assert sum(pasts.of(task) != UNKNOWN for task in tasks) == 0
