"""The JSON that the API shows of operations and events, beside the streams.

Takes what the log keeps, gives plain values; an event is the same JSON here as on a stream.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec import Raw, to_builtins

from tidings.entry import Entry
from tidings.log import OperationState


def operation_document(state: OperationState) -> dict[str, Any]:
    """Show an operation: what it is, how it stands, and its latest event of each type."""
    what: dict[str, Any] = to_builtins(state.descriptor)
    return what | {
        "status": state.status,
        "attempt": state.attempt,
        "createdAt": _timestamp(state.created_ms),
        "updatedAt": _timestamp(state.updated_ms),
        **_times(state),
        "firstEventId": state.born.wire,
        "lastEventId": state.last.wire,
        "eventsUrl": events_url(state.descriptor.id),
        "events": {event_type: Raw(data) for event_type, data in state.events.items()},
    }


def _times(state: OperationState) -> dict[str, Any]:
    """Say since when it runs, or how long it did; and how long it was queued before."""
    said: dict[str, Any] = {}
    if state.began_ms is not None:
        said["startedAt"] = _timestamp(state.began_ms)
    if state.waited_ms is not None:
        said["waitedSeconds"] = state.waited_ms / 1000
    if state.took_ms is not None and state.end is not None:
        said["durationSeconds"] = state.took_ms / 1000
    return said


def event_document(entry: Entry) -> dict[str, Any]:
    """Show one event of the history, with its id."""
    return {"id": entry.cursor.wire, "type": entry.type, "data": Raw(entry.data)}


def events_url(operation_id: str) -> str:
    """Say where the operation's stream is."""
    return f"/api/events/operations/{operation_id}"


def _timestamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
