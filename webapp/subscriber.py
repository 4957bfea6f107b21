"""One open stream: what it wants, and how far it has got.

Takes entries out of the ring when the hub has news for it; its gear writes them: parked
(`webapp.parked`) or waiting in a generator (`webapp.waiting`). It keeps no queue: what waits
for a slow reader waits in the ring, once for all. A reader that falls behind the ring is
closed, and its resume says the rest.
"""

import random
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.topics import Filter
from webapp import frames
from webapp.access import Grant
from webapp.page import Page
from webapp.ring import Ring

MAX_WAITING_BYTES: Final = 65_536
"""What may wait for one reader before its progress is conflated (DESIGN.md, 5.6)."""

SHORTEST_LIFE: Final = 0.8
"""Of the longest: streams that came together do not all go together (mercure does the same)."""

EXPIRY_SPREAD_S: Final = 10.0
"""Streams whose tokens were made together end so many seconds apart, before those are over. Guessed."""


class CloseReason(StrEnum):
    """Why a stream ended. None of them is an error: the browser comes back with its cursor."""

    FINISHED = "finished"
    LAGGED = "lagged"
    STUCK = "stuck"
    DRAINING = "draining"
    LIFETIME = "lifetime"
    """It was open for as long as streams may be: whoever is still there comes back at once."""
    EXPIRED = "expired"
    """What it was granted by is good no more: who comes back with a new token goes on."""
    REVOKED = "revoked"
    HISTORY = "history"
    """The log is in another era, or was trimmed under the replay: the resume decides."""
    OVERLOADED = "overloaded"
    LIMITED = "limited"
    """Others of its address or subject were faster."""
    UNAVAILABLE = "unavailable"
    """Redis went away while its opening was read."""
    GONE = "gone"


class Subscriber:
    """One stream's place in the log; registered with the hub while it is live.

    Made by its stream, closed by the hub or by its gear. ``position`` may lag behind what the
    reader has by what was not for it. ``until_end``: it is one operation's own stream, and
    ends with it. ``grant``: whom it was opened for, if anybody was asked. ``address``: where it is counted.
    ``gear`` is its gear's name.
    """

    __slots__ = ("address", "closed", "grant", "position", "until_end", "wanted")
    gear: ClassVar[str]

    def __init__(
        self, wanted: Filter, position: Cursor, *, until_end: bool = False, grant: Grant | None = None
    ) -> None:
        self.wanted = wanted
        self.grant = grant
        self.position = position
        self.until_end = until_end
        self.address = ""
        self.closed: CloseReason | None = None

    @property
    def subject(self) -> str:
        """Whose it is; empty where nobody was asked."""
        return "" if self.grant is None else self.grant.subject

    @property
    def open_s(self) -> float:
        """For how many seconds it has been live."""
        raise NotImplementedError

    @property
    def stuck_s(self) -> float:
        """For how many seconds its reader has taken nothing of what waits."""
        return 0.0

    def waiting(self, ring: Ring) -> tuple[int, int]:
        """Say how many events wait for its reader, of how many bytes; before any are conflated."""
        entries = [entry for entry in ring.on(self.wanted.topics, self.position) if entry.is_for(self.wanted)]
        return len(entries), sum(len(entry.data) for entry in entries)

    def deliver(self, page: Page) -> None:
        """Hear that *page* has something on our topics. Never blocks."""
        raise NotImplementedError

    def nudge(self) -> None:
        """Send a heartbeat now: what it says has changed. Never blocks."""
        raise NotImplementedError

    def close(self, reason: CloseReason) -> None:
        """Have the stream end, for the first *reason* given. Never blocks."""
        self.closed = self.closed or reason

    def farewell(self) -> bytes:
        """Give what the browser is told before the end of the body: when to come back, if it is sent away.

        A drain and what expires are spread over some seconds as they are. Those that find no room come back
        to the same full process, all at once if they were cut at once.
        """
        if self.closed in {CloseReason.DRAINING, CloseReason.EXPIRED}:
            return frames.retry()
        finds_no_room = self.closed in {CloseReason.OVERLOADED, CloseReason.LIMITED}
        return frames.retry(frames.AWAY_SPREAD) if finds_no_room else b""

    def end_of_life(self) -> CloseReason:
        """Say why a stream ends whose time is up: its token's, if that has no more than its jitter left."""
        is_expiring = self.grant is not None and self.grant.expires_at - time.time() <= EXPIRY_SPREAD_S
        return CloseReason.EXPIRED if is_expiring else CloseReason.LIFETIME

    def take(self, ring: Ring) -> list[Entry]:
        """Take what has come since the last time, and stand at the ring's head. Never blocks.

        Too much for one reader's share: of each operation's progress only the newest. Closes
        the subscriber if it fell behind the ring, or if its operation's end is among what came.
        """
        return share(self.matching(ring))

    def matching(self, ring: Ring) -> list[Entry]:
        """Take all that has come since the last time (see `take`), however much it is."""
        if not ring.reaches(self.position):
            self.close(CloseReason.LAGGED)
            return []
        found = ring.on(self.wanted.topics, self.position)
        if ring.head is not None:
            self.position = max(self.position, ring.head)
        if self.sees_its_end(found):
            self.close(CloseReason.FINISHED)
        return [entry for entry in found if entry.is_for(self.wanted)]

    def sees_its_end(self, entries: Iterable[Entry]) -> bool:
        """Tell whether this is one operation's stream, and its terminal event is among *entries*."""
        return self.until_end and any(entry.ends_operation and self._is_about(entry) for entry in entries)

    def _is_about(self, entry: Entry) -> bool:
        return self.wanted.topics[0] == f"operations:{entry.operation_id}"


def share(entries: list[Entry]) -> list[Entry]:
    """Give of *entries* what one reader may have waiting."""
    return conflate(entries) if sum(len(entry.data) for entry in entries) > MAX_WAITING_BYTES else entries


def conflate(entries: list[Entry]) -> list[Entry]:
    """Keep of each operation's progress only the newest, at its own place, and everything else."""
    newest = {entry.operation_id: entry for entry in entries if entry.type == "progress"}
    return [entry for entry in entries if entry.type != "progress" or newest[entry.operation_id] is entry]


def draw_lifetime(longest_s: float, grant: Grant | None = None) -> float:
    """Draw how many seconds one stream may be open: never beyond what it was granted by."""
    lifetime_s = longest_s * random.uniform(SHORTEST_LIFE, 1)  # noqa: S311 - jitter
    if grant is None:
        return lifetime_s
    rest_s = max(grant.expires_at - time.time(), 0)
    spread_s = min(EXPIRY_SPREAD_S, rest_s * (1 - SHORTEST_LIFE))
    return min(lifetime_s, rest_s - random.uniform(0, spread_s))  # noqa: S311 - jitter
