"""The reporter over a log that the test plays: order, numbering, conflation, bounds, repeats."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.waiting import wait_until
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.events import Complete, Event, Progress, Warning  # noqa: A004 - the wire's name
from tidings.log import Log, Outcome
from tidings.operation import Operation
from tidings.record import ANY, ATTEMPT, NEW, OWN, Record
from tidings.reporter import BATCH_RECORDS, Reporter

ONE, TWO = Descriptor.of("one", "batch"), Descriptor.of("two", "batch")
OOM = Outcome("error", message="OOM command not allowed when used memory > 'maxmemory'.")
WRONGTYPE = Outcome("error", message="WRONGTYPE Operation against a key holding the wrong kind of value")
Answer = Callable[[Sequence[Record]], list[Outcome]]


class ScriptedLog(Log):
    """A log that answers as its test says: in turn with ``answers``, then by storing everything.

    While ``gate`` is closed every append waits, which shows in ``waiting``.
    """

    def __init__(self) -> None:
        self.answers: deque[Answer | Exception] = deque()
        self.calls: list[tuple[str, int, tuple[Record, ...]]] = []
        self.stored: list[Record] = []
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = False

    def append(
        self,
        reporter: str,
        first: int,
        records: Sequence[Record],
        beat: str = "",  # noqa: ARG002 - as a log has it
    ) -> list[Outcome]:
        """Answer the next call."""
        self.calls.append((reporter, first, tuple(records)))
        self.waiting = True
        self.gate.wait()
        self.waiting = False
        answer = self.answers.popleft() if self.answers else all_stored
        if isinstance(answer, Exception):
            raise answer
        outcomes = answer(records)
        self.stored += [
            record for record, outcome in zip(records, outcomes, strict=False) if outcome.code == "stored"
        ]
        return outcomes


def all_stored(records: Sequence[Record]) -> list[Outcome]:
    """Store every record."""
    return [Outcome("stored")] * len(records)


def answering(*outcomes: str | Outcome) -> Answer:
    """Answer with these outcomes, whatever the records."""
    return lambda _: [outcome if isinstance(outcome, Outcome) else Outcome(outcome) for outcome in outcomes]


def say(
    event: type[Event] = Warning, about: Descriptor = ONE, message: str = "m", condition: str = OWN
) -> Record:
    """Make a record."""
    said: dict[type[Event], dict[str, Any]] = {
        Warning: {"code": "c", "message": message},
        Progress: {"current": 1, "total": None, "percentage": None, "message": message},
        Complete: {},
    }
    return Record.of(about, event, condition=condition, run=f"run.{about.id}", attempt=1, **said[event])


def numbered(event: type[Event], count: int, about: Descriptor = ONE) -> list[Record]:
    """Make records that can be told apart."""
    return [say(event, about, str(n)) for n in range(count)]


@pytest.fixture
def log() -> ScriptedLog:
    """A log that stores everything at once, until a test says otherwise."""
    return ScriptedLog()


@pytest.fixture
def reporter(log: ScriptedLog) -> Reporter:
    """A reporter into it, whose throttle lets one report an hour through."""
    return Reporter(log, buffer_records=1_000, interval_s=3_600)


def hold(log: ScriptedLog, reporter: Reporter) -> Record:
    """Have one record in flight, and the log not answer until its gate is opened."""
    log.gate.clear()
    first = say(message="in flight")
    reporter.put([first])
    wait_until(lambda: log.waiting, timeout_s=5)
    return first


def test_records_arrive_once_in_the_order_they_were_given(log: ScriptedLog, reporter: Reporter) -> None:
    """What is put in one after the other reaches the log so."""
    records = numbered(Warning, 500)
    for record in records:
        reporter.put([record])
    assert reporter.flush(5)
    assert log.stored == records


def test_batches_are_numbered_on_without_holes(log: ScriptedLog, reporter: Reporter) -> None:
    """Each batch starts with the number after the last one's, and none is too large."""
    held = hold(log, reporter)
    records = numbered(Warning, 150)
    reporter.put(records)
    log.gate.set()
    assert reporter.flush(5)
    assert log.stored == [held, *records]
    sizes = [len(batch) for _, _, batch in log.calls]
    assert sizes == [1, BATCH_RECORDS, BATCH_RECORDS, 150 - 2 * BATCH_RECORDS]
    assert [first for _, first, _ in log.calls] == [1 + sum(sizes[:n]) for n in range(len(sizes))]
    assert {name for name, _, _ in log.calls} == {reporter.id}


def test_a_batch_is_frozen_with_its_numbers_until_its_outcome_is_known(
    log: ScriptedLog, reporter: Reporter
) -> None:
    """What may have been stored is repeated as it was, whatever is said meanwhile (C3)."""
    log.answers += [LogUnavailable("away")] * 3
    log.gate.clear()
    reporter.put([say(Progress, message="old")])
    wait_until(lambda: log.waiting, timeout_s=5)
    reporter.put([say(), say(Progress, message="new")])
    log.gate.set()
    assert reporter.flush(5)
    first_calls, (last_call,) = log.calls[:4], log.calls[4:]
    assert len({call[1:] for call in first_calls}) == 1
    assert (last_call[1], [record.event_type for record in last_call[2]]) == (2, ["warning", "progress"])


def test_of_waiting_progress_only_the_newest_goes_at_its_own_place(
    log: ScriptedLog, reporter: Reporter
) -> None:
    """Progress conflates per operation, moves to the tail, and overtakes nothing (A19)."""
    held = hold(log, reporter)
    old, other, warning, new = (
        say(Progress, message="old"),
        say(Progress, TWO),
        say(),
        say(Progress, message="new"),
    )
    reporter.put([old, other, warning, new])
    log.gate.set()
    assert reporter.flush(5)
    assert log.stored == [held, other, warning, new]


def test_a_full_buffer_refuses_what_is_new_but_progress_and_ends(
    log: ScriptedLog, reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Past the bound progress conflates and an end is kept; what is refused is counted and said."""
    reporter = Reporter(log, buffer_records=3, interval_s=3_600)
    held = hold(log, reporter)
    warnings = numbered(Warning, 5)
    progress, end = say(Progress), say(Complete)
    with caplog.at_level(logging.ERROR, "tidings"):
        reporter.put(warnings)
        reporter.put([say(Progress, message="old"), progress, end])
        log.gate.set()
        assert reporter.flush(5)
    assert log.stored == [held, *warnings[:3], progress, end]
    assert [line.split(",")[0] for line in caplog.messages] == [
        "3 events wait for Redis",
        "2 events were refused for want of room",
    ]


def test_an_outage_of_any_length_leaves_whole_operations(log: ScriptedLog) -> None:
    """Beginnings and ends get in, the last status included, while what is in between is refused."""
    reporter = Reporter(log, buffer_records=10, interval_s=3_600)
    held = hold(log, reporter)
    reporter.put(numbered(Warning, 12))
    whole = Operation("batch", "op", reporter=reporter, strict=False).start()
    whole.status("phase")
    whole.warning("c", "m")
    whole.complete()
    log.gate.set()
    assert reporter.flush(5)
    assert log.stored[0] == held
    assert [record.status or record.event_type for record in log.stored[1:]] == [
        *["warning"] * 10, "running", "succeeded", "succeeded",
    ]  # fmt: skip


def test_a_bound_holds_for_ends_too(log: ScriptedLog, caplog: pytest.LogCaptureFixture) -> None:
    """As many beginnings, ends and progress as TIDINGS_BUFFER_EVENTS wait beside the rest; no more."""
    reporter = Reporter(log, buffer_records=4, interval_s=3_600)
    hold(log, reporter)
    many = [Descriptor.of(f"op{n}", "batch") for n in range(20)]
    with caplog.at_level(logging.ERROR, "tidings"):
        reporter.put(numbered(Warning, 4))
        reporter.put([say(Complete, about) for about in many])
        reporter.put([say(Progress, about) for about in many])
        log.gate.set()
        assert reporter.flush(5)
    assert len(log.stored) == 1 + 2 * 4
    assert [record.event_type for record in log.stored[5:]] == ["complete"] * 4
    assert caplog.messages[-1] == (
        "36 events were refused for want of room, 16 of them beginnings or ends of operations"
    )


def test_what_was_refused_is_said_once_however_long_the_buffer_stays_full(
    log: ScriptedLog, caplog: pytest.LogCaptureFixture
) -> None:
    """One line when it begins, one with the number when there is room again, not one a batch."""
    reporter = Reporter(log, buffer_records=10 * BATCH_RECORDS, interval_s=3_600)

    def saying_more(records: Sequence[Record]) -> list[Outcome]:
        reporter.put(numbered(Warning, 2 * BATCH_RECORDS))
        return all_stored(records)

    log.answers += [saying_more] * 4
    hold(log, reporter)
    with caplog.at_level(logging.ERROR, "tidings"):
        reporter.put(numbered(Warning, 10 * BATCH_RECORDS))
        log.gate.set()
        assert reporter.flush(5)
    assert [line.split()[0] for line in caplog.messages] == ["640", "320"]


def test_a_process_that_ends_in_an_outage_says_what_is_lost(
    log: ScriptedLog, reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with the number, when its time is up; with nothing left it says nothing."""
    assert reporter.close(0)
    hold(log, reporter)
    reporter.put(numbered(Warning, 3))
    reporter.schedule(Operation("batch", "op", reporter=reporter, strict=False), 0)
    with caplog.at_level(logging.ERROR, "tidings"):
        assert not reporter.close(0.01)
        assert not reporter.close(60)
    assert caplog.messages == ["this process ends before Redis has taken its last 5 events: they are lost"]
    log.gate.set()
    assert reporter.flush(5)
    assert reporter.close(0)


def test_a_record_that_cannot_be_stored_is_dropped_alone(
    log: ScriptedLog, reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that will not pass takes one record, said by name, and the rest goes on with new numbers."""
    held = hold(log, reporter)
    records = numbered(Warning, 4)
    reporter.put(records)
    log.answers += [all_stored, answering("stored", WRONGTYPE)]
    with caplog.at_level(logging.ERROR, "tidings"):
        log.gate.set()
        assert reporter.flush(5)
    assert log.stored == [held, records[0], *records[2:]]
    assert [first for _, first, _ in log.calls] == [1, 2, 3]
    assert caplog.messages == [f"dropped a warning of one: {WRONGTYPE.message}"]


@pytest.mark.parametrize("code", ["OOM", "MISCONF", "READONLY", "NOREPLICAS", "LOADING"])
def test_an_error_that_may_pass_repeats_from_there(log: ScriptedLog, reporter: Reporter, code: str) -> None:
    """What a full or read-only server refused is tried again, under the number that it had."""
    held = hold(log, reporter)
    records = numbered(Warning, 3)
    reporter.put(records)
    refusal = Outcome("error", message=f"{code} not now")
    log.answers += [all_stored, answering("stored", refusal), answering(refusal)]
    log.gate.set()
    assert reporter.flush(5)
    assert log.stored == [held, *records]
    assert [(first, len(batch)) for _, first, batch in log.calls] == [(1, 1), (2, 3), (3, 2), (3, 2)]


@pytest.mark.parametrize(
    "trouble", [LogUnavailable("connection refused"), answering(OOM)], ids=["away", "full"]
)
def test_an_outage_is_said_once_and_its_end_once(
    log: ScriptedLog,
    reporter: Reporter,
    caplog: pytest.LogCaptureFixture,
    trouble: Answer | LogUnavailable,
) -> None:
    """However often it is tried, one line says that events wait and one that they go out."""
    log.answers += [trouble] * 4
    with caplog.at_level(logging.WARNING, "tidings"):
        reporter.put([say()])
        assert reporter.flush(5)
    assert [line.partition(" ")[0] for line in caplog.messages] == ["events", "Redis"]


def test_an_operation_that_the_log_forgot_is_announced_again_once(
    log: ScriptedLog, reporter: Reporter
) -> None:
    """Its run begins anew in front of what was refused, which keeps its order (C11)."""
    held = hold(log, reporter)
    records = [say(message="1"), say(about=TWO), say(message="2"), say(Complete)]
    reporter.put(records)
    log.answers += [all_stored, answering("unknown"), answering("stored", "stored", "unknown")]
    log.gate.set()
    assert reporter.flush(5)
    assert log.stored[0] is held
    again = [record for record in log.stored[1:] if record not in records]
    assert [(record.descriptor.id, record.condition, record.run) for record in again] == [
        ("one", "begin", "run.one"),
        ("two", "begin", "run.two"),
    ]
    assert [record for record in log.stored if record in records] == records
    assert log.stored.index(again[1]) < log.stored.index(records[1])
    assert [first for _, first, _ in log.calls] == [1, 2, 3, 6]


@pytest.mark.parametrize("condition", [ANY, ATTEMPT])
def test_what_anybody_may_say_does_not_bring_a_forgotten_operation_back(
    log: ScriptedLog, reporter: Reporter, condition: str
) -> None:
    """A record of somebody who does not run the operation is dropped if the log does not know it."""
    log.answers.append(answering("unknown"))
    reporter.put([say(condition=condition)])
    assert reporter.flush(5)
    assert len(log.calls) == 1


@pytest.mark.parametrize("code", ["over", "stale", "late", "dup"])
def test_a_refusal_is_final(log: ScriptedLog, reporter: Reporter, code: str) -> None:
    """What the log would not take for a reason is not tried again."""
    log.answers.append(answering(code))
    reporter.put([say(condition=NEW if code == "late" else OWN)])
    assert reporter.flush(5)
    reporter.put([say()])
    assert reporter.flush(5)
    assert [first for _, first, _ in log.calls] == [1, 2]


def test_an_unexpected_failure_does_not_silence_the_process(log: ScriptedLog, reporter: Reporter) -> None:
    """Whatever a library raises, the sender goes on with the same batch."""
    log.answers.append(RuntimeError("a bug somewhere below"))
    record = say()
    reporter.put([record])
    assert reporter.flush(5)
    assert log.stored == [record]


def test_flush_tells_whether_everything_has_arrived(log: ScriptedLog, reporter: Reporter) -> None:
    """It gives up at its time, and succeeds later."""
    assert reporter.flush(0)
    hold(log, reporter)
    assert not reporter.flush(0.01)
    log.gate.set()
    assert reporter.flush(5)


def test_putting_never_waits_for_the_log(log: ScriptedLog, reporter: Reporter) -> None:
    """While an append hangs, records are taken all the same."""
    hold(log, reporter)
    reporter.put(numbered(Warning, 100))
    assert log.waiting
    log.gate.set()
    assert reporter.flush(5)


def test_nothing_runs_before_the_first_record(log: ScriptedLog) -> None:
    """Making a reporter starts no thread."""
    before = threading.active_count()
    Reporter(log, buffer_records=1, interval_s=1).new_run()
    assert threading.active_count() == before


def test_runs_of_one_process_have_different_names(reporter: Reporter) -> None:
    """A run is named after its reporter, whose lease it lives by, and is new each time."""
    runs = {reporter.new_run() for _ in range(3)}
    assert len(runs) == 3
    assert {run.partition(".")[0] for run in runs} == {reporter.id}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_a_reporter_of_its_own(log: ScriptedLog, reporter: Reporter) -> None:
    """It has another name, none of its parent's records, counts from one, and sends by itself (C4)."""
    hold(log, reporter)
    reporter.put(numbered(Warning, 3))
    parent_id = reporter.id
    child = os.fork()
    if child == 0:  # pragma: no cover - it ends without saying what it ran
        code = 1
        try:
            log.gate = threading.Event()
            log.gate.set()
            log.calls.clear()
            mine = say(message="child's")
            empty = reporter.flush(0)
            reporter.put([mine])
            sent = reporter.flush(5)
            calls = [(name, first) for name, first, _ in log.calls]
            if empty and sent and calls == [(reporter.id, 1)] and log.stored == [mine]:
                code = 0 if reporter.id != parent_id else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert reporter.id == parent_id
    log.gate.set()
    assert reporter.flush(5)
    assert [record.event_type for record in log.stored] == ["warning"] * 4
