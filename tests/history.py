"""What the log stored, as a test has seen it: each life of it, what it continues, and what was forgotten.

Takes what a test reads off the servers and knows of its own reports; gives the oracle (``tests.oracle``) the
one list of events that leads to any place. Pure, and written without the project's own cursors and filters,
so that the two can be wrong in different ways.

The lives of a log form a tree: a copy that lagged behind, or an old primary that goes on beside the new one,
branches off where its data ended. A place is on the way to another if the one life continues the other there.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

_WIRE = re.compile(r"evt_([1-9][0-9]*)-(0|[1-9][0-9]*)", re.ASCII)


class Place(NamedTuple):
    """Where an event stands: the *n*-th of one life of the log; the 0th is not an event but its beginning."""

    era: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read an id of the wire; None for any other spelling."""
        match = _WIRE.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None

    @property
    def wire(self) -> str:
        """The id as the wire carries it."""
        return f"evt_{self.era}-{self.n}"


@dataclass(frozen=True, slots=True)
class Stored:
    """One event as the log keeps it, and what its author's side knows of it, where that is known.

    ``reporter``, ``run`` and ``condition`` are the record's; ``serial`` numbers the reports of a test.
    """

    place: Place
    type: str
    data: str
    topics: tuple[str, ...]
    operation: str
    kind: str
    ends: bool
    reporter: str = ""
    run: str = ""
    condition: str = ""
    serial: int | None = None

    @classmethod
    def of(cls, place: Place, event_type: str, data: str, topics: tuple[str, ...], **author: Any) -> Self:
        """Make one from what a server has under *place*."""
        said = json.loads(data)
        ends = event_type == "complete" or (event_type == "error" and said.get("terminal", False))
        return cls(
            place, event_type, data, topics, said["operationId"], said["operationType"], ends, **author
        )


@dataclass(slots=True)
class Life:
    """One life of the log: what it continues, what it remembers, and its events from the first on.

    ``continues`` is the last place of the history that it goes on from, if it does. ``remembers`` is the last
    place of another history whose operations it still knows, though not their events.
    """

    continues: Place | None
    remembers: Place | None
    lineage: tuple[Place, ...]
    events: list[Stored] = field(default_factory=list)


class History:
    """All that was ever stored, on any server."""

    def __init__(self) -> None:
        self.lives: dict[int, Life] = {}
        self.by_serial: defaultdict[int, list[Stored]] = defaultdict(list)
        self.used_twice: list[tuple[Stored, Stored]] = []
        """Pairs of different events that were stored under one id."""
        self.forgotten: defaultdict[str, list[Place]] = defaultdict(list)
        """Per operation, where a server lost what it knew of it: its hash, or its place in an index."""
        self.doubling: set[str] = set()
        """Reporters whose counter a server lost: what they repeat may be stored again."""

    def open_life(self, era: int, continues: Place | None, remembers: Place | None = None) -> None:
        """Note that an era began; noting it again changes nothing."""
        if era in self.lives:
            return
        before = () if continues is None else (*self.lives[continues.era].lineage, continues)
        self.lives[era] = Life(continues, remembers, before)

    def store(self, stored: Stored) -> None:
        """Note what a server has; noting the same again changes nothing.

        Raises: ValueError if the events before it were not noted.
        """
        events = self.lives[stored.place.era].events
        index = stored.place.n - 1
        if index < len(events):
            if (events[index].type, events[index].data) != (stored.type, stored.data):
                self.used_twice.append((events[index], stored))
            return
        if index > len(events):
            raise ValueError(f"nothing was noted of the place before {stored.place.wire}")
        events.append(stored)
        if stored.serial is not None:
            self.by_serial[stored.serial].append(stored)

    def has(self, place: Place) -> bool:
        """Tell whether the log ever gave *place* out."""
        return place.era in self.lives and place.n <= len(self.lives[place.era].events)

    def at(self, place: Place) -> Stored | None:
        """Give the event at *place*, if there is one."""
        return self.lives[place.era].events[place.n - 1] if place.n and self.has(place) else None

    def leads(self, before: Place, to: Place) -> bool:
        """Tell whether *before* is on the way to *to*, or is that place. Both must be known."""
        return any(before.era == era and before.n <= n for era, n in (*self.lives[to.era].lineage, to))

    def between(self, after: Place | None, upto: Place) -> Iterator[Stored]:
        """Give the events behind *after* (None: from the very first) up to *upto*, to which it must lead."""
        for era, n in (*self.lives[upto.era].lineage, upto):
            if after is not None and era != after.era:
                continue
            yield from self.lives[era].events[after.n if after is not None else 0 : n]
            after = None

    def remembered(self, upto: Place) -> Iterator[Stored]:
        """Give the events that the operations' states at *upto* are made of, in order."""
        first, *_ = (*self.lives[upto.era].lineage, upto)
        before = self.lives[first.era].remembers
        if before is not None:
            yield from self.remembered(before)
        yield from self.between(None, upto)

    def remembered_between(self, after: Place, upto: Place) -> Iterator[Stored]:
        """Give the events behind *after* up to *upto*, over what was only remembered too."""
        return (event for event in self.remembered(upto) if not self.comes_before(event.place, after))

    def forget(self, operation: str, at: Place) -> None:
        """Note that a server that stood *at* this place lost what it knew of an operation."""
        self.forgotten[operation].append(at)

    def was_forgotten(self, operation: str, place: Place) -> bool:
        """Tell whether a server may not know any more what it knew of *operation* at *place*."""
        return any(self.comes_before(place, at) for at in self.forgotten.get(operation, ()))

    def comes_before(self, place: Place, at: Place) -> bool:
        """Tell whether *place* leads to *at*, over what was only remembered too."""
        while not self.leads(place, at):
            first, *_ = (*self.lives[at.era].lineage, at)
            before = self.lives[first.era].remembers
            if before is None:
                return False
            at = before
        return True
