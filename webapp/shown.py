"""An operation as a page shows it first: from what the log has of it to words and a bar. Pure."""

from datetime import UTC, datetime
from typing import Any

from msgspec import json

from tidings.events import FINAL_STATUSES, QUEUED, RETRYING
from tidings.log import OperationState
from webapp import words


def shown(state: OperationState) -> dict[str, Any]:
    """Give what a template shows of an operation.

    ``percentage`` is None while nobody knows how far it is, and then the bar has no value; ``pace`` is empty
    when nobody works on it. ``events`` has the latest of each type, ``updatedAt`` is for a ``<time>``.
    """
    what = state.descriptor
    events = {event_type: json.decode(data) for event_type, data in state.events.items()}
    progress = events.get("progress", {})
    return {
        "id": what.id,
        "kind": what.kind,
        "title": what.name or what.kind,
        "status": state.status,
        "attempt": state.attempt,
        "percentage": 100 if "complete" in events else progress.get("percentage"),
        "says": words.says(what.kind, events),
        "pace": words.pace(progress, what.kind) if works(state.status) else "",
        "updatedAt": datetime.fromtimestamp(state.updated_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "events": events,
    }


def works(status: str) -> bool:
    """Tell whether somebody works on an operation that stands so."""
    return status not in {QUEUED, RETRYING, *FINAL_STATUSES}


def age(updated_at: str, now: datetime) -> str:
    """Say how long ago *updated_at* was."""
    return words.age((now - datetime.fromisoformat(updated_at)).total_seconds())
