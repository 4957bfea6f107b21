"""A reporter for a process that must not have threads: a worker's parent, which forks all its life.

Beside the reporter: takes records from the handlers of Celery's signals, appends them before it returns,
or keeps them until it is asked again. Gives what the reporter gives: order, once, bounds. It does not
conflate over time, since nothing here progresses.
"""

import time
from collections.abc import Sequence
from typing import Final

from tidings.log import Log
from tidings.record import Record
from tidings.reporter import Reporter

TRY_S: Final = 0.2
"""How long a worker's parent may be held up by a Redis that does not answer: its loop serves its children."""
PAUSE_S: Final = 2.0
"""Between two tries while Redis is away: a thousand revoked messages must not each wait for it."""


class ThreadlessReporter(Reporter):
    """Sends in the thread that says something, with one try. Used from one thread."""

    def __init__(self, log: Log, *, buffer_records: int, pause_s: float = PAUSE_S) -> None:
        super().__init__(log, buffer_records=buffer_records, interval_s=0.0)
        self._pause_s = pause_s
        self._not_before = 0.0

    def put(self, records: Sequence[Record]) -> None:
        """Append *records* behind what waits; they wait if Redis does not take them. Waits up to `TRY_S`."""
        with self._changed:
            for record in records:
                self._keep(record)
        if time.monotonic() >= self._not_before:
            self.flush(TRY_S)

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - one try, of `TRY_S`
        """Try once to append all that waits; tell whether nothing does any more."""
        while self._take():
            if not self._deliver(self._in_flight):
                self._not_before = time.monotonic() + self._pause_s
                return False
        return True

    def _take(self) -> bool:
        """Freeze what goes next; tell whether there is anything."""
        with self._changed:
            found = self._collect()
            self._cut_batch()
        return found
