"""An operation as a page shows it first: from what the log has of it to words and a bar. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import json

from tidings.events import FINAL_STATUSES, QUEUED, RETRYING
from tidings.log import OperationState
from webapp import words

_KEPT: Final = {
    "progress": ("current", "total", "percentage", "message", "rate", "etaSeconds"),
    "error": ("code", "message", "terminal"),
    "complete": ("durationSeconds",),
}
"""What a list's script needs of the latest event of each type."""


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
        "percentage": words.far(events),
        "says": words.says(what.kind, events),
        "pace": words.pace(progress, what.kind) if works(state.status) else "",
        "updatedAt": datetime.fromtimestamp(state.updated_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "events": events,
    }


def row(state: OperationState, now: datetime) -> dict[str, Any]:
    """Give what a template shows of an operation in a list: `shown`, the line ``when``, and ``kept``.

    That is what the page's script goes on from: of the API's document what it uses.
    """
    said = shown(state)
    events = {
        name: _part(said["events"][name], fields) for name, fields in _KEPT.items() if name in said["events"]
    }
    kept = {name: said[name] for name in ("id", "kind", "status", "attempt", "updatedAt")} | {
        "name": state.descriptor.name or None,
        "firstEventId": state.born.wire,
        "lastEventId": state.last.wire,
        "events": events,
    }
    progress = events.get("progress", {}) if works(state.status) else {}
    when = words.briefly(progress, said["kind"]) or age(said["updatedAt"], now)
    return said | {"short": words.short(said["id"]), "when": when, "kept": json.encode(kept).decode()}


def works(status: str) -> bool:
    """Tell whether somebody works on an operation that stands so."""
    return status not in {QUEUED, RETRYING, *FINAL_STATUSES}


def age(updated_at: str, now: datetime) -> str:
    """Say how long ago *updated_at* was."""
    return words.age((now - datetime.fromisoformat(updated_at)).total_seconds())


def _part(said: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    return {name: said[name] for name in fields if name in said}
