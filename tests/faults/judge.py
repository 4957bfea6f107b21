"""The judge of one run: what the promises of DESIGN.md §5 say about each transcript.

Takes what was reported, what the log has kept, and what each browser heard; gives what was lost, doubled, out
of order, never ended. Pure: it sees no process and no clock.

Two independent measures of a loss: durable reports are numbered by their author, and must come in unbroken
succession; and of what the log still has, a browser must have heard everything between any two of its own
events. Only progress may be left out, when it comes faster than it is read, if a newer one of the same
operation comes in its place. A `reset` excuses what is missing up to the state that follows it, and no more.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.transcript import Heard, Transcript
from tidings.cursor import Cursor


class Kept(NamedTuple):
    """One entry that the log still has at the end."""

    place: Cursor
    operation: str
    type: str


@dataclass
class Verdict:
    """What is wrong with a transcript, in words; and how much it shows."""

    events: int = 0
    resets: int = 0
    conflated: int = 0
    """Progress that a newer one came in place of."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Everything that is wrong."""
        return [
            f"{kind}: {what}"
            for kind in ("lost", "doubled", "disordered", "unended")
            for what in getattr(self, kind)
        ]


def judge(transcript: Transcript, said: Mapping[str, int], kept: Sequence[Kept]) -> Verdict:
    """Judge one browser's *transcript*.

    *said* has, for each operation, the number of its last durable report, which ended it. *kept* is what the
    log still has, in its order.
    """
    reading = _Reading(transcript, Verdict())
    for heard in transcript.heard:
        reading.take(heard)
    reading.end(said)
    _judge_against_log(transcript, kept, reading.verdict)
    return reading.verdict


class _Reading:
    """A transcript being read, event by event."""

    def __init__(self, transcript: Transcript, verdict: Verdict) -> None:
        self.verdict = verdict
        self._transcript = transcript
        self._place: Cursor | None = None
        self._ids: set[str] = set()
        self._rows: defaultdict[str, int | None] = defaultdict(lambda: 0 if transcript.from_start else None)
        self._current: dict[str, float] = {}
        self._ended: set[str] = set()

    def take(self, heard: Heard) -> None:
        if heard.type == "reset":
            self._forget()
        elif heard.is_state:
            self._begin_from(heard)
        else:
            self._place_it(heard)
            if heard.is_event:
                self._follow(heard)

    def end(self, said: Mapping[str, int]) -> None:
        """Look for what should have come: the last report of each operation, which ended it."""
        for operation, last in said.items():
            if not self._transcript.asks_for(operation):
                continue
            row = self._rows[operation]
            if row is not None and row < last:
                self.verdict.lost.append(f"{operation}: nothing came after {row}, {last} was said")
            if row is not None and operation not in self._ended:
                self.verdict.unended.append(operation)

    def _forget(self) -> None:
        """Take a reset: from here on nothing is known but the states that follow."""
        self.verdict.resets += 1
        self._place = None  # a history that forgot all before it may have a lower era (LOG.md, b)
        for operation in list(self._rows):
            self._rows[operation] = None
        self._rows.default_factory = lambda: None
        self._current.clear()
        self._ended.clear()

    def _begin_from(self, state: Heard) -> None:
        """Take a state. One that is not numbered says nothing: the operation may have been announced anew."""
        if state.row:
            self._rows[state.operation] = max(self._rows[state.operation] or 0, state.row)
        if state.current is not None:
            self._current[state.operation] = state.current
        if state.ends:
            self._ended.add(state.operation)

    def _place_it(self, heard: Heard) -> None:
        """See that ids rise; a heartbeat may repeat the one before it."""
        if not heard.id:
            return
        place = Cursor.parse(heard.id)
        if heard.is_event and heard.id in self._ids:
            self.verdict.doubled.append(f"{heard.operation}: {heard.id}")
        elif self._place is not None and (place < self._place or (heard.is_event and place == self._place)):
            self.verdict.disordered.append(f"{heard.id} behind {self._place.wire}")
        self._ids.add(heard.id)
        self._place = place if self._place is None else max(place, self._place)

    def _follow(self, event: Heard) -> None:
        """See that the event continues what came before it of its operation."""
        self.verdict.events += 1
        if event.operation in self._ended:
            self.verdict.disordered.append(f"{event.operation}: {event.type} {event.row} behind its end")
        if event.row:
            self._count(event)
        if event.current is not None:
            if event.current < self._current.get(event.operation, event.current):
                self.verdict.disordered.append(f"{event.operation}: progress went back to {event.current}")
            self._current[event.operation] = event.current
        if event.ends:
            self._ended.add(event.operation)

    def _count(self, event: Heard) -> None:
        before = self._rows[event.operation]
        if before is not None and event.row > before + 1:
            self.verdict.lost.append(f"{event.operation}: {before + 1} to {event.row - 1}, before {event.id}")
        if before is not None and event.row <= before:
            self.verdict.doubled.append(f"{event.operation}: {event.row} behind {before}, at {event.id}")
        self._rows[event.operation] = max(before or 0, event.row)


def _judge_against_log(transcript: Transcript, kept: Sequence[Kept], verdict: Verdict) -> None:
    """See that all was heard that the log still has between any two ids with no reset in between."""
    places = [each.place for each in kept]
    heard = {one.id for one in transcript.heard if one.is_event}
    owed: dict[str, Kept] = {}
    for first, last in _stretches(transcript.heard):
        owed = {}  # what was owed before a reset, its states have said
        for each in kept[bisect_right(places, first) : bisect_right(places, last)]:
            if not transcript.asks_for(each.operation):
                continue
            if each.place.wire in heard:
                if each.type == "progress":
                    owed.pop(each.operation, None)
            elif each.type == "progress":
                verdict.conflated += 1
                owed[each.operation] = each
            else:
                verdict.lost.append(_missed(each))
    verdict.lost += map(_missed, owed.values())


def _missed(kept: Kept) -> str:
    return f"{kept.operation}: the log has {kept.place.wire}, {kept.type}"


def _stretches(heard: Sequence[Heard]) -> list[tuple[Cursor, Cursor]]:
    """Give the first and last place of each stretch that no reset interrupts."""
    stretches: list[tuple[Cursor, Cursor]] = []
    fresh = True
    for one in heard:
        if one.type == "reset":
            fresh = True
        elif one.id:
            place = Cursor.parse(one.id)
            first = place if fresh else stretches.pop()[0]
            stretches.append((first, place))
            fresh = False
    return stretches
