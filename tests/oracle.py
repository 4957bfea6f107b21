"""The delivery oracle: says which promises of DESIGN.md §5 a run has broken, from its record alone.

Takes the history of the log (``tests.history``), what was reported to it, and the transcripts of all clients
(``tests.transcript``); gives violations, each with the name of its rule and the smallest context that shows
it. Pure and offline: a model, a test of real processes and a soak can all be judged by it.

A connection is judged by itself. That a client has everything over all its connections follows, because each
of them starts from the id that the one before ended with.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tests.history import History, Place, Stored
from tests.transcript import Connection, Frame, Request

TERMINAL_TYPES: Final = ("complete", "error")
SHOWN: Final = 3
"""Events that one violation names."""


class Rule(StrEnum):
    """What can be broken; the name in a report of a failure."""

    # What the log took.
    ID_USED_TWICE = "two events have one id"
    STORED_TWICE = "a report is in one history twice"
    STORED_OUT_OF_ORDER = "two reports of one author are stored in the wrong order"
    REPORT_LOST = "a report was neither stored nor refused"
    NOT_THE_OWNER = "an event was taken from a run that does not own the operation"
    AFTER_THE_END = "an event was stored behind its operation's terminal event"
    # What a stream carried.
    UNKNOWN_ID = "an id that the log never gave out"
    ALTERED = "an event is not what the log has under its id"
    NOT_ASKED_FOR = "an event that was not asked for"
    TWICE = "an event that the client had already"
    BACKWARDS = "a heartbeat takes the client's cursor back"
    MISSING = "events that were asked for were passed over"
    CLAIMED = "a heartbeat claims events that were not written"
    ANOTHER_HISTORY = (
        "the stream goes on in a history that does not continue the client's, and nothing was said"
    )
    PROGRESS_LOST = "progress was conflated away and nothing newer came"
    STALLED = "a stream was left behind what the log has for it"
    BEHIND_THE_END = "an event of an operation behind its terminal event"
    ENDED_EARLY = "an operation's stream ended without its terminal event"
    # How a stream began.
    RESET_TWICE = "more than one reset on a connection"
    RESET_LATE = "a reset behind an event or a state"
    RESET_WITH_ID = "a reset that sets the client's cursor"
    RESET_NEEDLESS = "a reset though an exact answer was possible"
    RESET_WRONG = "a reset that gives the wrong reason or id"
    STATE_NOT_ASKED_FOR = "a state that was not asked for, or that nobody said"
    STATE_WRONG = "a state that is not the operation's latest"
    STATE_MISSING = "the state of an operation is not shown"
    NO_POSITION = "an opening that does not end with a heartbeat"
    # How a request was answered.
    OVER_WRONG = "204 before the client had the operation's end"
    OVER_MISSED = "no 204 though the client has the operation's end"
    REFUSED = "a client with a cursor was refused for ever"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise: which, and what shows it."""

    rule: Rule
    about: str

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.rule} ({self.about})"


@dataclass(frozen=True, slots=True)
class Report:
    """What an author's side was told to say. ``serial`` rises in the order of the author's own reports."""

    serial: int
    reporter: str
    operation: str
    type: str


def judge(
    history: History,
    connections: Iterable[Connection],
    reports: Sequence[Report] = (),
    refused: Mapping[int, str] | None = None,
) -> list[Violation]:
    """Judge a whole run. *refused* has why the log refused a report, by its serial."""
    found = [*judge_history(history), *judge_reports(history, reports, refused or {})]
    for connection in connections:
        found += judge_connection(history, connection)
    return found


def judge_history(history: History) -> Iterator[Violation]:
    """Judge what the log took, each life of it behind those that it continues."""
    for first, second in history.used_twice:
        yield Violation(Rule.ID_USED_TWICE, f"{_named(first)} and {_named(second)}")
    for era, life in history.lives.items():
        yield from _judge_life(history, era, list(history.remembered(Place(era, len(life.events)))))


def _judge_life(history: History, era: int, events: list[Stored]) -> Iterator[Violation]:
    """Judge the events of one life, which are the last of *events*; the others led to it."""
    owner: dict[str, str] = {}
    end: dict[str, Stored] = {}
    said: set[int] = set()
    newest: defaultdict[tuple[str, str], int] = defaultdict(lambda: -1)
    for event in events:
        of_this_life = event.place.era == era
        over = end.get(event.operation)
        known = over is not None and not history.was_forgotten(event.operation, over.place)
        if known and over is not None and of_this_life:
            yield Violation(Rule.AFTER_THE_END, f"{_named(over)}, then {_named(event)}")
        if event.condition == "begin":
            owner[event.operation] = event.run
        elif event.condition == "own" and owner.get(event.operation) != event.run and of_this_life:
            yield Violation(Rule.NOT_THE_OWNER, f"{_named(event)} of {event.run}")
        if event.ends:
            end[event.operation] = event
        if event.serial is None:
            continue
        author = (event.reporter, event.operation)
        if of_this_life and event.reporter not in history.doubling:
            if event.serial in said:
                yield Violation(Rule.STORED_TWICE, _named(event))
            elif event.serial < newest[author]:
                yield Violation(Rule.STORED_OUT_OF_ORDER, f"{_named(event)} behind report {newest[author]}")
        said.add(event.serial)
        newest[author] = max(newest[author], event.serial)


def judge_reports(
    history: History, reports: Sequence[Report], refused: Mapping[int, str]
) -> Iterator[Violation]:
    """Judge what became of each report: only progress that a newer one replaced may never be stored."""
    newest: dict[tuple[str, str], int] = {}
    for report in reports:
        if report.type == "progress":
            newest[report.reporter, report.operation] = report.serial
    for report in reports:
        replaced = report.type == "progress" and newest[report.reporter, report.operation] > report.serial
        if not replaced and report.serial not in history.by_serial and report.serial not in refused:
            yield Violation(Rule.REPORT_LOST, f"{report.type} {report.serial} of {report.operation}")


def judge_connection(history: History, connection: Connection) -> list[Violation]:
    """Judge one connection: how its request was answered, and what the answer carried."""
    if connection.status != 200:
        return list(_judge_refusal(history, connection))
    reading = _Reading(history, connection)
    for frame in connection.frames:
        reading.take(frame)
    reading.end()
    return reading.violations


def _judge_refusal(history: History, connection: Connection) -> Iterator[Violation]:
    request = connection.request
    if connection.status != 204:
        if request.cursor:
            yield Violation(Rule.REFUSED, f"{connection.status} for {request.cursor} on {request.topics}")
    elif not _has_its_end(history, request):
        yield Violation(Rule.OVER_WRONG, f"{request.own} at {request.cursor}")


def _has_its_end(history: History, request: Request) -> bool:
    """Tell whether the terminal event of a request's own operation is at its cursor or before it."""
    cursor = Place.parse(request.cursor)
    return (
        cursor is not None
        and history.has(cursor)
        and any(event.ends and event.operation == request.own for event in history.remembered(cursor))
    )


@dataclass
class _Reading:
    """One connection being read, frame by frame."""

    history: History
    connection: Connection
    violations: list[Violation] = field(default_factory=list)
    at: Place | None = None
    """The place up to which the client has everything; None before the first id."""
    begun: bool = False
    """An id was sent, so the opening's resets and states are past."""
    opening: bool = True
    """No heartbeat has come yet; what is missing before it may be announced by a reset."""
    resets: int = 0
    states: list[Frame] = field(default_factory=list)
    owed: dict[str, Stored] = field(default_factory=dict)
    """Per operation, the last progress that was passed over: a newer one must come."""
    ended: dict[str, Stored] = field(default_factory=dict)

    def take(self, frame: Frame) -> None:
        if frame.event == "reset":
            self._take_reset(frame)
        elif frame.event == "heartbeat":
            self._take_heartbeat(frame)
        elif not frame.id:
            self._take_state(frame)
        else:
            self._take_event(frame)

    def end(self) -> None:
        request = self.connection.request
        self._judge_what_is_owed()
        if self.connection.head is not None:
            self._judge_rest(self.connection.head)
        if not self.connection.frames:
            return
        if self.connection.finished and request.own and not (request.types or request.kinds):
            self._judge_early_end()
        if self.connection.exact and request.own and not self.resets and self._must_be_over():
            self._report(Rule.OVER_MISSED, f"{request.own} at {request.cursor}")

    def _must_be_over(self) -> bool:
        """Tell whether the log knows that the client has all that its own operation will ever say."""
        request = self.connection.request
        known = not self.history.forgotten.get(request.own)
        return known and _has_its_end(self.history, request)

    def _report(self, rule: Rule, about: str) -> None:
        self.violations.append(Violation(rule, f"{about}; {self._context()}"))

    def _context(self) -> str:
        asked = self.connection.request
        since = f"after {asked.cursor}" if asked.cursor else f"with history={asked.history}"
        where = f", having {self.at.wire}" if self.at else ""
        return f"{','.join(asked.topics)} {since}{where}"

    # The opening.

    def _take_reset(self, frame: Frame) -> None:
        self.resets += 1
        if self.resets > 1:
            self._report(Rule.RESET_TWICE, frame.data)
        if self.begun or self.states:
            self._report(Rule.RESET_LATE, frame.data)
        elif frame.id:
            self._report(Rule.RESET_WITH_ID, frame.id)
        if self.connection.exact:
            self._report(Rule.RESET_NEEDLESS, frame.data)
        said, asked = json.loads(frame.data), self.connection.request.cursor
        malformed = bool(asked) and Place.parse(asked) is None
        right = said.get("reason") == "unknown_cursor" if malformed else said.get("reason") in _LOST
        if not right or said.get("requestedId") != asked[:128]:
            self._report(Rule.RESET_WRONG, frame.data)

    def _take_state(self, frame: Frame) -> None:
        request = self.connection.request
        if not self.resets and (request.cursor or request.history != "latest"):
            self._report(Rule.STATE_NOT_ASKED_FOR, frame.data)
        self.states.append(frame)

    def _begin(self, place: Place, event: Stored | None) -> None:
        """Take the first id of the connection: the client's own cursor is what it goes on from."""
        self.begun = True
        request = self.connection.request
        if self.resets or not request.cursor:
            if event is not None and not request.wants_all:
                self._report(Rule.NO_POSITION, place.wire)
            return
        cursor = Place.parse(request.cursor)
        if cursor is None or not self.history.has(cursor):
            self._report(Rule.ANOTHER_HISTORY, f"{place.wire} follows {request.cursor}")
            return
        self.at = cursor

    def _judge_states(self, at: Place) -> None:
        """Compare the states that were shown with what was last said before *at*."""
        latest = self._latest_states(at)
        shown: set[tuple[str, str]] = set()
        for frame in self.states:
            key = (json.loads(frame.data)["operationId"], frame.event)
            shown.add(key)
            if self.connection.request.wants_all and self._is_later(frame, at):
                continue
            if key not in latest:
                self._report(Rule.STATE_NOT_ASKED_FOR, f"{frame.event}: {frame.data}")
            elif latest[key].data != frame.data:
                self._report(Rule.STATE_WRONG, f"{frame.data} instead of {latest[key].data}")
        for key, event in latest.items():
            if key not in shown and self._must_be_known(event, at):
                self._report(Rule.STATE_MISSING, _named(event))

    def _is_later(self, frame: Frame, at: Place) -> bool:
        """Tell whether a state was said behind *at*: before a whole history it may be newer than that."""
        return any(
            event.data == frame.data and event.place != at and self.history.leads(at, event.place)
            for life in self.history.lives.values()
            for event in life.events
        )

    def _latest_states(self, at: Place) -> dict[tuple[str, str], Stored]:
        return {
            (event.operation, event.type): event
            for event in self.history.remembered(at)
            if self.connection.request.asks_for(event)
        }

    def _must_be_known(self, event: Stored, at: Place) -> bool:
        """Tell whether the log knows this state: nothing took it, or the status changed since."""
        operation = event.operation
        if self.history.was_forgotten(operation, event.place):
            return False
        return any(
            other.operation == operation
            and other.type == "status"
            and not self.history.was_forgotten(operation, other.place)
            for other in self.history.remembered(at)
        )

    # The stream.

    def _take_heartbeat(self, frame: Frame) -> None:
        place = self._known(frame)
        if place is None:
            return
        request = self.connection.request
        if self.opening and (self.resets or (not request.cursor and request.history == "latest")):
            self._judge_states(place)
        if not self.begun:
            self._begin(place, None)
        self._go_on(place, None)
        self.opening = False
        if self.owed:
            self._report(Rule.CLAIMED, f"{place.wire} with progress owed: {_several(self.owed.values())}")
            self.owed.clear()

    def _take_event(self, frame: Frame) -> None:
        place = self._known(frame)
        if place is None:
            return
        event = self.history.at(place)
        if event is None or (event.type, event.data) != (frame.event, frame.data):
            self._report(Rule.ALTERED, f"{frame.id} {frame.event} {frame.data}")
            return
        if not self.connection.request.asks_for(event):
            self._report(Rule.NOT_ASKED_FOR, _named(event))
        if not self.begun:
            self._begin(place, event)
        self._go_on(place, event)
        self._judge_end_of(event)

    def _known(self, frame: Frame) -> Place | None:
        place = Place.parse(frame.id)
        if place is None or not self.history.has(place):
            self._report(Rule.UNKNOWN_ID, f"{frame.event} with {frame.id!r}")
            return None
        return place

    def _go_on(self, place: Place, event: Stored | None) -> None:
        """Move the client's place on to *place*, and judge what lies between."""
        at, history = self.at, self.history
        if at is not None and (at == place or history.leads(place, at)):
            if event is not None:
                self._report(Rule.TWICE, _named(event))
            elif at != place:
                self._report(Rule.BACKWARDS, place.wire)
            return
        if not (self.opening and self.resets):
            self._judge_gap(at, place, event)
        self.at = place
        if event is not None and event.type == "progress":
            self.owed.pop(event.operation, None)

    def _judge_gap(self, at: Place | None, place: Place, event: Stored | None) -> None:
        """Judge what lies between *at*, None for the beginning of a whole history, and *place*."""
        history, whole = self.history, self.opening and self.connection.request.wants_all
        if at is None:
            between = history.between(None, place) if whole else iter(())
        elif history.leads(at, place):
            between = history.between(at, place)
        elif whole and history.comes_before(at, place):
            between = history.remembered_between(at, place)
        else:
            self._report(Rule.ANOTHER_HISTORY, f"{place.wire} follows {at.wire}")
            return
        passed = [other for other in between if self._was_due(at, other, event)]
        progress = [other for other in passed if other.type == "progress"] if self.connection.slow else []
        self.owed |= {other.operation: other for other in progress}
        missing = [other for other in passed if other not in progress]
        if missing:
            rule = Rule.CLAIMED if event is None else Rule.MISSING
            self._report(rule, f"{_several(missing)} before {place.wire}")

    def _was_due(self, at: Place | None, other: Stored, event: Stored | None) -> bool:
        if other is event or not self.connection.request.asks_for(other):
            return False
        # A server cannot know what is missing from a whole history that it forgot itself.
        forgotten = at is None and any(
            self.history.was_forgotten(topic.partition(":")[2], other.place) for topic in other.topics
        )
        return not forgotten

    def _judge_end_of(self, event: Stored) -> None:
        over = self.ended.get(event.operation)
        if over is not None and not self.history.was_forgotten(event.operation, over.place):
            self._report(Rule.BEHIND_THE_END, f"{_named(over)}, then {_named(event)}")
        if event.ends:
            self.ended[event.operation] = event

    # The end.

    def _judge_what_is_owed(self) -> None:
        """Progress that was passed over is still to come where the client resumes, or it is lost."""
        for operation, passed in self.owed.items():
            at = self.at
            newer = (
                event
                for life in self.history.lives.values()
                for event in life.events
                if event.operation == operation and event.type == "progress"
            )
            if at is None or not any(
                event.place != at and self.history.leads(at, event.place) for event in newer
            ):
                self._report(Rule.PROGRESS_LOST, _named(passed))

    def _judge_rest(self, head: Place) -> None:
        """Judge a stream that is open while the log has come to rest at *head*."""
        if self.at is None or not self.history.leads(self.at, head):
            self._report(Rule.STALLED, f"nothing leads from there to {head.wire}")
            return
        asked = self.connection.request
        rest = [event for event in self.history.between(self.at, head) if asked.asks_for(event)]
        if rest:
            self._report(Rule.STALLED, f"{_several(rest)} up to {head.wire}")

    def _judge_early_end(self) -> None:
        own = self.connection.request.own
        shown = any(state.event in TERMINAL_TYPES and _ends(state) for state in self.states)
        had = self.at is not None and any(
            event.ends and event.operation == own for event in self.history.remembered(self.at)
        )
        if own not in self.ended and not shown and not had:
            self._report(Rule.ENDED_EARLY, own)


_LOST: Final = ("history_trimmed", "history_lost")


def _ends(state: Frame) -> bool:
    return state.event == "complete" or bool(json.loads(state.data).get("terminal"))


def _named(event: Stored) -> str:
    return f"{event.place.wire} {event.type} of {event.operation}"


def _several(events: Iterable[Stored]) -> str:
    first = list(events)
    more = f" and {len(first) - SHOWN} more" if len(first) > SHOWN else ""
    return ", ".join(_named(event) for event in first[:SHOWN]) + more
