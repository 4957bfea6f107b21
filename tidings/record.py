"""What a reporter asks the log to append: one event and the terms on which it counts.

Takes an operation's descriptor and what is said about it, gives what one EVALSHA needs to
know. Pure but for the clock that stamps the event; nothing compares that stamp.
"""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from tidings.descriptor import Descriptor
from tidings.events import (
    CANCELLED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    Complete,
    Error,
    Event,
    Status,
    Warning,  # noqa: A004 - the name that the wire has for it
    encode,
)

NEW: Final = "new"
"""Only if the operation is unknown: the announcement must not overwrite what already runs."""
BEGIN: Final = "begin"
"""The run takes the operation over, unless a later attempt owns it."""
OWN: Final = "own"
"""Only from the run that owns the operation."""
ANY: Final = "any"
"""From anybody, while the operation is known and not over."""
ATTEMPT: Final = "attempt"
"""From anybody who knows what became of this very attempt, unless another one has begun."""
DUE: Final = "due"
"""From anybody, if an attempt was to begin and none has within its time."""

IDLE: Final = "idle"
"""From who asked for the cancelling just now, if no run works on the operation that could meet it."""

_TROUBLE: Final = frozenset({Warning.type, Error.type})


def cancel(attempt: int | None) -> str:
    """Give the condition that nobody has asked for it yet, and that *attempt* is the one, if one is named."""
    return "cancel" if attempt is None else f"cancel:{attempt}"


def lost(seen: str) -> str:
    """Give the condition that nothing was heard from the run's reporter since *seen*, ``<n>:<beat>``."""
    return f"lost:{seen}"


class Traced(Protocol):
    """What follows an event on its way."""

    @property
    def parent(self) -> str:
        """W3C's ``traceparent``, for those who take it from the log."""


class Record(NamedTuple):
    """One event on its way to the log.

    ``run`` names the run (one attempt's execution in one process) that says it; ``status`` is
    what the operation's status becomes, or empty. ``ends``: the operation is over. ``leaves``:
    the attempt is, and another one follows. ``redelivery_s``: within how long the broker delivers
    the task again if it is lost, at a beginning; or has to, where a record leaves. 0: it will not.
    ``took_s``: how long the attempt took that ends or leaves, where its process says so; ``silence_s``: its
    longest silence.
    ``units``: how much of its placement a progress is; ``cuts``: what was planned behind it will not come;
    ``word``: what its workflow ends with, the fields of that event as JSON without braces.
    ``said``: its span, where spans are wanted (`tidings.tracing`).
    """

    descriptor: Descriptor
    event_type: str
    data: bytes
    condition: str
    run: str
    attempt: int
    status: str = ""
    ends: bool = False
    leaves: bool = False
    redelivery_s: int = 0
    took_s: float | None = None
    silence_s: float = 0
    units: int = 0
    cuts: bool = False
    word: str = ""
    said: "Traced | None" = None

    @property
    def topics(self) -> tuple[str, ...]:
        """Whom it is for: what goes wrong in a group is for the workflow too."""
        about = self.descriptor
        if about.is_member and self.event_type in _TROUBLE:
            return (*about.topics, f"workflows:{about.workflow_id}")
        return about.topics

    @property
    def effect(self) -> str:
        """What it does to the operation, in the append's word."""
        return "ends" if self.ends else "leaves" if self.leaves else ""

    @classmethod
    def of(
        cls,
        descriptor: Descriptor,
        event: type[Event],
        *,
        condition: str,
        run: str = "",
        attempt: int = 1,
        leaves: bool = False,
        redelivery_s: int = 0,
        **said: Any,
    ) -> "Record":
        """Say an *event* with the fields *said* about the operation, now."""
        value = event(
            operation_id=descriptor.id,
            operation_type=descriptor.kind,
            workflow_id=descriptor.workflow_id,
            agent_id=descriptor.agent_id,
            parent_id=descriptor.parent_id,
            timestamp=_now(),
            attempt=attempt,
            **said,
        )
        status, ends = _effect(value)
        return cls(
            descriptor, event.type, encode(value), condition, run, attempt,
            status=status, ends=ends, leaves=leaves, redelivery_s=redelivery_s,
        )  # fmt: skip

    @classmethod
    def beginning(
        cls, descriptor: Descriptor, run: str, attempt: int, redelivery_s: int = 0, **said: Any
    ) -> "Record":
        """Say that *run* takes the operation over and is running."""
        return cls.of(
            descriptor, Status, condition=BEGIN, run=run, attempt=attempt, redelivery_s=redelivery_s,
            status=RUNNING, **said,
        )  # fmt: skip


def _now() -> str:
    seconds, ms = divmod(time.time_ns() // 1_000_000, 1_000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Write a second, for all events that are said in it: a date costs more than the rest of a stamp."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _effect(event: Event) -> tuple[str, bool]:
    """Say which status *event* leaves the operation in, if any, and whether it ends it."""
    match event:
        case Status(status=status):
            return status, False
        case Complete():
            return SUCCEEDED, True
        case Error(terminal=True, code=code):
            return (CANCELLED if code == CANCELLED else FAILED), True
        case _:
            return "", False
