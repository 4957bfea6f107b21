"""The gate before a task's first line: what was cancelled while it waited does not begin.

Beside the first stage of the flow: takes the operation whose task is about to begin, asks the log. It is
there for what the broker's revoke does not reach: a task that a thread pool has fetched, or whose message
waited while no worker was up. It costs nothing where nobody cancels, and never stands in the way of a task
for want of Redis.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable

LOOK_S: Final = 0.25
"""How long a task's beginning may be held up by a Redis that does not answer; once in `PAUSE_S`."""
PAUSE_S: Final = 2.0
FRESH_S: Final = 0.05
"""How long it is taken as known that nobody has cancelled anything lately: 20 looks a second at most."""


class Cancels(Protocol):
    """What it asks of the log."""

    def cancels(self, about: Descriptor) -> tuple[bool, bool]:
        """Tell whether anything was asked to be cancelled lately, and whether this or its workflow was."""


class Gate:
    """One process' gate. Any thread or greenlet may call it; a look waits for Redis, `LOOK_S` at most."""

    def __init__(self, log: Cancels, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._open_until = 0.0

    def is_closed(self, descriptor: Descriptor) -> bool:
        """Tell whether the operation, or its workflow, was asked to be cancelled, as far as Redis says."""
        if self._clock() < self._open_until:
            return False
        try:
            lately, is_cancelled = self._log.cancels(descriptor)
        except LogUnavailable:
            self._open_until = self._clock() + PAUSE_S
            return False
        if not lately:
            self._open_until = self._clock() + FRESH_S
        return is_cancelled
