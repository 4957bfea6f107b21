"""Tests: a provider of OpenTelemetry's API that keeps the spans that have ended.

Not the SDK's: where that is installed redis-py imports it, in each of the processes that the tests start, at
25 ms and 2 MB. `tests.e2e.test_packages` tries the SDK itself, in an environment of its own (long).
"""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
    get_current_span,
    use_span,
)


class KeptSpan(Span):
    """One span; ``ended_ns`` is 0 until it has ended."""

    def __init__(
        self,
        name: str,
        parent: SpanContext | None,
        attributes: Mapping[str, Any],
        began_ns: int,
        *,
        sampled: bool,
    ) -> None:
        self.name = name
        self.parent = parent
        self.attributes = dict(attributes)
        self.began_ns = began_ns
        self.ended_ns = 0
        self.status = StatusCode.UNSET
        trace_id = parent.trace_id if parent else secrets.randbits(128)
        self.context = SpanContext(
            trace_id, secrets.randbits(64), is_remote=False, trace_flags=TraceFlags(sampled)
        )
        self._sampled = sampled

    def end(self, end_time: int | None = None) -> None:
        """End it, once."""
        assert self.ended_ns == 0
        self.ended_ns = end_time or time.time_ns()

    def get_span_context(self) -> SpanContext:
        """Give where it belongs."""
        return self.context

    def is_recording(self) -> bool:
        """Tell whether anybody will see it."""
        return self._sampled and self.ended_ns == 0

    def set_attribute(self, key: str, value: Any) -> None:
        """Say something of it."""
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Say more of it."""
        self.attributes |= attributes

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say how it went."""
        self.status = status.status_code if isinstance(status, Status) else status

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Nothing of ours has events."""

    def update_name(self, name: str) -> None:
        """Call it otherwise."""
        self.name = name

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Nothing of ours fails so."""


class Spans(TracerProvider, Tracer):
    """A provider, and its one tracer. Without *sampled* nothing of what it makes is to be recorded."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.made: list[KeptSpan] = []
        self._sampled = sampled

    def ended(self, name: str) -> Sequence[KeptSpan]:
        """Give what has ended under that *name*."""
        return [span for span in self.made if span.name == name and span.ended_ns]

    def get_tracer(self, *_arguments: Any, **_options: Any) -> Tracer:
        """Give the tracer."""
        return self

    def start_span(  # noqa: PLR0917 - the API's
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> KeptSpan:
        """Begin a span within *context*, or what is done now."""
        above = get_current_span(context).get_span_context()
        parent = above if above.is_valid else None
        began_ns = start_time or time.time_ns()
        span = KeptSpan(name, parent, attributes or {}, began_ns, sampled=self._sampled)
        self.made.append(span)
        return span

    @contextmanager
    def start_as_current_span(self, name: str, *_arguments: Any, **_options: Any) -> Iterator[KeptSpan]:  # type: ignore[override]  # narrower
        """Do something within a span."""
        span = self.start_span(name)
        with use_span(span, end_on_exit=True):
            yield span
