"""The types of what the API answers, for those who describe it: `webapp.openapi`, `webapp.asyncapi`.

Beside the flow: nothing is made of them; the views make what they answer, and a test holds it against them.
"""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from tidings.descriptor import Descriptor
from tidings.events import Identifier, Seconds, Timestamp
from tidings.replay import Reset

EventId = Annotated[str, Meta(pattern=r"^evt_[1-9][0-9]{0,15}-(0|[1-9][0-9]{0,14})$(?!\n)")]
Path = Annotated[str, Meta(pattern="^/api/")]


class Shape(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What all answers share: camelCase names."""


class OperationDocument(Descriptor, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An operation: what it is, how it stands, and its latest event of each type."""

    status: str
    attempt: Annotated[int, Meta(ge=0)]
    created_at: Timestamp
    updated_at: Timestamp
    first_event_id: EventId
    last_event_id: EventId
    events_url: Path
    events: dict[str, dict[str, Any]]
    started_at: Timestamp | UnsetType = UNSET
    waited_seconds: Seconds | UnsetType = UNSET
    duration_seconds: Seconds | UnsetType = UNSET


class Counts(Shape, frozen=True, kw_only=True):
    """How many operations there are in all that are open, or ended so."""

    open: Annotated[int, Meta(ge=0)]
    succeeded: Annotated[int, Meta(ge=0)]
    failed: Annotated[int, Meta(ge=0)]
    cancelled: Annotated[int, Meta(ge=0)]


class OperationList(Shape, frozen=True, kw_only=True):
    """Operations, the open ones first, and the cursor to open a stream from without a hole.

    ``next`` is there where there may be more; it and ``counts`` are not where ``topics`` were named.
    """

    operations: list[OperationDocument]
    last_event_id: EventId
    counts: Counts | UnsetType = UNSET
    next: Annotated[str, Meta(pattern=r"^[0-9]{1,16}$(?!\n)")] | UnsetType = UNSET


class OneOperation(Shape, frozen=True, kw_only=True):
    """One operation, and the cursor to open a stream from without a hole."""

    operation: OperationDocument
    last_event_id: EventId


class EventDocument(Shape, frozen=True, kw_only=True):
    """One event of the history; ``data`` is as on a stream (/api/asyncapi.json)."""

    id: EventId
    type: str
    data: dict[str, Any]


class ResetReason(Shape, frozen=True, kw_only=True):
    """Why the history cannot be told exactly."""

    reason: Reset


class EventList(Shape, frozen=True, kw_only=True):
    """An operation's events after a cursor; ``more``: there are further ones behind ``lastEventId``."""

    events: list[EventDocument]
    last_event_id: EventId
    more: bool
    reset: ResetReason | UnsetType = UNSET
    operations: list[OperationDocument] | UnsetType = UNSET


class Started(Shape, frozen=True, kw_only=True):
    """An operation that was begun."""

    operation_id: Identifier
    kind: Identifier
    status: str
    events_url: Path
    ticket: str | UnsetType = UNSET


class Asked(Shape, frozen=True, kw_only=True):
    """An operation that is asked to be cancelled, or was."""

    operation_id: Identifier
    status: str
    events_url: Path


class ResultDocument(Shape, frozen=True, kw_only=True):
    """A file that an operation left behind."""

    name: str
    url: Path


class ResultList(Shape, frozen=True, kw_only=True):
    """The files that an operation left behind."""

    results: list[ResultDocument]


class KindDocument(Shape, frozen=True, kw_only=True):
    """A kind of operation that can be started; ``params`` is the JSON Schema (2020-12) of what it takes."""

    kind: Identifier
    description: str
    start: str
    params: dict[str, Any]


class KindList(Shape, frozen=True, kw_only=True):
    """The kinds of operation that can be started."""

    kinds: list[KindDocument]


class Health(Shape, frozen=True, kw_only=True):
    """How a web process is; ``warnings``: what Redis' settings take back of what is promised."""

    status: str
    reason: str | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class ProcessDocument(Shape, frozen=True, kw_only=True):
    """A web process of this host; one that hangs is ``answered`` false, and the rest is not known.

    ``streams`` are its streams, ``described`` how many of them it had room to tell of.
    """

    pid: int
    answered: bool
    streams: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    described: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    position: str | UnsetType = UNSET
    degraded: str | UnsetType = UNSET
    draining: bool | UnsetType = UNSET


class StreamDocument(Shape, frozen=True, kw_only=True):
    """An open stream: what it waits for, whose it is, and what waits for its reader.

    ``stuckSeconds``: for so long the reader has taken nothing of that.
    """

    process: int
    gear: str
    topics: list[str]
    types: list[str]
    kinds: list[str]
    subject: str
    open_seconds: Seconds
    stuck_seconds: Seconds
    waiting_events: Annotated[int, Meta(ge=0)]
    waiting_bytes: Annotated[int, Meta(ge=0)]
    position: EventId


class StreamList(Shape, frozen=True, kw_only=True):
    """The open streams of this host that are furthest behind, ``found`` of them in all."""

    processes: list[ProcessDocument]
    streams: list[StreamDocument]
    found: Annotated[int, Meta(ge=0)]


class Problem(Shape, frozen=True, kw_only=True):
    """Why something will not be done (RFC 9457). ``field`` is what is wrong, ``allowed`` what there is."""

    type: str
    title: str
    status: int
    detail: str
    field: str | UnsetType = UNSET
    allowed: str | UnsetType = UNSET


class Heartbeat(Shape, frozen=True, kw_only=True):
    """The stream lives, and has everything up to the id. ``degraded``: what happens now comes later."""

    degraded: bool | UnsetType = UNSET


class ResetEvent(Shape, frozen=True, kw_only=True):
    """What was asked for cannot be brought back exactly; the current state follows."""

    reason: Reset
    requested_id: str
