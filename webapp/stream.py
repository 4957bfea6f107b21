"""One stream's life, in the generator gear: opening, live, and why it ends.

Last stage before the wire: drains a subscriber into frames for whatever writes the response.
The other gear, which parks the socket with the hub, replaces `live_frames` and nothing else.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tidings.errors import HistoryChanged, LogUnavailable
from tidings.replay import Opening
from tidings.topics import Filter
from webapp import frames
from webapp.hub import Hub
from webapp.opening import Past, entry_chunks, opening_frames
from webapp.subscriber import CloseReason, Subscriber

DRAIN_SPREAD = 4.0
"""A draining process' streams come back over this many times the usual range, not in step."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one stream will send. ``until`` is the operation whose end ends it, if any.

    ``over`` says that this operation has ended already, within the opening.
    """

    wanted: Filter
    past: Past
    opening: Opening
    heartbeat_s: float
    until: str = ""
    over: bool = False


def stream_frames(hub: Hub, plan: Plan) -> Iterator[bytes]:
    """Yield the whole body of a stream, waiting in between as other greenlets run.

    Registers with the hub only once it is drawn from, and leaves it however it ends.
    """
    try:
        yield from opening_frames(plan.opening, plan.wanted, plan.past)
    except (HistoryChanged, LogUnavailable) as error:
        logger.info("a stream ended in its opening: %s", error)
        return
    if plan.over:
        return
    # On an operation's own stream its end must be seen even if its type is filtered out.
    topics = Filter(plan.wanted.topics) if plan.until else plan.wanted
    subscriber = hub.join(topics, plan.opening.position)
    try:
        yield from live_frames(subscriber, plan)
    finally:
        hub.leave(subscriber)
    if subscriber.closed is CloseReason.DRAINING:
        yield frames.retry(DRAIN_SPREAD)


def live_frames(subscriber: Subscriber, plan: Plan) -> Iterator[bytes]:
    """Yield what comes, and a heartbeat after each silence, until the subscriber is closed."""
    silent_since = time.monotonic()
    while subscriber.closed is None:
        entries = subscriber.take()
        sent = False
        for chunk in entry_chunks(entry for entry in entries if entry.is_for(plan.wanted)):
            sent = True
            yield chunk
        if any(entry.ends_operation and entry.operation_id == plan.until for entry in entries):
            subscriber.close(CloseReason.FINISHED)
        elif sent:
            silent_since = time.monotonic()
        elif subscriber.closed is None:
            rest_s = silent_since + plan.heartbeat_s - time.monotonic()
            if rest_s <= 0:
                yield frames.heartbeat(subscriber.position)
                silent_since = time.monotonic()
            else:
                subscriber.wait(rest_s)


def sent_away() -> Iterator[bytes]:
    """Yield the body for a stream that cannot be served now: when to come back, and no more."""
    yield frames.retry(DRAIN_SPREAD)
