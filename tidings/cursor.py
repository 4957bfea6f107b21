"""A place in the log: which era, and how far in it.

Takes event ids from the wire, gives comparable values. Pure: whether a cursor belongs to
the history that the log holds now is for `tidings.replay` to find out.
"""

import re
from typing import Final, NamedTuple, Self

from tidings.errors import InvalidValue

# 2^53 - 1 has 16 digits: eras are microseconds kept as exact doubles inside Redis' Lua.
EVENT_ID_PATTERN: Final = "evt_([1-9][0-9]{0,15})-(0|[1-9][0-9]{0,14})"
_WIRE = re.compile(EVENT_ID_PATTERN, re.ASCII)


class Cursor(NamedTuple):
    """An event id, read as "I have everything up to here".

    Ordered by era, then by number. The order means something only between cursors of one
    linked history (LOG.md): eras of another history may be larger or smaller by accident.
    """

    era: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id as the wire carries it (``evt_<era>-<n>``).

        Raises: InvalidValue for any other spelling, leading zeros and foreign digits included.
        """
        match = _WIRE.fullmatch(text)
        if match is None:
            raise InvalidValue("last_event_id", "an id that this service sent (evt_<era>-<n>)", text)
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def from_stream(cls, stream_id: bytes) -> Self:
        """Read the id of a Redis stream entry (``<era>-<n>``)."""
        era, _, n = stream_id.partition(b"-")
        return cls(int(era), int(n))

    @property
    def wire(self) -> str:
        """The id as the wire carries it."""
        return f"evt_{self.era}-{self.n}"

    @property
    def stream_id(self) -> str:
        """The id as Redis keeps it."""
        return f"{self.era}-{self.n}"
