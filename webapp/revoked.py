"""Whose tokens are good no more: read from the log, by the one greenlet of a process that waits for it.

Takes revocations as they are appended, gives them to the hub, which ends the streams, and to whoever admits.
"""

import logging
from collections.abc import Callable
from typing import Final

import gevent
from gevent.event import Event

from tidings.backoff import Backoff
from tidings.errors import LogUnavailable
from tidings.log import Log
from webapp.access import Grant

WAIT_MS: Final = 1_000
READY_S: Final = 3.0
FROM_THE_BEGINNING: Final = "0-0"

logger = logging.getLogger(__name__)


class Revoked:
    """One process' knowledge of revocations. While Redis is away it knows what it knew.

    *on_news* is called after more were read. Used by every greenlet of the process.
    """

    def __init__(self, log: Log, on_news: Callable[[], None]) -> None:
        self._log = log
        self._on_news = on_news
        self._tokens: set[str] = set()
        self._subjects: dict[str, float] = {}
        self._read = Event()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Start reading, unless it was started before."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def covers(self, grant: Grant) -> bool:
        """Tell whether what was granted was revoked since. Waits until anything was read at all.

        Raises: LogUnavailable.
        """
        if not self._read.is_set():
            self.start()
            if not self._read.wait(READY_S):
                raise LogUnavailable("revocations have not been read yet")
        return self.has(grant)

    def has(self, grant: Grant) -> bool:
        """Tell whether what was granted was revoked since, as far as is known. Never blocks.

        Of a subject, what was issued until then: who signs in anew is let in.
        """
        return grant.token_id in self._tokens or grant.issued_at <= self._subjects.get(grant.subject, -1)

    def _run(self) -> None:
        backoff = Backoff()
        while True:
            backoff.begin()
            try:
                self._follow()
            except LogUnavailable as error:
                logger.info("nothing is heard of revocations until the log is back: %s", error)
            except Exception:
                # The top of a supervised loop: whatever it is, who was shut out must not be let in again.
                logger.exception("reading revocations failed and starts again")
            gevent.sleep(backoff.pause_s())

    def _follow(self) -> None:
        """Read all there is, after each loss of contact, then what comes. Raises: LogUnavailable."""
        after = self.look(FROM_THE_BEGINNING)
        while True:
            after = self.look(after, WAIT_MS)

    def look(self, after: str, wait_ms: int | None = None) -> str:
        """Read what came *after* an entry, or wait for it; give the last. Raises: LogUnavailable."""
        found = self._log.revoked(after, wait_ms)
        for entry_id, claim, value in found:
            after = entry_id
            self._take(claim, value, int(entry_id.partition("-")[0]) / 1_000)
        if found:
            self._on_news()
        self._read.set()
        return after

    def _take(self, claim: str, value: str, at_s: float) -> None:
        if claim == "jti":
            self._tokens.add(value)
        elif claim == "sub":
            self._subjects[value] = max(at_s, self._subjects.get(value, 0))
