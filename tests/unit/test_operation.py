"""Operations over a log that the test plays: pacing, ends, the current operation, and values put right."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from enum import Enum
from typing import Any

import pytest

from tests.waiting import wait_until
from tidings import (
    Cancelled,
    check_cancelled,
    current_operation,
    process,
    report_progress,
    report_status,
    report_warning,
    track,
)
from tidings.errors import InvalidValue
from tidings.log import Log, Outcome
from tidings.operation import Operation
from tidings.past import Took
from tidings.process import Process
from tidings.record import Record
from tidings.reporter import Reporter
from tidings.settings import Settings


class KeptLog(Log):
    """A log that stores everything, in ``stored``."""

    def __init__(self) -> None:
        self.stored: list[Record] = []

    def append(
        self,
        reporter: str,  # noqa: ARG002 - as a log has it
        first: int,  # noqa: ARG002
        records: Sequence[Record],
        beat: str = "",  # noqa: ARG002
    ) -> list[Outcome]:
        """Store everything."""
        self.stored += records
        return [Outcome("stored")] * len(records)

    def past(self, tasks: Iterable[str]) -> dict[str, list[Took]]:
        """Know five runs of ten to fifty seconds, each silent for up to a second."""
        return {task: [(10.0 * run, 1.0) for run in range(1, 6)] for task in tasks}

    @property
    def said(self) -> list[tuple[str, dict[str, Any]]]:
        """What was stored, as the wire has it."""
        return [(record.event_type, json.loads(record.data)) for record in self.stored]

    @property
    def types(self) -> list[str]:
        """The types of what was stored."""
        return [record.event_type for record in self.stored]

    @property
    def counts(self) -> list[float]:
        """The progress that was stored."""
        return [said["current"] for event_type, said in self.said if event_type == "progress"]


@pytest.fixture
def log() -> KeptLog:
    """A log that takes everything."""
    return KeptLog()


@pytest.fixture
def reporter(log: KeptLog) -> Reporter:
    """A reporter whose throttle lets one report an hour through: only a flush or an end sends more."""
    return Reporter(log, buffer_records=1_000, interval_s=3_600)


@pytest.fixture
def operation(reporter: Reporter) -> Operation:
    """A lenient operation that has started."""
    return Operation("batch", "op", reporter=reporter, strict=False).start()


class Words(str):
    """Text of a class of its own, as template engines and translations have it."""

    __slots__ = ()


class Phase(str, Enum):  # noqa: UP042 - the older spelling is the one to be kept working
    """Statuses as an author may write them down."""

    COPYING = "copying"


class Hostile:
    """A value that will not be read in any way."""

    def __float__(self) -> float:
        raise RuntimeError("not a number")

    def __str__(self) -> str:
        raise RuntimeError("not a text")

    __repr__ = __str__


def test_the_bound_of_a_payload_is_the_process_setting(
    log: KeptLog, reporter: Reporter, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is longer than TIDINGS_PAYLOAD_BYTES is left out."""
    monkeypatch.setattr(process, "_process", Process(Settings(payload_bytes=256)))
    operation.status("checking", {"rows": "x" * 300})
    assert reporter.flush(5)
    (said,) = [said for _, said in log.said if said.get("status") == "checking"]
    assert set(said["details"]) == {"omitted"}


def test_the_first_progress_leaves_at_once(log: KeptLog, operation: Operation) -> None:
    """The throttle is a limit, not a delay."""
    operation.progress(1, 10, "first")
    wait_until(lambda: log.counts, timeout_s=5)
    (said,) = [said for event_type, said in log.said if event_type == "progress"]
    assert (said["current"], said["total"], said["percentage"], said["message"]) == (1, 10, 10, "first")


def test_what_leaves_says_how_fast_it_goes_and_how_long_it_will_take(
    log: KeptLog, reporter: Reporter
) -> None:
    """After a second: its rate, and the seconds that are left, in an interval."""
    operation = started_s_ago(20, reporter)
    operation.progress(10, 40)
    operation.complete()
    wait_until(lambda: "complete" in log.types, timeout_s=5)
    (said,) = [said for event_type, said in log.said if event_type == "progress"]
    assert {field: said[field] for field in ("rate", "etaSeconds", "etaLow", "etaHigh")} == {
        "rate": 0.5, "etaSeconds": 60, "etaLow": 30, "etaHigh": 120,
    }  # fmt: skip
    assert log.stored[-1].took_s == pytest.approx(20, abs=5)
    assert log.stored[-1].silence_s == pytest.approx(20, abs=5)


def test_past_runs_tell_before_anything_moves(log: KeptLog, reporter: Reporter) -> None:
    """Without a total of its own the rest is what past runs had left."""
    reporter.lease.pasts.refresh(log, ["batch"])
    operation = started_s_ago(2, reporter)
    operation.progress(0)
    operation.complete()
    wait_until(lambda: "complete" in log.types, timeout_s=5)
    (said,) = [said for event_type, said in log.said if event_type == "progress"]
    assert (said["rate"], said["etaSeconds"], said["etaLow"], said["etaHigh"]) == (0, 28, 12, 44)


def test_a_silence_is_judged_by_past_runs(log: KeptLog, reporter: Reporter) -> None:
    """Longer than the setting, and three times as long as nine of ten runs were silent at most."""
    operation = started_s_ago(2.5, reporter)
    assert operation.stalled(60) is None
    reporter.lease.pasts.refresh(log, ["batch"])
    assert operation.stalled(1) is None
    operation = started_s_ago(31, reporter)
    assert operation.stalled(60) is None
    record = operation.stalled(1)
    assert record is not None
    said = json.loads(record.data)
    assert said["code"] == "stalled"
    assert said["details"]["usualSeconds"] == 1
    assert said["details"]["silentSeconds"] >= 31
    assert said["message"].endswith("Usually its silences last at most 1.0 s.")
    assert operation.stalled(1) is None
    operation.progress(1)
    operation.complete()
    wait_until(lambda: "complete" in log.types, timeout_s=5)
    assert log.stored[-1].silence_s >= 31


def test_a_silence_is_told_once(reporter: Reporter) -> None:
    """The warning is no word of the task's: the silence goes on until that says something."""
    operation = started_s_ago(2, reporter)
    assert operation.stalled(0) is not None
    assert operation.stalled(0) is None
    operation.warning("c", "m")
    assert operation.stalled(0) is not None


def started_s_ago(seconds: float, reporter: Reporter) -> Operation:
    """Start an operation so long ago."""
    operation = Operation("batch", "op", reporter=reporter, strict=False).start()
    operation._started_at = operation._said_at = time.monotonic() - seconds  # noqa: SLF001 - no sleep
    return operation


def test_between_two_turns_only_the_newest_waits(
    log: KeptLog, operation: Operation, reporter: Reporter
) -> None:
    """Of what is said within the interval the last is sent, and nothing else."""
    operation.progress(1)
    wait_until(lambda: log.counts, timeout_s=5)
    for current in range(2, 1_000):
        operation.progress(current)
    assert log.counts == [1]
    assert reporter.flush(5)
    assert log.counts == [1, 999]


def test_the_trailing_progress_leaves_by_itself(log: KeptLog) -> None:
    """When the interval is over, what waits is sent though nobody says anything more."""
    operation = Operation(reporter=Reporter(log, buffer_records=9, interval_s=0.05), strict=False)
    operation.progress(1)
    wait_until(lambda: log.counts, timeout_s=5)
    operation.progress(2)
    operation.progress(3)
    wait_until(lambda: log.counts[-1] == 3, timeout_s=5)
    assert len(log.counts) <= 3


def test_the_interval_counts_for_each_operation_by_itself(log: KeptLog, reporter: Reporter) -> None:
    """One operation's reports do not hold another's back."""
    for name in ("a", "b", "c"):
        Operation(id=name, reporter=reporter, strict=False).progress(1)
    wait_until(lambda: len(log.counts) == 3, timeout_s=5)


def test_many_threads_lose_no_last_value(log: KeptLog) -> None:
    """Whoever reports last of several threads is heard."""
    operation = Operation(reporter=Reporter(log, buffer_records=9, interval_s=0.001), strict=False)

    def count() -> None:
        for current in range(2_000):
            operation.progress(current)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    operation.progress(-0.0 + 5_000)
    operation.complete()
    wait_until(lambda: log.types[-1:] == ["complete"], timeout_s=5)
    assert log.counts[-1] == 5_000


def test_the_end_comes_after_the_last_progress(
    log: KeptLog, operation: Operation, reporter: Reporter
) -> None:
    """Ending sends what waits for its turn first, then the final status, then the terminal event."""
    operation.progress(1, 3)
    wait_until(lambda: log.counts, timeout_s=5)
    operation.progress(2, 3)
    operation.progress(3, 3)
    operation.complete({"rows": 3})
    wait_until(lambda: "complete" in log.types, timeout_s=5)
    assert log.types == ["status", "progress", "progress", "status", "complete"]
    assert log.counts == [1, 3]
    assert log.said[-2][1]["status"] == "succeeded"
    assert log.said[-1][1]["result"] == {"rows": 3}
    assert (log.stored[-1].took_s or -1) >= 0
    assert [record.ends for record in log.stored] == [False, False, False, False, True]


ENDINGS: dict[str, tuple[Callable[[Operation], None], list[str], str]] = {
    "complete": (Operation.complete, ["status", "complete"], "succeeded"),
    "error": (lambda op: op.error("failed", "m"), ["status", "error"], "failed"),
    "cancelled": (lambda op: op.error("cancelled", "m"), ["status", "error"], "cancelled"),
    "left to another attempt": (lambda op: op.leave("retrying"), ["status"], "retrying"),
}


@pytest.mark.parametrize(
    ("ending", "effect"),
    [(ending[0], "leaves" if name.startswith("left") else "ends") for name, ending in ENDINGS.items()],
    ids=ENDINGS,
)
def test_the_log_is_told_how_an_attempt_is_over(
    log: KeptLog, operation: Operation, reporter: Reporter, ending: Callable[[Operation], None], effect: str
) -> None:
    """The last record says whether the operation has ended, or is left to another attempt."""
    operation.status("s")
    ending(operation)
    assert reporter.flush(5)
    assert [record.effect for record in log.stored if record.effect] == [effect]
    assert log.stored[-1].effect == effect


def test_the_log_is_told_whether_the_task_would_come_again(log: KeptLog, reporter: Reporter) -> None:
    """From its beginning on; but not where the attempt gives itself up, which nobody has to make good."""
    operation = Operation("batch", reporter=reporter, strict=False)
    operation.redelivery_s = 60
    operation.start().warning("c", "m")
    operation.leave("retrying")
    assert reporter.flush(5)
    assert [record.redelivery_s for record in log.stored] == [60, 60, 0]


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_nothing_is_said_after_the_end(
    log: KeptLog,
    operation: Operation,
    reporter: Reporter,
    ending: tuple[Callable[[Operation], None], list[str], str],
) -> None:
    """Whatever is said later is dropped, and a second end as well."""
    end, types, status = ending
    end(operation)
    operation.progress(1)
    operation.status("s")
    operation.warning("c", "m")
    operation.error("c", "m", terminal=False)
    operation.complete()
    operation.error("c", "m")
    operation.leave("retrying")
    assert reporter.flush(5)
    assert log.types == ["status", *types]
    assert log.stored[1].status == status


def test_who_catches_that_it_is_to_be_cancelled_hears_it_again_and_may_succeed(
    log: KeptLog, operation: Operation, reporter: Reporter
) -> None:
    """What it came to is what it says."""
    operation.heed_cancel()
    for _ in range(2):
        with pytest.raises(Cancelled):
            operation.check_cancelled()
    operation.complete()
    assert reporter.flush(5)
    assert log.stored[-1].status == "succeeded"


@pytest.mark.parametrize("end", [ending[0] for ending in ENDINGS.values()], ids=ENDINGS)
def test_progress_after_the_end_does_not_take_the_turn_of_progress_before_it(
    log: KeptLog, operation: Operation, reporter: Reporter, end: Callable[[Operation], None]
) -> None:
    """The turn that throttled progress was waiting for is void once the operation has ended."""
    operation.progress(1)
    wait_until(lambda: log.counts, timeout_s=5)
    operation.progress(2)
    end(operation)
    operation.progress(3)
    assert reporter.flush(5)
    assert log.counts == [1, 2]


def test_an_error_that_is_not_terminal_goes_on(
    log: KeptLog, operation: Operation, reporter: Reporter
) -> None:
    """It is said like a warning, and the operation still ends once."""
    operation.error("c", "m", {"why": 1}, retryable=True, terminal=False)
    operation.complete()
    assert reporter.flush(5)
    assert log.types == ["status", "error", "status", "complete"]
    assert log.said[1][1]["retryable"] is True
    assert "terminal" not in log.said[1][1]


def test_leaving_the_block_completes_it(log: KeptLog, reporter: Reporter) -> None:
    """A with-block that ends well begins with running and ends with complete."""
    with Operation("batch", "op", reporter=reporter, strict=False) as op:
        op.progress(1, 1)
    assert reporter.flush(5)
    assert log.types == ["status", "progress", "status", "complete"]
    assert [said["status"] for event_type, said in log.said if event_type == "status"] == [
        "running",
        "succeeded",
    ]


@pytest.mark.parametrize("raised", [KeyError("k"), ValueError(), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_in_the_block_fails_it_and_goes_on(
    log: KeptLog, reporter: Reporter, raised: BaseException
) -> None:
    """The terminal error names the exception, and the block does not swallow it."""
    with pytest.raises(type(raised)), Operation(reporter=reporter, strict=False):
        raise raised
    assert reporter.flush(5)
    event_type, said = log.said[-1]
    assert (event_type, said["code"], said["terminal"]) == ("error", "failed", True)
    assert said["message"] == f"It failed with {type(raised).__name__}."
    assert said["details"] == {"exception": type(raised).__name__}


def test_a_block_that_was_ended_by_hand_is_not_ended_again(log: KeptLog, reporter: Reporter) -> None:
    """The end that was said stands, even if the block then fails."""
    operation = Operation(reporter=reporter, strict=False)
    with pytest.raises(KeyError), operation:  # noqa: PT012 - what the block does is the test
        operation.complete("done")
        raise KeyError
    assert reporter.flush(5)
    assert log.types == ["status", "status", "complete"]


def test_reports_find_the_operation_of_their_context(log: KeptLog, reporter: Reporter) -> None:
    """Inside a block report_* speak for it, inside a nested one for the inner, and outside for none."""
    with Operation(id="outer", reporter=reporter, strict=False) as outer:
        report_status("one")
        with Operation(id="inner", reporter=reporter, strict=False, parent=outer) as inner:
            assert current_operation() is inner
            report_warning("c", "two", {"d": 1})
            report_progress(3, 4, "three")
        assert current_operation() is outer
        report_status("four")
    assert current_operation() is None
    assert reporter.flush(5)
    said = [(said["operationId"], said.get("message") or said.get("status")) for _, said in log.said]
    wanted = [("outer", "one"), ("inner", "two"), ("inner", "three"), ("outer", "four")]
    assert [one for one in said if one in wanted] == wanted


def test_a_thread_has_no_current_operation_unless_it_is_handed_one(reporter: Reporter) -> None:
    """A thread starts outside; the context can be copied, or the operation used as it is."""
    found: list[Operation | None] = []

    def look() -> None:
        found.append(current_operation())

    with Operation(reporter=reporter, strict=False) as op:
        context = copy_context()
        for target in (look, lambda: context.run(look)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert found == [None, op]


def test_outside_any_operation_reports_go_nowhere_and_say_so_at_most_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A call without an operation does nothing else than a line that names it, once per process."""
    with caplog.at_level(logging.WARNING, "tidings"):
        for _ in range(3):
            report_progress(1)
            report_status("s")
            report_warning("c", "m")
            check_cancelled()
    for function in ("report_progress", "report_status", "report_warning", "check_cancelled"):
        assert sum(function in line for line in caplog.messages) <= 1


WRONG: dict[str, tuple[Callable[[Operation], None], str]] = {
    "progress that is not a number": (lambda op: op.progress(float("nan")), "current"),
    "negative progress": (lambda op: op.progress(-1, 2), "current"),
    "a huge total": (lambda op: op.progress(1, 2**53 + 1), "total"),
    "an infinite total": (lambda op: op.progress(1, float("inf")), "total"),
    "a number beyond all printing": (lambda op: op.progress(10**5_000), "current"),
    "a value that will not be a number": (lambda op: op.progress(Hostile()), "current"),  # type: ignore[arg-type]
    "a long message": (lambda op: op.progress(1, 2, "x" * 100_000), "message"),
    "a message that is no text": (lambda op: op.progress(1, 2, Hostile()), "message"),  # type: ignore[arg-type]
    "a lone surrogate": (lambda op: op.warning("c", "\ud800"), "message"),
    "a code with spaces": (lambda op: op.warning("two words", "m"), "code"),
    "details that are not JSON": (lambda op: op.warning("c", "m", object()), "details"),
    "details too big": (lambda op: op.status("s", ["x" * 50_000]), "details"),
    "a long status": (lambda op: op.status("x" * 101), "status"),
    "a status that is a list": (lambda op: op.status(["s"]), "status"),  # type: ignore[arg-type]
    "a reserved status": (lambda op: op.status("succeeded"), "status"),
    "a result that is not JSON": (lambda op: op.complete({1, object()}), "result"),
    "an error message that is no text": (lambda op: op.error("c", Hostile()), "message"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("call", "field"), WRONG.values(), ids=WRONG)
def test_strict_raises_what_lenient_puts_right(
    log: KeptLog, reporter: Reporter, call: Callable[[Operation], None], field: str
) -> None:
    """A wrong value is refused by its field's name in strict mode; else the task goes on and is heard."""
    with pytest.raises(InvalidValue) as caught:
        call(Operation(reporter=reporter, strict=True).start())
    assert caught.value.field == field
    lenient = Operation(id="lenient", reporter=reporter, strict=False).start()
    call(lenient)
    lenient.complete("heard")
    assert reporter.flush(5)
    mine = [record for record in log.stored if record.descriptor.id == "lenient"]
    assert mine[-1].ends


@pytest.mark.parametrize(
    "wrong", [Hostile(), 10**5_000, Words("text"), object()], ids=["hostile", "huge", "text", "object"]
)
def test_a_strange_value_does_not_silence_the_process(log: KeptLog, reporter: Reporter, wrong: Any) -> None:
    """Progress of whatever class, cleaned by the sender, leaves the sender alive."""
    strange = Operation(reporter=reporter, strict=False)
    strange.progress(1, 2, wrong)
    strange.progress(wrong, wrong)
    assert reporter.flush(5)
    Operation(id="next", reporter=reporter, strict=False).progress(1)
    assert reporter.flush(5)
    assert log.stored[-1].descriptor.id == "next"


@pytest.mark.parametrize(("current", "total"), [(1, 5e-324), (2**53, 1e-300), (0, 0), (0.1, 0.3)])
def test_any_two_numbers_make_a_progress(
    log: KeptLog, operation: Operation, reporter: Reporter, current: float, total: float
) -> None:
    """However far apart, they are reported."""
    operation.progress(current, total)
    assert reporter.flush(5)
    assert log.counts == [current]


def test_text_of_any_class_is_text(log: KeptLog, operation: Operation, reporter: Reporter) -> None:
    """Subclasses of str, enums included, arrive as the text that they are."""
    operation.warning(Words("code"), Words("message"), {Words("key"): Words("value")})
    operation.status(Phase.COPYING)
    operation.status(Words("phase"))
    operation.progress(1, 2, Words("moving"))
    assert reporter.flush(5)
    warning, copying, phase, progress = (said for _, said in log.said[1:])
    assert (warning["code"], warning["message"], warning["details"]) == ("code", "message", {"key": "value"})
    assert (copying["status"], phase["status"], progress["message"]) == ("copying", "phase", "moving")


def test_a_strict_operation_has_ended_though_its_result_was_refused(log: KeptLog, reporter: Reporter) -> None:
    """A wrong result is said to its author, and the browser still sees the end."""
    operation = Operation(reporter=reporter, strict=True).start()
    with pytest.raises(InvalidValue):
        operation.complete(object())
    assert reporter.flush(5)
    assert log.types == ["status", "status", "complete"]


def test_track_yields_everything_and_reports_how_many_are_done(log: KeptLog, reporter: Reporter) -> None:
    """Its total is the length of what it is given, and its last report says that all is done."""
    with Operation(reporter=reporter, strict=False):
        assert list(track(["a", "b", "c"], message="Going")) == ["a", "b", "c"]
    assert reporter.flush(5)
    last = [said for event_type, said in log.said if event_type == "progress"][-1]
    assert (last["current"], last["total"], last["percentage"], last["message"]) == (3, 3, 100, "Going")


@pytest.mark.parametrize(
    ("items", "total", "shown"), [(iter("ab"), None, 2), ((c for c in "ab"), None, None), ("ab", 7, 7)]
)
def test_track_reports_the_total_that_it_is_told_or_can_find(
    log: KeptLog, reporter: Reporter, items: Any, total: float | None, shown: float | None
) -> None:
    """A given total wins; a length, or a hint of one, does next; else it is unknown."""
    operation = Operation(reporter=reporter, strict=False)
    assert list(track(items, total, operation=operation)) == ["a", "b"]
    assert reporter.flush(5)
    assert [said["total"] for _, said in log.said][-1] == shown


def test_track_counts_an_item_when_the_next_is_asked_for(
    log: KeptLog, operation: Operation, reporter: Reporter
) -> None:
    """What is being worked on is not done; an item that breaks off the loop never is."""
    for item in track(range(5), operation=operation):
        if item == 2:
            break
    assert reporter.flush(5)
    assert log.counts[-1] == 2


def test_a_child_belongs_to_its_parents_workflow(reporter: Reporter) -> None:
    """The tree's root is handed down; an id is a parent as good as an operation."""
    root = Operation("workflow", "w", reporter=reporter, strict=False)
    child = Operation(parent=root, reporter=reporter, strict=False)
    grandchild = Operation(parent=child, reporter=reporter, strict=False)
    assert (
        root.descriptor.workflow_id
        == child.descriptor.workflow_id
        == grandchild.descriptor.workflow_id
        == "w"
    )
    assert (child.descriptor.parent_id, grandchild.descriptor.parent_id) == ("w", child.id)
    assert Operation(parent="p", reporter=reporter, strict=False).descriptor.parent_id == "p"


@pytest.mark.parametrize(
    "wrong", [{"id": "a b"}, {"kind": ""}, {"parent": "é"}, {"workflow": "a/b"}, {"agent": "a" * 129}]
)
def test_an_operation_refuses_what_is_no_identifier(reporter: Reporter, wrong: dict[str, Any]) -> None:
    """Ids, kinds, parents, workflows and agents are refused by name, strict or not."""
    (field,) = wrong
    with pytest.raises(InvalidValue) as caught:
        Operation(reporter=reporter, strict=False, **wrong)
    assert caught.value.field == field


def test_ids_are_made_where_none_is_given(reporter: Reporter) -> None:
    """Each operation has an id of its own that may stand in a topic."""
    ids = {Operation(reporter=reporter, strict=False).id for _ in range(10)}
    assert len(ids) == 10
    assert all(operation_id.startswith("op_") for operation_id in ids)
