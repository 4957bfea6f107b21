"""What `watch` knows of the operations that it follows, and when and how that is over.

Takes their states and what a stream says of them, gives rows to show and an exit status. Pure: the clock is
given.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import json

from tidings.cli.exits import Exit
from tidings.cli.sse import Message
from tidings.cursor import Cursor
from tidings.errors import InvalidValue
from tidings.events import CANCELLED, FAILED, FINAL_STATUSES, SUCCEEDED

FORGOTTEN_S: Final = 30.0
"""How long a service that has lost its memory is given to hear of an operation again: its worker announces it
with its next report."""
FORGOTTEN: Final = "forgotten"


@dataclass
class Row:
    """One operation as far as it is known; ``message`` is the latest that was said of it."""

    id: str
    kind: str
    status: str
    seen: Cursor | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    took_s: float | None = None
    is_over: bool = False
    unheard: bool = False
    """Whether the current state, which is coming behind a reset, has not had it yet."""
    forgotten_at: float | None = None

    @property
    def percentage(self) -> float | None:
        """How far it is; None while that is not known."""
        return 100.0 if self.status == SUCCEEDED else self.progress.get("percentage")


class Board:
    """The operations that are followed, in the order in which they came. For one thread.

    With *follow* those that begin later come along, and it is never over.
    """

    def __init__(self, *, follow: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.rows: dict[str, Row] = {}
        self._follow = follow
        self._clock = clock
        self._in_state = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come that is waited for."""
        self._give_up()
        return not self._follow and all(row.is_over for row in self.rows.values())

    @property
    def exit(self) -> Exit:
        """What they came to: a failure counts more than a cancel, and that more than success."""
        ends = {row.status for row in self.rows.values()}
        if ends & {FAILED, FORGOTTEN}:
            return Exit.FAILED
        return Exit.CANCELLED if CANCELLED in ends else Exit.OK

    def begin(self, operation: Mapping[str, Any]) -> Row:
        """Follow an operation, given as the service shows it."""
        status = operation["status"]
        row = Row(operation["id"], operation["kind"], status, _cursor(operation.get("lastEventId", "")))
        self.rows[row.id] = row
        for event_type in ("warning", "progress", "error", "complete"):
            if event_type in operation.get("events", {}):
                _say(row, event_type, operation["events"][event_type])
        row.status, row.is_over = status, status in FINAL_STATUSES
        return row

    def hear(self, message: Message) -> dict[str, Any] | None:
        """Take what a stream says; give its data if that is news of an operation that is followed."""
        data = json.decode(message.data)
        if message.type == "heartbeat":
            self._end_state()
        elif message.type == "reset":
            self._begin_state()
        else:
            return self._hear_event(message, data)
        return None

    def _hear_event(self, message: Message, data: dict[str, Any]) -> dict[str, Any] | None:
        row = self.rows.get(data.get("operationId", ""))
        if self._follow and not self._in_state and (row is None or row.is_over):
            row = Row(data["operationId"], data["operationType"], "")
            self.rows[row.id] = row
        place = None if self._in_state else _cursor(message.id)  # the state has no ids of its own
        if row is None or row.is_over or (place and row.seen and place <= row.seen):
            return None
        row.seen = place or row.seen
        row.unheard, row.forgotten_at = False, None
        _say(row, message.type, data)
        return data

    def _begin_state(self) -> None:
        self._in_state = True
        for row in self.rows.values():
            row.unheard = not row.is_over
            row.seen = None  # what follows may be another history, whose ids compare with none of this one

    def _end_state(self) -> None:
        """Mark as forgotten what the state did not have that followed a reset, until it is heard of."""
        self._in_state = False
        for row in self.rows.values():
            if row.unheard and row.forgotten_at is None:
                row.forgotten_at = self._clock()

    def _give_up(self) -> None:
        for row in self.rows.values():
            if row.forgotten_at is not None and self._clock() - row.forgotten_at > FORGOTTEN_S:
                row.status, row.is_over = FORGOTTEN, True
                row.message = "the service lost its memory and has not heard of it since"


def _say(row: Row, event_type: str, data: Mapping[str, Any]) -> None:
    """Have *row* know an event."""
    match event_type:
        case "progress":
            row.progress = data
            row.message = data.get("message", row.message)
            row.status = row.status or "running"
        case "status":
            row.status = data["status"]
        case "complete":
            row.status, row.is_over, row.took_s = SUCCEEDED, True, data.get("durationSeconds")
            row.message = ""
        case _:
            row.message = f"{data['code']}: {data['message']}"
            if data.get("terminal"):
                row.status = CANCELLED if data["code"] == CANCELLED else FAILED
                row.is_over, row.took_s = True, data.get("durationSeconds")


def _cursor(wire: str) -> Cursor | None:
    try:
        return Cursor.parse(wire)
    except InvalidValue:
        return None
