"""One open stream: what it wants, and how far it has got.

Takes entries out of the ring when the hub wakes it, gives them to its gear (`webapp.stream`)
to be written. It keeps no queue: what waits for a slow reader waits in the ring, once for
all. A reader that falls behind the ring is closed, and its resume says the rest.
"""

from enum import StrEnum
from typing import Final

from gevent.event import Event

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.topics import Filter
from webapp.ring import Ring

MAX_WAITING_BYTES: Final = 65_536
"""What may wait for one reader before its progress is conflated (DESIGN.md, 5.6)."""


class CloseReason(StrEnum):
    """Why a stream ended. None of them is an error: the browser comes back with its cursor."""

    FINISHED = "finished"
    LAGGED = "lagged"
    DRAINING = "draining"
    HISTORY = "history"
    """The log is in another era, or was trimmed under the replay: the resume decides."""
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    GONE = "gone"


class Subscriber:
    """One stream's place in the log. Made by its stream, registered with the hub, closed by either."""

    __slots__ = ("_ring", "_waking", "closed", "position", "wanted")

    def __init__(self, ring: Ring, wanted: Filter, position: Cursor) -> None:
        self._ring = ring
        self._waking = Event()
        self.wanted = wanted
        self.position = position
        self.closed: CloseReason | None = None

    def wake(self) -> None:
        """Let `wait` return: there may be something to take. Never blocks."""
        self._waking.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for `wake` or `close`, other greenlets running; tell whether it came in time."""
        woken = self._waking.wait(timeout_s)
        self._waking.clear()
        return woken

    def take(self) -> list[Entry]:
        """Take what has come since the last time, and stand at the feed's position. Never blocks.

        Too much for one reader's share: of each operation's progress only the newest.
        """
        if not self._ring.reaches(self.position):
            self.close(CloseReason.LAGGED)
            return []
        entries = self._ring.after(self.position, self.wanted)
        if self._ring.head is not None:
            self.position = max(self.position, self._ring.head)
        return conflate(entries) if sum(len(entry.data) for entry in entries) > MAX_WAITING_BYTES else entries

    def close(self, reason: CloseReason) -> None:
        """Have the stream end, for the first *reason* given."""
        self.closed = self.closed or reason
        self.wake()


def conflate(entries: list[Entry]) -> list[Entry]:
    """Keep of each operation's progress only the newest, at its own place, and everything else."""
    newest = {entry.operation_id: entry for entry in entries if entry.type == "progress"}
    return [entry for entry in entries if entry.type != "progress" or newest[entry.operation_id] is entry]
