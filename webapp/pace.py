"""How a loop over many streams lets others run.

``gevent.sleep(0)`` runs only other greenlets: up to fifty turns pass before a readable socket is
looked at. A timer goes through the event loop (PARKING.md, 2: 12 ms against 196 ms).
"""

from typing import Final

import gevent

STRIDE: Final = 64
"""Steps between two pauses: 64 writes are some 0.4 ms; measured (PARKING.md, 2)."""


class Pace:
    """One loop's pacing. Used by one greenlet."""

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._timer = self._hub.loop.timer(0)
        self._steps = 0

    def step(self) -> None:
        """Count one step; every so many, let everything else run once."""
        self._steps += 1
        if self._steps % STRIDE == 0:
            self._hub.wait(self._timer)
