"""Spans of OpenTelemetry from a report to the write of its event."""

import subprocess
import sys
from collections.abc import Iterable
from typing import Final

import pytest
from opentelemetry.trace import StatusCode

from tests.spans import KeptSpan, Spans
from tests.stack import READ_S, ROOT
from tests.unit.test_reporter import ScriptedLog
from tests.waiting import wait_until
from tidings import Operation
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.events import Progress, Warning  # noqa: A004 - the wire's name
from tidings.log import Log, Outcome
from tidings.process import Process
from tidings.record import OWN, Record
from tidings.reporter import Reporter
from tidings.settings import Settings
from tidings.tracing import APPEND, REPORT, WRITE, Traces
from webapp.feed import Feed
from webapp.frames import entry_frame
from webapp.hub import Hub

UNLOADED: Final = """
import sys
import tidings, tidings.celery, tidings.reporter, webapp.feed
from tidings.process import Process
from tidings.settings import Settings
assert Process(Settings(redis_url="redis://127.0.0.1:1")).reporter.traces is None
assert "tidings.tracing" not in sys.modules and "opentelemetry.trace" not in sys.modules
"""


def reporter_with(log: Log, spans: Spans) -> Reporter:
    """Make a reporter that makes spans, almost without throttle."""
    return Reporter(log, buffer_records=100, interval_s=0.000_1, traces=Traces(spans))


def feed_with(log: Log, spans: Spans) -> tuple[Feed, Hub]:
    """Make a feed that stands at the end of the log."""
    hub = Hub(100, heartbeat_s=15)
    feed = Feed(log, hub, traces=Traces(spans))
    feed.look(woken=False)
    return feed, hub


def above(span: KeptSpan) -> int:
    """Give the id of the span that *span* is in."""
    assert span.parent is not None
    return span.parent.span_id


def spoken(spans: Iterable[KeptSpan]) -> list[str]:
    """Give the types of the events that *spans* are about."""
    return [span.attributes["tidings.event.type"] for span in spans]


def test_an_event_is_followed_from_its_report_to_its_write(log: Log) -> None:
    """All in the trace of who spoke: the report, the append within it, and the write of each web process."""
    spans = Spans()
    feeds = [feed_with(log, spans)[0] for _ in range(2)]
    reporter = reporter_with(log, spans)
    with spans.start_as_current_span("task") as task:
        operation = Operation("import", "op", reporter=reporter, strict=True).start()
        operation.progress(1, 2)
        assert reporter.flush(READ_S)  # by the reporter's own thread, which does nothing for anybody
        operation.warning("odd", "so so")
        operation.complete()
    assert reporter.flush(READ_S)
    for feed in feeds:
        feed.look(woken=True)
    reports, appends, writes = (spans.ended(name) for name in (REPORT, APPEND, WRITE))
    assert len(spans.made) == 1 + len(reports) + len(appends) + len(writes)  # none is left open
    assert sorted(spoken(reports)) == ["complete", "progress", "status", "status", "warning"]
    assert {span.context.trace_id for span in (*reports, *appends, *writes)} == {task.context.trace_id}
    assert {above(span) for span in reports} == {task.context.span_id}
    by_id = {span.context.span_id: span for span in reports}
    assert sorted(map(above, appends)) == sorted(by_id)
    assert sorted(map(above, writes)) == sorted([*by_id, *by_id])
    for span in appends:
        report = by_id[above(span)]
        assert report.began_ns <= span.began_ns <= span.ended_ns == report.ended_ns
    assert spoken(writes[:5]) == [entry.type for entry in log.read(Cursor(0, 0)) if entry.data]
    assert all(span.began_ns <= span.ended_ns for span in writes)


def test_what_streams_get_has_nothing_of_it(log: Log) -> None:
    """It is in the log, for the feed, and neither in an event nor in what is kept of its topics."""
    reporter = reporter_with(log, Spans())
    Operation("import", "op", reporter=reporter, strict=True).start().complete()
    assert reporter.flush(READ_S)
    entries = [entry for entry in log.read(Cursor(0, 0)) if entry.data]
    page = log.page("operations:op", None, entries[-1].cursor)
    for entry, kept in zip(entries, page.entries, strict=True):
        trace_id = entry.trace.split("-")[1]
        assert len(trace_id) == 32
        assert trace_id.encode() not in entry_frame(entry) + entry_frame(kept)
        assert kept.trace == ""


def test_what_nobody_samples_is_not_carried(log: Log) -> None:
    """Nor followed any further."""
    spans = Spans(sampled=False)
    feed, hub = feed_with(log, spans)
    reporter = reporter_with(log, spans)
    Operation("import", "op", reporter=reporter, strict=True).start().complete()
    assert reporter.flush(READ_S)
    feed.look(woken=True)
    assert hub.counts.read == 3
    assert {span.name for span in spans.made} == {REPORT}
    assert {entry.trace for entry in log.read(Cursor(0, 0))} == {""}


def test_what_is_sent_again_is_one_report_and_what_is_not_sent_has_its_reason() -> None:
    """An outage is in the report's span; newer progress ends that of the older, which is no failure."""
    log = ScriptedLog()
    log.answers += [LogUnavailable("away"), lambda _: [Outcome("error", message="WRONGTYPE")]]
    log.gate.clear()
    spans = Spans()
    reporter = reporter_with(log, spans)
    about = Descriptor.of("op", "import")
    wrong = Record.of(about, Warning, condition=OWN, code="odd", message="so so")
    older, newer = (
        Record.of(about, Progress, condition=OWN, current=count, total=2, percentage=None) for count in (1, 2)
    )
    reporter.put([reporter.traced(wrong)])
    wait_until(lambda: log.waiting, timeout_s=READ_S)
    reporter.put([reporter.traced(older), reporter.traced(newer)])
    log.gate.set()
    assert reporter.flush(READ_S)
    told = {span.attributes["tidings.outcome"]: span.status for span in spans.ended(REPORT)}
    assert told == {
        "conflated": StatusCode.UNSET, "WRONGTYPE": StatusCode.ERROR, "stored": StatusCode.UNSET,
    }  # fmt: skip
    assert len(spans.ended(APPEND)) == 1


def test_nobody_loads_it_who_does_not_want_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the library nor the service; wanted and not installed, it is said, and work goes on."""
    subprocess.run([sys.executable, "-c", UNLOADED], cwd=ROOT, check=True)
    wanted = Settings(redis_url="redis://127.0.0.1:1", traces=True)
    assert isinstance(Process(wanted).traces, Traces)
    monkeypatch.delitem(sys.modules, "tidings.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    assert Process(wanted).traces is None
    assert "pip install 'tidings[otel]'" in caplog.text
