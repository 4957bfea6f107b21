"""What one web process has counted since it began: plain numbers, for whoever scrapes.

Takes additions from the hub and from streams as they go, gives them to `webapp.metrics`, which copies them
once a second. Adding is all that a delivery pays for its being counted.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from tidings.entry import Entry

LATENCY_BOUNDS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""From below what one process of a quiet machine takes, to a reporter whose Redis was away for a minute."""
_SAID: Final = b'"timestamp":"'
_SAID_CHARS: Final = len("2026-11-22T09:10:00.123Z")


class Counts:
    """One per hub, for its life. Any greenlet adds to it; nothing here can fail or wait."""

    __slots__ = (
        "ahead", "conflated", "ended", "foreign", "latency", "latency_sum_s", "limited", "live", "opened",
        "read", "replayed", "replays", "resets", "turned_away", "uploaded_bytes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.turned_away: Counter[str] = Counter()
        self.resets: Counter[str] = Counter()
        self.read = self.live = self.replayed = self.conflated = self.replays = self.ahead = 0
        self.uploaded_bytes = self.limited = self.foreign = 0
        self.latency = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.latency_sum_s = 0.0

    def written(self, events: int, said_s: float | None) -> None:
        """Note that *events* were just written, of a page whose first was said at *said_s*, s since 1970."""
        if not events or said_s is None:
            return
        age_s = time.time() - said_s
        if age_s < 0:
            self.ahead += events
            age_s = 0.0
        self.latency[bisect_left(LATENCY_BOUNDS_S, age_s)] += events
        self.latency_sum_s += age_s * events


def said_at_s(entries: Sequence[Entry]) -> float | None:
    """Say when the first event of *entries* was said, by its author's clock; None if it does not tell."""
    data = next((entry.data for entry in entries if entry.data), b"")
    start = data.find(_SAID) + len(_SAID)
    try:
        return datetime.fromisoformat(data[start : start + _SAID_CHARS].decode()).timestamp()
    except ValueError:
        return None
