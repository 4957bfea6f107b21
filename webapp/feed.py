"""The one greenlet of a web process that reads Redis for its streams.

Fifth stage of the flow: takes entries from the log, gives them to the hub, page by page, in
order and without holes, or has every stream end where they no longer follow. While Redis is
away it keeps trying and says so; the streams stay open.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import gevent

from tidings.backoff import Backoff
from tidings.cursor import Cursor
from tidings.entry import ERA, Entry
from tidings.errors import LogUnavailable
from tidings.log import PAGE_ENTRIES, Log, Mark
from webapp.hub import Hub
from webapp.wakeups import Wakeups

if TYPE_CHECKING:
    from tidings.tracing import Traces

TELL_AFTER_S: Final = 1.0
"""Without contact for so long, the streams are told; a connection that is made anew at once is no news."""

FOREIGN_SAID_S: Final = 60.0
"""How often the log says that others publish on our channel."""

logger = logging.getLogger(__name__)


class Feed:
    """One per process, started once (`start`), running until the process ends.

    *on_lost* is called when the contact to Redis is lost, before it is sought anew. ``contact_at``: when
    it last had all that is in the log, on the monotonic clock.
    """

    def __init__(
        self,
        log: Log,
        hub: Hub,
        on_lost: Callable[[], None] = lambda: None,
        traces: "Traces | None" = None,
    ) -> None:
        self._log = log
        self._traces = traces
        self._hub = hub
        self._on_lost = on_lost
        self.contact_at = self._foreign_said_at = time.monotonic()
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self.degraded: str | None = "the log has not been read yet"

    def start(self) -> None:
        """Start reading, unless it was started before."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        backoff = Backoff()
        while True:
            backoff.begin()
            try:
                self._follow()
            except LogUnavailable as error:
                self._degrade(str(error))
            except Exception:
                # The top of a supervised loop: whatever it is, the streams must not starve silently.
                logger.exception("the feed failed and starts again")
                self._degrade("the feed failed")
            gevent.sleep(backoff.pause_s())

    def _follow(self) -> None:
        """Follow the log while Redis answers. Raises: LogUnavailable."""
        with Wakeups(self._log, self._note_foreign) as wakeups:
            woken = False
            while True:
                self.look(woken=woken)
                self._recover()
                woken = wakeups.wait()

    def _note_foreign(self) -> None:
        """Count what somebody else has published on our channel; it does no more than wake us."""
        self._hub.counts.foreign += 1
        if self._hub.counts.foreign == 1 or time.monotonic() - self._foreign_said_at > FOREIGN_SAID_S:
            self._foreign_said_at = time.monotonic()
            logger.warning(
                "something that is none of ours was published on %s (%d so far): who else uses this Redis?",
                self._log.channel, self._hub.counts.foreign,
            )  # fmt: skip

    def look(self, *, woken: bool) -> None:
        """Read and route what has come; unless *woken*, first ask where the log stands.

        Raises: LogUnavailable.
        """
        self._catch_up(None if woken else self._log.hello())

    def _catch_up(self, server: Mark | None) -> None:
        """Read all that follows what the hub has.

        *server*, when the log was asked, is where it stood then, before anything was read: what
        does not lead there is a discontinuity, even if nothing is to be read (LOG.md, A14). So it is
        asked whenever nothing was: another history may have smaller ids, and wake us all the time.
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
            asked_ns = time.time_ns()
            page = self._log.read(position)
            sound = _following(page, position)
            already = self._hub.counts.live
            self._hub.route(sound)
            if self._traces is not None:
                self._traces.written(sound, self._hub.counts.live - already, asked_ns, time.time_ns())
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
            self._on_lost()
        self.degraded = reason
        if time.monotonic() - self.contact_at > TELL_AFTER_S:
            self._hub.tell(degraded=True)

    def _recover(self) -> None:
        self.contact_at = time.monotonic()
        if self.degraded is None:
            return
        logger.info("following the log")
        self.degraded = None
        self._hub.tell(degraded=False)


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
    have a smaller number, when the clock went back. A log that stood before what we had already
    read of the same era has lost its tail.
    """
    if server.era == before.era and server < before:
        return False
    return after >= server and (after.era == server.era or after != before)
