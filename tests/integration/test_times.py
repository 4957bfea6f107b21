"""How long things took, on a real server: told with an end, kept for the runs that follow, and judged by."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.waiting import wait_until
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.events import QUEUED, RETRYING, Complete, Error, Event, Status
from tidings.log import Log
from tidings.operation import Operation
from tidings.record import ANY, NEW, OWN, Record
from tidings.reporter import Reporter
from webapp.documents import operation_document

SOON_S = 10
TASK = "proj.nightly"
OP = Descriptor.of("op", "task", name=TASK)
ANNOUNCED = Record.of(OP, Status, condition=NEW, status=QUEUED)
FAILED: dict[str, Any] = {"code": "failed", "message": "m", "terminal": True}


def begun(attempt: int = 1, about: Descriptor = OP) -> Record:
    """Make the beginning of an attempt."""
    return Record.beginning(about, f"mine.{attempt}", attempt)


def ended(
    took_s: float | None, event: type[Event] = Complete, about: Descriptor = OP, attempt: int = 1, **said: Any
) -> Record:
    """Make the end of an attempt that took so long and was silent for half of it."""
    record = Record.of(about, event, condition=OWN, run=f"mine.{attempt}", attempt=attempt, **said)
    return record._replace(took_s=took_s, silence_s=(took_s or 0) / 2)


def append(log: Log, *records: Record, first: int = 1) -> None:
    """Append *records*, all of which are stored."""
    assert {outcome.code for outcome in log.append("mine", first, records)} == {"stored"}


def run(log: Log, number: int, took_s: float, event: type[Event] = Complete, **said: Any) -> None:
    """Have one more run of the task, which took so long."""
    about = Descriptor.of(f"op{number}", "task", name=TASK)
    append(log, begun(about=about), ended(took_s, event, about, **said), first=2 * number + 1)


def last(log: Log) -> dict[str, Any]:
    """Give the data of the latest event."""
    data: dict[str, Any] = json.loads(log.read(Cursor(0, 0))[-1].data)
    return data


def document(log: Log) -> dict[str, Any]:
    """Show the operation as the API does."""
    state = log.operation("op")
    assert state is not None
    return operation_document(state)


class TestTheTimesOfAnEnd:
    """What the log adds to what an author says."""

    def test_an_end_says_how_long_it_took_and_had_waited(self, log: Log) -> None:
        """The attempt's time is its process', to the millisecond; the queue's the server's."""
        append(log, ANNOUNCED, begun(), ended(12.3456))
        end, shown = last(log), document(log)
        assert end["durationSeconds"] == shown["durationSeconds"] == 12.346
        assert 0 <= end["waitedSeconds"] == shown["waitedSeconds"] < SOON_S
        assert shown["createdAt"] <= shown["startedAt"] <= shown["updatedAt"]

    def test_an_end_from_outside_is_timed_by_the_server(self, log: Log) -> None:
        """Who was lost can say nothing: it took as long as the server saw it run."""
        append(log, begun())
        log.redis.hincrby(log.key("op:op"), "began", -7_000)
        append(log, Record.of(OP, Error, condition=ANY, **FAILED), first=2)
        assert 7 <= last(log)["durationSeconds"] == document(log)["durationSeconds"] < 7 + SOON_S
        assert "waitedSeconds" not in last(log)

    def test_what_never_began_has_only_waited(self, log: Log) -> None:
        """Revoked in the queue, it took no time."""
        append(log, ANNOUNCED, Record.of(OP, Error, condition=ANY, **FAILED))
        assert "durationSeconds" not in last(log)
        assert last(log)["waitedSeconds"] >= 0
        assert not {"startedAt", "durationSeconds"} & set(document(log))

    def test_each_attempt_is_timed_by_itself(self, log: Log) -> None:
        """A retry says what the attempt took; between two attempts nothing runs; the queue counts once."""
        append(log, ANNOUNCED, begun(), ended(3, Status, status=RETRYING)._replace(leaves=True))
        assert last(log)["durationSeconds"] == 3
        assert "waitedSeconds" not in last(log)
        assert not {"startedAt", "durationSeconds"} & set(document(log))
        waited = document(log)["waitedSeconds"]
        append(log, begun(2), ended(5, attempt=2), first=4)
        assert (last(log)["durationSeconds"], last(log)["waitedSeconds"]) == (5, waited)

    def test_what_is_not_over_has_no_duration(self, log: Log) -> None:
        """A running operation says since when it runs."""
        append(log, ANNOUNCED, begun())
        assert "startedAt" in document(log)
        assert "durationSeconds" not in document(log)


class TestPastRuns:
    """What is kept of runs for those of the same task that follow."""

    def test_a_run_that_went_well_is_kept(self, log: Log) -> None:
        """Its time and its longest silence, the latest first; not for ever."""
        run(log, 0, 4)
        run(log, 1, 6.5)
        assert log.past([TASK, "other"]) == {TASK: [(6.5, 3.25), (4, 2)], "other": []}
        for key in (f"past:{TASK}", "past"):
            assert 29 * 86_400 < log.redis.ttl(log.key(key)) <= 30 * 86_400

    def test_failures_and_trifles_are_not(self, log: Log) -> None:
        """A run that failed, one of less than a second, and one whose process said nothing tell nothing."""
        run(log, 0, 4, Error, **FAILED)
        run(log, 1, 0.9)
        append(log, begun(), ended(None), first=5)
        assert log.past([TASK]) == {TASK: []}

    def test_only_the_latest_fifty_are(self, log: Log) -> None:
        """The fifty-first takes the place of the first."""
        for number in range(51):
            run(log, number, 10 + number)
        assert [took_s for took_s, _ in log.past([TASK])[TASK]] == [*range(60, 10, -1)]

    def test_only_the_latest_thousand_tasks_are(self, log: Log) -> None:
        """Names that are never used again do not pile up."""
        tasks = [Descriptor.of(f"op{number}", "task", name=f"task{number}") for number in range(1_001)]
        append(log, *(record for about in tasks for record in (begun(about=about), ended(2, about=about))))
        found = log.past(["task0", "task1", "task1000"])
        assert [len(runs) for runs in found.values()] == [0, 1, 1]
        assert log.redis.zcard(log.key("past")) == 1_000

    def test_a_key_of_somebody_else_harms_nothing(self, log: Log) -> None:
        """The end is stored all the same; what is no run of ours is not read."""
        log.redis.set(log.key(f"past:{TASK}"), "theirs")
        log.redis.set(log.key("past"), "theirs")
        run(log, 0, 4)
        assert log.past([TASK]) == {TASK: []}
        log.redis.delete(log.key(f"past:{TASK}"))
        run(log, 1, 4)
        log.redis.rpush(log.key(f"past:{TASK}"), "x y", "1", "nan 1", "1 inf")
        assert log.past([TASK]) == {TASK: [(4, 2)]}


class TestWhoeverFollows:
    """A process reads what past runs took beside its beat, a few tenths of a second after it began."""

    @pytest.fixture
    def busy(self, log: Log) -> Iterator[Reporter]:
        """A reporter that beats three times a second, in whose log the task has run before."""
        for number in range(5):
            about = Descriptor.of(f"op{number}", "task", name=TASK)
            end = ended(10 * (number + 1), about=about)._replace(silence_s=0.2)
            append(log, begun(about=about), end, first=2 * number + 1)
        reporter = Reporter(log, buffer_records=1_000, interval_s=0.01, lease_s=1, stalled_s=0.1)
        yield reporter
        reporter.flush(5)

    def test_a_silent_run_is_stalled_when_that_is_unusual(self, log: Log, busy: Reporter) -> None:
        """Not after the setting's tenth of a second, but after three times the 0.2 s that are usual."""
        with Operation("task", "op", name=TASK, reporter=busy, strict=False):
            wait_until(lambda: last(log).get("code") == "stalled", timeout_s=SOON_S)
            details = last(log)["details"]
        assert details["usualSeconds"] == 0.2
        assert details["silentSeconds"] >= 0.6

    def test_a_first_report_says_what_past_runs_had_left(self, log: Log, busy: Reporter) -> None:
        """Though nothing has moved yet."""
        with Operation("task", "op", name=TASK, reporter=busy, strict=False) as operation:
            wait_until(lambda: busy.lease.pasts.of(TASK).durations_s, timeout_s=SOON_S)
            operation.progress(0, 100)
            assert busy.flush(5)
            said = [json.loads(e.data) for e in log.read(Cursor(0, 0)) if e.type == "progress"]
        assert 14 - SOON_S <= said[-1]["etaLow"] < said[-1]["etaSeconds"] < said[-1]["etaHigh"] <= 46
        assert 30 - SOON_S <= said[-1]["etaSeconds"] <= 30
