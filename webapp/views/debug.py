"""For operators: what everybody's streams wait for, any topic live, and an operation once more from its log.

Who waits for what is nobody's business but theirs: it takes a token that says ``operator``. Events are seen
as by anybody else, by the topics of the same token.
"""

from heapq import nlargest
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for
from msgspec import json

from tidings.errors import InvalidValue
from tidings.events import TYPES
from tidings.topics import EVERYTHING, check_topic
from webapp.auth import access, asker
from webapp.errors import Forbidden
from webapp.inspection import Held, Share
from webapp.query import read_limit
from webapp.service import service
from webapp.views.operations import DEFAULT_LIMIT

blueprint = Blueprint("debug", __name__)


@blueprint.get("/debug")
def page() -> Response:
    """Show the operator's page; to anybody else a place to put a token into, and nothing else."""
    known = asker()
    status = 401 if known is None else 200 if known.operates else 403
    text = render_template(
        "debug.html",
        available=service().feed.degraded is None,
        status=status,
        types=TYPES,
        stream=url_for("events.stream", _external=True),
    )
    return Response(text, status, {"Cache-Control": "no-store"})


@blueprint.get("/api/debug/streams")
def streams() -> Response:
    """Show what the streams of all web processes of this host wait for, the furthest behind first.

    Narrowed by ``topic`` to those that what is on it is for. A process that does not answer within 2 s is
    said not to. Streams that are still in their opening are not there.
    """
    if not access().operates:
        raise Forbidden("who waits for what is for who has a token that says operator")
    topic = _topic(request.args.get("topic", ""))
    limit = read_limit(request.args, DEFAULT_LIMIT)
    shares = service().inspection.ask()
    all_of_them = ((share.pid, held) for share in shares for held in share.held)
    found = [(pid, held) for pid, held in all_of_them if topic == EVERYTHING or held.hears(topic)]
    shown = nlargest(limit, found, key=lambda each: (each[1].waiting_bytes, each[1].open_s))
    body = {
        "processes": [_process(share) for share in shares],
        "streams": [_stream(pid, held) for pid, held in shown],
        "found": len(found),
    }
    return Response(json.encode(body), content_type="application/json", headers={"Cache-Control": "no-store"})


def _topic(text: str) -> str:
    """Read ``topic``. Raises: InvalidValue."""
    if text in {"", EVERYTHING}:
        return EVERYTHING
    try:
        return check_topic(text)
    except InvalidValue as error:
        raise InvalidValue("topic", error.allowed, text) from None


def _process(share: Share) -> dict[str, Any]:
    if not share.answered:
        return {"pid": share.pid, "answered": False}
    said: dict[str, Any] = {
        "pid": share.pid,
        "answered": True,
        "streams": share.streams,
        "described": len(share.held),
        "position": share.position,
        "draining": share.draining,
    }
    return said | ({"degraded": share.degraded} if share.degraded else {})


def _stream(pid: int, held: Held) -> dict[str, Any]:
    return {
        "process": pid,
        "gear": held.gear,
        "topics": held.topics,
        "types": held.types,
        "kinds": held.kinds,
        "subject": held.subject,
        "openSeconds": round(held.open_s, 3),
        "stuckSeconds": round(held.stuck_s, 3),
        "waitingEvents": held.waiting_events,
        "waitingBytes": held.waiting_bytes,
        "position": held.position,
    }
