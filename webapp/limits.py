"""How much of a process one address, or one subject, may take: streams that are open, requests a second.

Counts what the hub and the views tell it. Nothing that it says is an error to a stream: that is told when to
come back (DESIGN.md, 3). Beside the flow; used by every greenlet of the process; never blocks.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

BURST_S: Final = 10.0
"""So many seconds' worth may come at once: an office behind one address comes back from a deploy. Guessed."""
MOST_ADDRESSES: Final = 50_000
"""Remembered for their pace, some 10 MB: those that have rested are forgotten first, then all. Guessed."""


class Limits:
    """One per process. A limit of 0 is none, and the empty name is nobody's."""

    def __init__(
        self,
        streams_per_address: int = 0,
        streams_per_subject: int = 0,
        requests_per_s: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = (streams_per_address, streams_per_subject)
        self._open: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._each_s = 1 / requests_per_s if requests_per_s else 0.0
        self._clock = clock
        self._paid_until: dict[str, float] = {}

    def have_room(self, address: str, subject: str, *, beyond: int = 0) -> bool:
        """Tell whether another stream is within both limits, or *beyond* more than are counted already."""
        return all(
            not (name and most) or opened[name] + 1 - beyond <= most
            for name, most, opened in zip((address, subject), self._most, self._open, strict=True)
        )

    def opened(self, address: str, subject: str) -> None:
        """Count a stream that is open."""
        for name, opened in zip((address, subject), self._open, strict=True):
            if name:
                opened[name] += 1

    def ended(self, address: str, subject: str) -> None:
        """Count a stream no more."""
        for name, opened in zip((address, subject), self._open, strict=True):
            if opened[name] > 1:
                opened[name] -= 1
            else:
                del opened[name]

    def are_kept_by(self, address: str) -> bool:
        """Tell whether a request from *address* is within its pace now."""
        ahead_s = self._paid_until.get(address, 0.0) + self._each_s - self._clock()
        return not address or not self._each_s or ahead_s <= BURST_S

    def admit(self, address: str) -> bool:
        """Tell whether *address* may ask for a stream now; of whose it is, nothing is known yet."""
        return self.are_kept_by(address) and self.have_room(address, "")

    def count(self, address: str) -> None:
        """Count a request from *address* that is served."""
        if not address or not self._each_s:
            return
        now = self._clock()
        if len(self._paid_until) >= MOST_ADDRESSES and address not in self._paid_until:
            self._forget(now)
        self._paid_until[address] = max(self._paid_until.get(address, 0.0), now) + self._each_s

    def _forget(self, now: float) -> None:
        self._paid_until = {name: until for name, until in self._paid_until.items() if until > now}
        if len(self._paid_until) >= MOST_ADDRESSES:
            self._paid_until = {}
