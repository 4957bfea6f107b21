"""The judge of what browsers were told: their transcripts against the log itself, entry by entry.

Takes the log's history and a browser's lives (`tests.crowd`), gives the faults: each way in which a promise
of DESIGN.md, 5 was broken. Pure; it knows nothing of how the service works.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from tests.crowd import Browser, Life
from tests.sse import Message
from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.log import Log
from tidings.topics import Filter

KINDS: Final = ("lost", "doubled", "disordered", "silent", "changed", "unknown", "unwanted", "false_claim")
_SHOWN: Final = 5


@dataclass(slots=True)
class Verdict:
    """What was found over some browsers; ``faults`` is empty if every promise was kept."""

    browsers: int = 0
    lives: int = 0
    deliveries: int = 0
    conflated: int = 0
    """Progress that a slow reader got a newer one instead of."""
    resets: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """By kind, one of ``KINDS``."""
    examples: list[str] = field(default_factory=list)

    def add(self, kind: str, browser: Browser, life: Life, what: str) -> None:
        """Count a fault; keep the first few in words."""
        self.faults[kind] += 1
        if len(self.examples) < _SHOWN:
            number = browser.lives.index(life)
            self.examples.append(f"{kind}: browser {browser.number} ({browser.path}), life {number}: {what}")

    def __str__(self) -> str:
        told = [f"{self.browsers} browsers, {self.lives} lives, {self.deliveries} deliveries"]
        told += [f"conflated {self.conflated}, resets {dict(self.resets)}, ends {dict(self.ends)}"]
        return "\n".join([*told, f"faults {dict(self.faults)}", *self.examples])


class Judge:
    """Knows one history, of which nothing was trimmed; judges any number of browsers against it."""

    def __init__(self, history: Sequence[Entry]) -> None:
        self.history = history
        self.places = {entry.cursor.wire: n for n, entry in enumerate(history)}
        self._matching: dict[Filter, list[int]] = {}

    def judge(self, browsers: Iterable[Browser]) -> Verdict:
        """Judge each of *browsers*."""
        verdict = Verdict()
        for browser in browsers:
            verdict.browsers += 1
            _Reading(self, browser, verdict).read()
        return verdict

    def matching(self, wanted: Filter) -> list[int]:
        """Give the places in the history of the events that *wanted* asks for, last of all one beyond it."""
        if wanted not in self._matching:
            found = [n for n, entry in enumerate(self.history) if entry.is_for(wanted)]
            self._matching[wanted] = [*found, len(self.history)]
        return self._matching[wanted]


class _Reading:
    """One browser's transcript, read from its beginning to its end."""

    def __init__(self, judge: Judge, browser: Browser, verdict: Verdict) -> None:
        self._history = judge.history
        self._places = judge.places
        self._matching = judge.matching(browser.wanted)
        self._browser = browser
        self._verdict = verdict
        self._at: int | None = None
        """The place up to which it has everything; None before it was told any."""
        self._next = 0
        """Index in ``_matching`` of the first event beyond that."""
        self._superseded: dict[str, int] = {}
        """Operations of whose progress some was left out, and no newer has come yet."""

    def read(self) -> None:
        """Follow the browser through its lives."""
        for life in self._browser.lives:
            self._verdict.lives += 1
            self._verdict.ends[life.end.value] += 1
            self._live(life)
        if not self._browser.lives:
            return
        life = self._browser.life
        if self._browser.done and life.status != HTTPStatus.NO_CONTENT:
            return  # it left by itself
        if self._at is None or self._matching[self._next] < len(self._history):
            self._fault("silent", life, f"stands at {self._browser.last_event_id!r}, not at the end")
        for operation, place in self._superseded.items():
            self._fault("lost", life, f"progress of {operation} at {place} and all after it")

    def _live(self, life: Life) -> None:
        """Follow it through one connection."""
        cursor, opening = life.cursor, not life.cursor
        for message in life.messages:
            fresh, cursor = message.last_event_id != cursor, message.last_event_id
            if message.type == "reset":
                self._verdict.resets[message.data.split('"')[3]] += 1
                opening = True
            elif message.type == "heartbeat":
                self._claim(life, message, after_opening=opening)
                opening = False
            elif fresh:
                self._event(life, message)
            elif not opening:
                self._fault("doubled", life, f"{message.type} at {message.last_event_id} again")

    def _claim(self, life: Life, message: Message, *, after_opening: bool) -> None:
        """Take a heartbeat: it sets the place after an opening, else it says that nothing was missed."""
        place = self._places.get(message.last_event_id)
        if place is None:
            self._fault("unknown", life, f"heartbeat {message.last_event_id}")
        elif after_opening or self._at is None:
            self._stand(place)
        elif place < self._at:
            self._fault("disordered", life, f"heartbeat {message.last_event_id} goes back")
        else:
            self._pass_over(life, place + 1, "false_claim")
            self._at = place

    def _event(self, life: Life, message: Message) -> None:
        """Take an event: it must be the next one that matches."""
        self._verdict.deliveries += 1
        place = self._places.get(message.last_event_id)
        if place is None:
            self._fault("unknown", life, f"{message.type} {message.last_event_id} is not in the log")
            return
        if self._at is not None and place <= self._at:
            kind = "doubled" if place == self._at else "disordered"
            self._fault(kind, life, f"{message.type} at {place} after {self._at}")
            return
        entry = self._history[place]
        if (entry.type, entry.data.decode()) != (message.type, message.data):
            self._fault("changed", life, f"{message.type} at {place}")
        if self._at is None:
            self._stand(place)
            return
        self._pass_over(life, place, "lost")
        self._superseded.pop(entry.operation_id, None)
        if self._matching[self._next] == place:
            self._next += 1
        else:
            self._fault("unwanted", life, f"{message.type} at {place} was not asked for")
        self._at = place

    def _pass_over(self, life: Life, upto: int, kind: str) -> None:
        """Go past what was not told before *upto*: only progress may be left out, if newer comes."""
        while self._matching[self._next] < upto:
            entry = self._history[self._matching[self._next]]
            if entry.type == "progress":
                self._verdict.conflated += 1
                self._superseded[entry.operation_id] = self._matching[self._next]
            else:
                self._fault(kind, life, f"{entry.type} at {self._matching[self._next]}, {entry.cursor.wire}")
            self._next += 1

    def _stand(self, place: int) -> None:
        """Stand at *place*, whatever was before."""
        self._at = place
        self._superseded.clear()
        self._next = bisect_right(self._matching, place)

    def _fault(self, kind: str, life: Life, what: str) -> None:
        self._verdict.add(kind, self._browser, life, what)


def whole_history(log: Log) -> list[Entry]:
    """Read the log from its beginning. Its own first entries must all still be kept."""
    entries: list[Entry] = []
    position = Cursor(0, 0)
    while page := log.read(position):
        entries += page
        position = page[-1].cursor
    assert entries[0].cursor.n == 0, "the log was trimmed: there is nothing to judge by"
    return entries
