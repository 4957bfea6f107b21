"""The one greenlet of a web process that reads Redis for its streams.

Fifth stage of the flow: takes entries from the log, gives them to the hub, page by page, in
order and without holes, or has every stream end where they no longer follow. While Redis is
away it keeps trying and says so; the streams stay open.
"""

import logging
import random
import time
from typing import Final

import gevent

from tidings.cursor import Cursor
from tidings.entry import ERA, Entry
from tidings.errors import LogUnavailable
from tidings.log import PAGE_ENTRIES, Log, Mark
from webapp.hub import Hub
from webapp.wakeups import Wakeups

BACKOFF_S: Final = (0.05, 0.8)
"""First and longest pause between tries: live again within a second of Redis' return."""

logger = logging.getLogger(__name__)


class Feed:
    """One per process, started once (`start`), running until the process ends."""

    def __init__(self, log: Log, hub: Hub) -> None:
        self._log = log
        self._hub = hub
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self.degraded: str | None = "the log has not been read yet"

    def start(self) -> None:
        """Start reading, unless it was started before."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        pause_s = BACKOFF_S[0]
        while True:
            started_at = time.monotonic()
            try:
                self._follow()
            except LogUnavailable as error:
                self._degrade(str(error))
            except Exception:
                # The top of a supervised loop: whatever it is, the streams must not starve silently.
                logger.exception("the feed failed and starts again")
                self._degrade("the feed failed")
            if time.monotonic() - started_at > 1:
                pause_s = BACKOFF_S[0]
            gevent.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause_s = min(pause_s * 2, BACKOFF_S[1])

    def _follow(self) -> None:
        """Follow the log while Redis answers. Raises: LogUnavailable."""
        with Wakeups(self._log) as wakeups:
            self._catch_up(self._log.hello())
            self._recover()
            while True:
                if wakeups.wait():
                    self._catch_up(None)
                else:
                    self._catch_up(self._log.hello())

    def _catch_up(self, server: Mark | None) -> None:
        """Read all that follows what the hub has.

        *server*, when the log was asked, is where it stood: what does not lead there is a
        discontinuity, even if nothing is to be read (LOG.md, A14). So it is asked whenever
        nothing was: another history may have smaller ids, and wake us all the time.
        """
        mine = self._hub.mark
        if mine is None:
            self._hub.start_over(server or self._log.hello())
            return
        position = self._read_on(mine.position)
        if position == mine.position and server is None:
            self._catch_up(self._log.hello())
        elif position is None or (
            server is not None and not _leads_to(server.position, mine.position, position)
        ):
            self._discontinue()
        elif server is not None and server.position.era == position.era:
            self._hub.follow(server.token)  # again, in case Redis went away when an era was met

    def _read_on(self, position: Cursor) -> Cursor | None:
        """Route every entry after *position*; give where that leads, or None where one does not follow."""
        while True:
            page = self._log.read(position)
            sound = _following(page, position)
            self._hub.route(sound)
            if any(entry.type == ERA for entry in sound):
                self._hub.follow(self._log.hello().token)
            if len(sound) < len(page):
                return None
            if sound:
                position = sound[-1].cursor
            if len(page) < PAGE_ENTRIES:
                return position

    def _discontinue(self) -> None:
        mark = self._log.hello()
        logger.warning(
            "the log does not follow what was read; every stream starts over at %s", mark.position.wire
        )
        self._hub.start_over(mark)

    def _degrade(self, reason: str) -> None:
        if self.degraded is None:
            logger.warning("no events until the log is back: %s", reason)
        self.degraded = reason

    def _recover(self) -> None:
        if self.degraded is not None:
            logger.info("following the log")
        self.degraded = None


def _following(page: list[Entry], position: Cursor) -> list[Entry]:
    """Give the entries of *page* up to the first that does not follow the one before it."""
    for count, entry in enumerate(page):
        if not entry.follows(position):
            return page[:count]
        position = entry.cursor
    return page


def _leads_to(server: Cursor, before: Cursor, after: Cursor) -> bool:
    """Tell whether having read from *before* to *after* agrees with the log having stood at *server*.

    An era that opened since may have led us past *server*; one that nothing led to may also
    have a smaller number, when the clock went back.
    """
    return after >= server and (after.era == server.era or after != before)
