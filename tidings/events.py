"""What can be said about an operation: the five types of event, as values and as JSON.

Second stage of the flow: takes clean values from an operation, gives the one-line JSON that
the log keeps and every browser gets. Pure; adds no time and no id (the log assigns ids).
"""

from typing import Annotated, Any, ClassVar, Final

from msgspec import UNSET, DecodeError, Meta, Struct, UnsetType, ValidationError, json

from tidings.errors import InvalidValue
from tidings.json_line import encode_line
from tidings.topics import IDENTIFIER_PATTERN

Identifier = Annotated[str, Meta(pattern=IDENTIFIER_PATTERN)]
Timestamp = Annotated[str, Meta(description="UTC, milliseconds: 2026-11-22T09:10:00.123Z")]
Count = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]
Seconds = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]
Percentage = Annotated[int, Meta(ge=0, le=100)] | Annotated[float, Meta(ge=0, le=100)]

QUEUED: Final = "queued"
RUNNING: Final = "running"
RETRYING: Final = "retrying"
CANCELLING: Final = "cancelling"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
FINAL_STATUSES: Final = frozenset({SUCCEEDED, FAILED, CANCELLED})


class Event(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What every event says: whose it is, and when its author said it (shown, never compared)."""

    type: ClassVar[str]
    operation_id: Identifier
    operation_type: Identifier
    timestamp: Timestamp
    attempt: Annotated[int, Meta(ge=1)]
    workflow_id: Identifier | UnsetType = UNSET
    agent_id: Identifier | UnsetType = UNSET
    parent_id: Identifier | UnsetType = UNSET


class Progress(Event, frozen=True, kw_only=True):
    """How far the operation is. ``total`` and ``percentage`` are null while the total is unknown.

    ``rate`` is in units a second; the end is likely to be ``eta_low`` to ``eta_high`` seconds away. Absent
    where not known (tidings/estimate.py).
    Of a workflow: the weights of its tasks. ``gaveBack``: percent that it lost as ``retried``, an operation
    in it, began again.
    """

    type: ClassVar[str] = "progress"
    current: Count
    total: Count | None
    percentage: Percentage | None
    message: str | UnsetType = UNSET
    rate: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    eta_seconds: Seconds | UnsetType = UNSET
    eta_low: Seconds | UnsetType = UNSET
    eta_high: Seconds | UnsetType = UNSET
    gave_back: Percentage | UnsetType = UNSET
    retried: Identifier | UnsetType = UNSET


class Status(Event, frozen=True, kw_only=True):
    """The operation entered a phase. The log adds ``previousStatus``: only it knows the order.

    It adds ``durationSeconds`` where the attempt is given up (``retrying``): how long that took.
    """

    type: ClassVar[str] = "status"
    status: str
    previous_status: str | UnsetType = UNSET
    details: Any = UNSET
    duration_seconds: Seconds | UnsetType = UNSET


class Warning(Event, frozen=True, kw_only=True):  # noqa: A001 - the name that the wire has for it
    """Something went wrong and the operation goes on."""

    type: ClassVar[str] = "warning"
    code: str
    message: str
    details: Any = UNSET


class Error(Event, frozen=True, kw_only=True):
    """Something failed; with ``terminal`` it ended the operation, nothing follows, and the log adds times."""

    type: ClassVar[str] = "error"
    code: str
    message: str
    details: Any = UNSET
    retryable: bool | UnsetType = UNSET
    terminal: bool = False
    duration_seconds: Seconds | UnsetType = UNSET
    waited_seconds: Seconds | UnsetType = UNSET


class Complete(Event, frozen=True, kw_only=True):
    """The operation succeeded; nothing follows.

    The log adds the times of an end: ``durationSeconds`` is how long its last attempt took, ``waitedSeconds``
    how long it was queued before the first.
    """

    type: ClassVar[str] = "complete"
    result: Any = UNSET
    duration_seconds: Seconds | UnsetType = UNSET
    waited_seconds: Seconds | UnsetType = UNSET


TYPES: Final[dict[str, type[Event]]] = {
    event.type: event for event in (Progress, Status, Warning, Error, Complete)
}


class Envelope(Struct, frozen=True, rename="camel", gc=False):
    """The part of any event's JSON that routing needs."""

    operation_id: str
    operation_type: str
    terminal: bool = False


_envelope = json.Decoder(Envelope)


def encode(event: Event) -> bytes:
    """Write *event* as one line of JSON: camelCase, UTF-8, no NaN, no line break of any alphabet."""
    return encode_line(event)


def decode(event_type: str, data: bytes) -> Event:
    """Read and validate the JSON of an event of *event_type*.

    Raises: InvalidValue if the type is unknown or the JSON does not fit it.
    """
    try:
        return json.decode(data, type=TYPES[event_type])
    except KeyError:
        raise InvalidValue("type", f"one of {', '.join(TYPES)}", event_type) from None
    except (ValidationError, DecodeError, UnicodeDecodeError) as error:
        raise InvalidValue("data", f"the JSON of a {event_type} event ({error})") from error


def read_envelope(data: bytes) -> Envelope:
    """Read whose event this is, without the rest.

    Raises: InvalidValue if it is not an event's JSON (a foreign entry in our log).
    """
    try:
        return _envelope.decode(data)
    except (ValidationError, DecodeError, UnicodeDecodeError) as error:
        raise InvalidValue("data", f"the JSON of an event ({error})") from error


def json_schemas() -> dict[str, Any]:
    """Describe the JSON of every event type as JSON Schema (2020-12), keyed by the type's name."""
    _, components = json.schema_components(TYPES.values(), ref_template="#/{name}")
    return {event_type: components[struct.__name__] for event_type, struct in TYPES.items()}
