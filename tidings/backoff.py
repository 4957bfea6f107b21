"""How long to wait between tries while Redis is away: the one rule of feed and reporter."""

import random
import time
from collections.abc import Callable
from typing import Final

FIRST_S: Final = 0.05
LONGEST_S: Final = 0.6
"""From the beginning of a try to the next: live again within a second of Redis' return."""
_SHORTEST_S: Final = 0.02
_chance: Final = random.SystemRandom()
"""Not the process' own, which is the author's to seed: threads of ours would take numbers out of its row."""


class Backoff:
    """The pauses of one loop that tries, fails, and tries again.

    Counted from the beginning of a try: one that took long to fail is followed at once, and the
    pauses begin anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_s = FIRST_S
        self._tried_at = 0.0

    def begin(self) -> None:
        """Note that a try begins now."""
        self._tried_at = self._clock()

    def pause_s(self) -> float:
        """Say how long to wait after the try that has just failed; longer each time, with jitter."""
        took_s = self._clock() - self._tried_at
        if took_s > LONGEST_S:
            self._next_s = FIRST_S
        pause_s = self._next_s * _chance.uniform(0.5, 1)
        self._next_s = min(self._next_s * 2, LONGEST_S)
        return max(pause_s - took_s, _SHORTEST_S)
