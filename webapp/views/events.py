"""The four streams: everything, or one operation, agent or workflow."""

from collections.abc import Iterator

from flask import Blueprint, Response, request

from tidings.cursor import Cursor
from tidings.errors import HistoryChanged, LogUnavailable
from tidings.topics import check_identifier
from webapp.connection import CONNECTION
from webapp.errors import NotFound
from webapp.opening import Past, open_stream
from webapp.query import read_filter, read_past
from webapp.service import Service, service
from webapp.stream import Plan, sent_away, stream_frames

READY_S = 3.0
"""How long a stream waits for a process that has just started to find the log."""
HEADERS = {
    "Cache-Control": "no-store, no-transform",  # no proxy may keep or recode it
    "X-Accel-Buffering": "no",  # nginx passes each event on at once (PITFALLS 1.7)
}

blueprint = Blueprint("events", __name__, url_prefix="/api/events")


@blueprint.get("/stream")
def stream() -> Response:
    """Stream everything, or the topics named in the query."""
    return _stream(())


@blueprint.get("/operations/<name>")
def operation(name: str) -> Response:
    """Stream one operation until it is over."""
    return _stream((f"operations:{check_identifier('id', name)}",), until=name)


@blueprint.get("/agents/<name>")
def agent(name: str) -> Response:
    """Stream one agent."""
    return _stream((f"agents:{check_identifier('id', name)}",))


@blueprint.get("/workflows/<name>")
def workflow(name: str) -> Response:
    """Stream one workflow: its own events and its operations'."""
    return _stream((f"workflows:{check_identifier('id', name)}",))


def _stream(topics: tuple[str, ...], until: str = "") -> Response:
    here = service()
    wanted = read_filter(request.args, topics, here.settings.max_topics)
    past = read_past(request.args, request.headers)
    here.start()
    feed = here.hub.wait_until_ready(READY_S)
    if feed is None or here.hub.draining or not here.has_room:
        return _body(sent_away())
    try:
        opening = open_stream(here.log, here.hub.ring, feed, wanted, past)
        end = _end_of(here, topics, past, until)
    except (HistoryChanged, LogUnavailable):
        return _body(sent_away())
    # Read after the opening: an end that lies beyond its position will come live.
    over = end is not None and end <= opening.position
    if over and opening.reset is None and past.cursor is not None and end is not None and past.cursor >= end:
        return Response(status=204, headers=HEADERS)
    plan = Plan(
        wanted,
        past,
        feed,
        opening,
        here.settings.heartbeat_s,
        until_end=bool(until),
        over=over,
        connect=request.environ.get(CONNECTION),
    )
    return _body(stream_frames(here.hub, plan))


def _end_of(here: Service, topics: tuple[str, ...], past: Past, until: str) -> Cursor | None:
    """Give the place of the operation's end, if it has one.

    Raises: NotFound for a topic of which nothing is kept, unless the browser was there before:
    then it is the history that is gone, and the opening says so (LOG.md, A16).
    """
    try:
        state = here.log.operation(until) if until else None
        if state is None and topics and not past.requested and (until or not here.log.knows(topics[0])):
            raise NotFound(topics[0].replace("s:", " "))
    except LogUnavailable:
        return here.hub.ring.end_of(until)  # what the ring opened, it can also tell the end of
    return state.end if state else None


def _body(frames: Iterator[bytes]) -> Response:
    return Response(frames, content_type="text/event-stream", headers=HEADERS)
