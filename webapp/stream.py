"""One stream's life: its opening, and how it goes on.

Last stage before the wire, until it is live: then it is parked with the hub, or, where there is
no plain socket to park, drained here by the generator that the server draws from.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from tidings.errors import HistoryChanged, LogUnavailable
from tidings.log import Mark
from tidings.replay import Opening
from tidings.topics import Filter
from webapp import frames
from webapp.access import Grant
from webapp.connection import Connection
from webapp.hub import Hub
from webapp.opening import CHUNK_BYTES, Past, entry_chunks, opening_frames
from webapp.subscriber import CloseReason, draw_lifetime, share
from webapp.waiting import WaitingSubscriber

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one stream will send, opened when the log stood at *opened_at*.

    ``until_end``: it is one operation's own stream, and ends with it; ``over``: that has
    ended already, within the opening. ``connect`` gives the connection where it can be parked. ``grant``:
    whom it is for, if anybody was asked. ``address``: where it is counted.
    """

    wanted: Filter
    past: Past
    opened_at: Mark
    opening: Opening
    heartbeat_s: float
    until_end: bool = False
    over: bool = False
    connect: Callable[[], Connection] | None = None
    grant: Grant | None = None
    address: str = ""


def stream_frames(hub: Hub, plan: Plan) -> Generator[bytes]:
    """Yield the body of a stream, or its beginning if the rest is written by the hub.

    Registers with the hub only once it is drawn from: a body that never is leaves nothing behind.
    """
    connection = plan.connect() if plan.connect else None
    parks = connection is not None and connection.can_be_taken and not plan.over
    keeps = CHUNK_BYTES if parks and plan.opening.at_hand else 0
    _count(hub, plan, parks=parks)
    unsent = yield from _opened(hub, plan, keeps)
    if unsent is None:
        return
    if parks and connection is not None:
        # A short opening is still unsent: it leaves with the head of the response in one write, and
        # no greenlet can wait in it (PARKING.md, 1).
        hub.park(
            connection,
            plan.wanted,
            plan.opening.position,
            plan.opened_at,
            until_end=plan.until_end,
            unsent=unsent,
            grant=plan.grant,
            address=plan.address,
        )
        return
    subscriber = WaitingSubscriber(
        plan.wanted, plan.opening.position, until_end=plan.until_end, grant=plan.grant
    )
    subscriber.address = plan.address
    hub.join(subscriber, plan.opened_at)
    try:
        yield from _live_frames(hub, subscriber, plan.heartbeat_s)
    finally:
        hub.leave(subscriber)


def _count(hub: Hub, plan: Plan, *, parks: bool) -> None:
    counts, reset = hub.counts, plan.opening.reset
    counts.opened["parked" if parks else "generator"] += 1
    if reset is not None:
        counts.resets[reset] += 1
    elif plan.past.cursor is not None:
        counts.replays += 1


def _opened(hub: Hub, plan: Plan, keeps: int) -> Generator[bytes, None, bytes | None]:
    """Yield the opening but for its last bytes, at most *keeps*; return those, or None if it was all."""
    unsent = bytearray()
    ended: CloseReason | None = CloseReason.GONE
    try:
        for piece in opening_frames(
            plan.opening, plan.wanted, plan.past, degraded=hub.degraded, counts=hub.counts
        ):
            unsent += piece
            if len(unsent) > keeps:
                yield bytes(unsent)
                unsent.clear()
        ended = CloseReason.FINISHED if plan.over else None
    except (HistoryChanged, LogUnavailable) as error:
        logger.info("a stream ended in its opening: %s", error)
        ended = CloseReason.HISTORY if isinstance(error, HistoryChanged) else CloseReason.UNAVAILABLE
    finally:
        if ended is not None:
            hub.closed[ended] += 1
    return None if ended else bytes(unsent)


def _live_frames(hub: Hub, subscriber: WaitingSubscriber, heartbeat_s: float) -> Iterator[bytes]:
    """Yield what comes, and a heartbeat after each silence, until the subscriber is closed."""
    silent_since = time.monotonic()
    ends_at = silent_since + draw_lifetime(hub.lifetime_s, subscriber.grant)
    while subscriber.closed is None:
        now = time.monotonic()
        if now >= ends_at:
            subscriber.close(subscriber.end_of_life())
            break
        matching = subscriber.matching(hub.ring)
        entries = share(matching)
        rest_s = silent_since + heartbeat_s - now
        if entries:
            hub.counts.live += len(entries)
            hub.counts.conflated += len(matching) - len(entries)
            yield from entry_chunks(iter(entries))
            silent_since = time.monotonic()
        elif subscriber.closed is not None:
            break
        elif rest_s <= 0 or subscriber.nudged:
            subscriber.nudged = False
            yield frames.delayed() if hub.degraded else frames.heartbeat(subscriber.position)
            silent_since = time.monotonic()
        else:
            subscriber.wait(min(rest_s, ends_at - now))
    if farewell := subscriber.farewell():
        yield farewell


def sent_away() -> Generator[bytes]:
    """Yield the body for a stream that cannot be served now: when to come back, and no more."""
    yield frames.retry(frames.AWAY_SPREAD)
