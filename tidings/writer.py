"""Appends one record at once and waits for the answer: for whoever must know before going on.

The other way into the log, beside the reporter: used where a task is dispatched, so that
nothing is started that nobody can see. It does not buffer and does not try for long.
"""

import os
import secrets
import threading
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
        with self._lock:
            self._count()
            for attempt in range(1, _TRIES + 1):
                try:
                    (outcome,) = self._log.append(self._id, self._number, [record])
                except LogUnavailable:
                    if attempt == _TRIES:
                        raise
                else:
                    break
        if outcome.code == "error":
            raise LogUnavailable(outcome.message)
        return outcome

    def _count(self) -> None:
        """Take the next number; a forked child counts for itself (LOG.md, C4)."""
        if self._pid != os.getpid():
            self._pid, self._id, self._number = os.getpid(), secrets.token_hex(8), 0
        self._number += 1
