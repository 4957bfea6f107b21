"""Appends at once and waits for the answer: for whoever must know before going on.

The other way into the log, beside the reporter: used where a task is dispatched, so that
nothing is started that nobody can see, and where a loss is said, which another may have said
first. It does not buffer and does not try for long.
"""

import os
import secrets
import threading
from collections.abc import Sequence
from typing import Final

from tidings.errors import LogUnavailable
from tidings.log import Log, Outcome
from tidings.record import Record

_TRIES: Final = 2
"""One repeat covers a reply that was lost with its connection; a second outage is told instead."""


class Writer:
    """One process' synchronous writes. Any thread or greenlet may call it; they take turns."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._pid = 0
        self._id = ""
        self._number = 0

    def append(self, record: Record) -> Outcome:
        """Append *record* and say what became of it. Waits for Redis, a few seconds at most.

        Raises: LogUnavailable; the record may have been stored all the same, at most once.
        """
        (outcome,) = self.append_all([record])
        if outcome.code == "error":
            raise LogUnavailable(outcome.message)
        return outcome

    def append_all(self, records: Sequence[Record]) -> list[Outcome]:
        """Append *records* in one step; after an ``error`` the rest was not looked at. Waits as `append`.

        Raises: LogUnavailable; they may have been stored all the same, at most once.
        """
        with self._lock:
            first = self._count(len(records))
            for attempt in range(1, _TRIES + 1):
                try:
                    return self._log.append(self._id, first, records)
                except LogUnavailable:
                    if attempt == _TRIES:
                        raise
        raise AssertionError("unreachable")

    def _count(self, records: int) -> int:
        """Take the next numbers, giving the first; a forked child counts for itself (LOG.md, C4)."""
        if self._pid != os.getpid():
            self._pid, self._id, self._number = os.getpid(), secrets.token_hex(8), 0
        first = self._number + 1
        self._number += records
        return first
