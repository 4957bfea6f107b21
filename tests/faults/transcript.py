"""What one browser was told over all its connections, in the few words that the judge needs.

Takes messages from a browser, gives values; opens nothing and judges nothing.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tests.sse import Message

ROW: Final = "row"
"""The field in an event's details or result that has its number: 1, 2, 3… in each operation."""


class Heard(NamedTuple):
    """One message as it came. ``at`` is monotonic; ``id`` is empty where the message set none of its own."""

    at: float
    type: str
    id: str
    operation: str = ""
    row: int = 0
    """Number of a durable report, 0 where there is none."""
    current: float | None = None
    """How far, on progress."""
    ends: bool = False

    @property
    def is_event(self) -> bool:
        """Whether it is an event of the log: it has an id, and is more than a sign of life."""
        return bool(self.id) and self.type != "heartbeat"

    @property
    def is_state(self) -> bool:
        """Whether it is a state: said in an opening, without an id."""
        return not self.id and self.type not in {"heartbeat", "reset"}

    @classmethod
    def of(cls, message: Message, before: str, at: float) -> "Heard":
        """Note *message*, which came when the browser's cursor was *before*."""
        own_id = message.last_event_id if message.last_event_id != before else ""
        data = json.loads(message.data)
        return cls(
            at,
            message.type,
            own_id,
            data.get("operationId", ""),
            _row(data),
            data.get("current"),
            message.type == "complete" or bool(data.get("terminal")),
        )


@dataclass
class Transcript:
    """All that one browser was told.

    *operations*: those it asked for, None for all. *from_start*: it was live before any of them began,
    or asked for their whole history.
    """

    name: str
    operations: frozenset[str] | None
    from_start: bool
    heard: list[Heard] = field(default_factory=list)

    def asks_for(self, operation: str) -> bool:
        """Tell whether the browser wants what is said about *operation*."""
        return self.operations is None or operation in self.operations


def _row(data: dict[str, Any]) -> int:
    said = data.get("details") or data.get("result")
    return int(said.get(ROW, 0)) if isinstance(said, dict) else 0
