"""Spans of OpenTelemetry, from the report of an event to its writing to streams; needs the extra ``otel``.

Beside the flow, and only with ``TIDINGS_TRACES``: follows a record through the reporter into the log, which
carries W3C's ``traceparent`` beside the event, and from there through the feed to the hub. What nobody
samples is not carried. Exporting is the application's: whichever provider OpenTelemetry's API has.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tidings.entry import Entry
from tidings.record import Record

REPORT: Final = "tidings report"
"""From when it was said to when the log has taken it, or to its being dropped."""
APPEND: Final = "tidings append"
"""Of that, the one call to Redis that took it."""
WRITE: Final = "tidings write"
"""In each web process: from asking the log for what is new to its writing to every stream that keeps up."""
CONFLATED: Final = "conflated"
"""Newer progress of the operation took its place before it was sent: no failure."""
_OPERATION, _KIND, _TYPE = "tidings.operation.id", "tidings.operation.kind", "tidings.event.type"
_OUTCOME, _EVENTS, _WRITES = "tidings.outcome", "tidings.page.events", "tidings.page.writes"
_PARENT: Final = "traceparent"
_w3c = TraceContextTextMapPropagator()


class Said(NamedTuple):
    """What a record has along: its span, and what the log carries for it."""

    span: Span
    parent: str


class Traces:
    """One per process. Any thread and greenlet may call it; nothing here waits."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("tidings", tracer_provider=provider)

    def here(self) -> Context:
        """Give what the caller is doing, for what is said of it later."""
        return get_current()

    def begin(self, record: Record, doing: Context | None = None) -> Record:
        """Begin the span of a report, within what its author is *doing* (now); give the record with it."""
        span = self._tracer.start_span(
            REPORT,
            doing,
            SpanKind.PRODUCER,
            {_OPERATION: record.descriptor.id, _KIND: record.descriptor.kind, _TYPE: record.event_type},
        )
        if not span.is_recording():
            return record
        carrier: dict[str, str] = {}
        _w3c.inject(carrier, set_span_in_context(span))
        return record._replace(said=Said(span, carrier[_PARENT]))

    def appended(self, record: Record, outcome: str, began_ns: int, ended_ns: int) -> None:
        """End the span of a report that the log has dealt with, in a call from *began_ns* to *ended_ns*."""
        if isinstance(record.said, Said):
            span = record.said.span
            call = self._tracer.start_span(
                APPEND, set_span_in_context(span), SpanKind.CLIENT, {_OUTCOME: outcome}, start_time=began_ns
            )
            call.end(ended_ns)
            span.set_attribute(_OUTCOME, outcome)
            span.end(ended_ns)

    def dropped(self, record: Record, why: str) -> None:
        """End the span of a report that will never reach the log; *why* is a failure unless ``conflated``."""
        if isinstance(record.said, Said):
            span = record.said.span
            span.set_attribute(_OUTCOME, why)
            if why != CONFLATED:
                span.set_status(Status(StatusCode.ERROR, why))
            span.end()

    def written(self, entries: Iterable[Entry], writes: int, began_ns: int, ended_ns: int) -> None:
        """Say when a page of the feed was asked for, and when its *writes* to streams were done."""
        page = list(entries)
        for entry in page:
            if entry.trace:
                span = self._tracer.start_span(
                    WRITE,
                    _w3c.extract({_PARENT: entry.trace}),
                    SpanKind.CONSUMER,
                    {
                        _OPERATION: entry.operation_id,
                        _KIND: entry.kind,
                        _TYPE: entry.type,
                        _EVENTS: len(page),
                        _WRITES: writes,
                    },
                    start_time=began_ns,
                )
                span.end(ended_ns)
