"""What a request for a stream is answered with: its body, or that there is nothing more to come.

Takes what is asked for, checked, and by whom; gives frames. Knows nothing of how HTTP is served.
"""

from collections.abc import Callable, Generator
from typing import Final

from tidings.cursor import Cursor
from tidings.errors import HistoryChanged, LogUnavailable
from tidings.log import Mark
from tidings.replay import Opening
from webapp.access import Access
from webapp.allowed import narrowed
from webapp.connection import Connection
from webapp.errors import NotFound
from webapp.query import Asked
from webapp.service import Service
from webapp.stream import Plan, sent_away, stream_frames

READY_S: Final = 3.0
"""How long a stream waits for a process that has just started to find the log."""
HEADERS: Final = {
    "Cache-Control": "no-store, no-transform",  # no proxy may keep or recode it
    "X-Accel-Buffering": "no",  # nginx passes each event on at once (PITFALLS 1.7)
}
CONTENT_TYPE: Final = "text/event-stream"


def answer(
    here: Service, access: Access, asked: Asked, connect: Callable[[], Connection] | None, address: str = ""
) -> Generator[bytes] | None:
    """Give the body of the stream, of what *access* lets see; None if the browser has all and that is over.

    *connect* gives the connection where it can be parked; *address* is where it is counted. Waits for
    Redis unless the ring has all that is asked for. Raises: NotFound.
    """
    here.start()
    feed = here.hub.wait_until_ready(READY_S)
    if feed is None:
        return turned_away(here, "unavailable")
    if here.hub.draining or not here.has_room:
        return turned_away(here, "draining" if here.hub.draining else "overloaded")
    if not here.limits.have_room(address, "" if access.grant is None else access.subject):
        return turned_away(here, "limited")
    past = asked.past
    try:
        wanted = narrowed(here, access, asked.wanted)
        opening = here.openings.open(feed, wanted, past)
        end = _end_of(here, asked, opening, feed)
    except (HistoryChanged, LogUnavailable):
        return turned_away(here, "unavailable")
    # Read after the opening: an end that lies beyond its position will come live.
    over = end is not None and end <= opening.position
    if over and opening.reset is None and past.cursor is not None and end is not None and past.cursor >= end:
        return None
    plan = Plan(
        wanted,
        past,
        feed,
        opening,
        here.settings.heartbeat_s,
        until_end=bool(asked.until),
        over=over,
        connect=connect,
        grant=access.grant,
        address=address,
    )
    return stream_frames(here.hub, plan)


def turned_away(here: Service, reason: str) -> Generator[bytes]:
    """Give the body of a stream that cannot be served now, and count it."""
    here.hub.counts.turned_away[reason] += 1
    return sent_away()


def _end_of(here: Service, asked: Asked, opening: Opening, feed: Mark) -> Cursor | None:
    """Give the place of the operation's end, if the stream is one operation's and that has one.

    Out of memory if that knows: the operation's state, if the opening has it, or its latest event,
    if the ring has that and had read as far as the opening goes. Raises: NotFound for a topic of
    which nothing is kept, unless the browser was there before: then it is the history that is
    gone, and the opening says so (LOG.md, A16). HistoryChanged.
    """
    ring, topic, until = here.hub.ring, asked.topic, asked.until
    if until and opening.states:
        return opening.states[0].end
    if not topic or opening.states:
        return None
    latest = ring.latest(topic)
    if latest is not None and ring.head is not None and opening.position <= ring.head:
        return latest.cursor if until and latest.ends_operation else None
    try:
        mark, states = here.log.state([topic], 0) if until else (feed, [])
        if mark.token != feed.token:
            raise HistoryChanged("an end in another era is nobody's here, however large the cursor")
        if not states and not asked.past.requested and (until or not here.log.knows(topic)):
            raise NotFound(topic.replace("s:", " "))
    except LogUnavailable:
        return None  # the ring opened it, and has nothing of it
    return states[0].end if states else None
