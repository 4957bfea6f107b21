"""The page of one operation: how it stands, in its first paint; its script tells what happened."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, render_template, url_for

from tasks.catalog import KINDS
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.events import FINAL_STATUSES
from tidings.log import OperationState
from tidings.topics import check_identifier
from webapp import words
from webapp.allowed import found
from webapp.auth import access
from webapp.errors import NotFound
from webapp.meanings import MEANINGS, meaning
from webapp.service import Service, service
from webapp.shown import age, shown

blueprint = Blueprint("operation_page", __name__)


@blueprint.get("/operations/<operation_id>")
def operation(operation_id: str) -> Response:
    """Show one operation. Of one that nothing is kept of, 404 and a page that waits for it.

    With the log away the page is there all the same, says so, and fills itself when it can.
    """
    check_identifier("id", operation_id)
    here = service()
    available, state = _read(here, operation_id)
    text = render_template(
        "operation.html",
        id=operation_id,
        available=available,
        operation=_told(state) if state else None,
        meanings=MEANINGS,
        stream=url_for("events.operation", name=operation_id, _external=True),
    )
    return Response(text, 404 if available and state is None else 200, {"Cache-Control": "no-cache"})


def _read(here: Service, operation_id: str) -> tuple[bool, OperationState | None]:
    """Read the operation; tell whether it could be: a page that waits for the log shows nothing at all."""
    if here.feed.degraded is not None:
        return False, None
    try:
        return True, found(here, access(), operation_id)
    except NotFound:
        return True, None
    except LogUnavailable:
        return False, None


def _told(state: OperationState) -> dict[str, Any]:
    """Give what the template shows beside what every page shows."""
    said, what = shown(state), state.descriptor
    error = said["events"].get("error", {})
    failure = error if error.get("terminal") else None
    return said | {
        "title": _title(what),
        "over": state.status in FINAL_STATUSES,
        "last": state.last.wire,
        "workflow": what.workflow_id or "",
        "parent": what.parent_id or "",
        "owner": what.owner or "",
        "failure": failure and failure | {"meaning": meaning(what.kind, failure["code"])},
        "result": said["events"].get("complete", {}).get("result"),
        "times": _times(state, said["updatedAt"]),
    }


def _title(what: Descriptor) -> str:
    """Name an operation as its author does; the tasks of our own kinds say no more than their kind."""
    ours = KINDS.get(what.kind)
    return what.name if what.name and not (ours and what.name == ours.task) else what.kind


def _times(state: OperationState, updated_at: str) -> list[tuple[str, str]]:
    """Say when it began and how long it took, or when it was last heard of."""
    times = []
    if state.waited_ms is not None:
        times.append(("Waited", words.duration(state.waited_ms / 1000)))
    if state.took_ms is not None and state.end is not None:
        times.append(("Took", words.duration(state.took_ms / 1000)))
    return [*times, ("Last heard of", age(updated_at, datetime.now(UTC)))]
