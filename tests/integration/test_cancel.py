"""Cancelling on a real server: what an append makes of it, and how the run that is meant hears of it."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.test_log import Author, hash_of
from tests.integration.test_reporter_on_redis import said
from tests.waiting import wait_until
from tidings import Cancelled, Operation, check_cancelled, track
from tidings.cancel import cancelling
from tidings.descriptor import Descriptor
from tidings.events import QUEUED, RETRYING, Status
from tidings.gate import Gate
from tidings.lease import BEATS_PER_LEASE
from tidings.log import Log
from tidings.record import NEW, OWN, Record
from tidings.reporter import Reporter
from tidings.settings import Settings

OP = Descriptor.of("op", "batch", workflow="flow")
QUEUED_NOW = Record.of(OP, Status, condition=NEW, status=QUEUED)
ALONE = ["stored", "alive", "alive"]
ENDED = ["stored", "stored", "stored"]


def ask(log: Log, attempt: int | None = None, by: str = "me") -> list[str]:
    """Ask for the operation to be cancelled, as the service does; give what became of each record."""
    state = log.operation("op")
    assert state is not None
    return Author(log, f"web-{log.hello().position.n}").codes(*cancelling(state, by, attempt=attempt))


def statuses(log: Log) -> list[str]:
    """Give the operation's statuses in their order."""
    return [event["status"] for event_type, event in said(log, "op") if event_type == "status"]


def running(reporter: Reporter, attempt: int = 1) -> Operation:
    """Begin an attempt at the operation."""
    operation = Operation("batch", "op", attempt=attempt, reporter=reporter, strict=True).start()
    assert reporter.flush(5)
    return operation


def test_a_queued_operation_ends_with_the_asking(log: Log) -> None:
    """In one step, with who asked in both events, on its workflow too; and nothing can begin it again."""
    author = Author(log)
    author.append(QUEUED_NOW)
    assert ask(log) == ENDED
    assert statuses(log) == ["queued", "cancelling", "cancelled"]
    (_, asked), _, (_, end) = said(log, "op")[1:]
    assert (asked["details"], asked["workflowId"]) == ({"askedBy": "me"}, "flow")
    assert (end["code"], end["terminal"], end["details"]) == ("cancelled", True, {"askedBy": "me"})
    (outcome,) = author.append(Record.beginning(OP, "mine.1", 1))
    assert (outcome.code, outcome.message) == ("over", "cancel")


def test_what_waited_finds_the_gate_closed_and_so_do_leaves_of_its_workflow(
    log: Log, settings: Settings
) -> None:
    """What nobody asked for finds it open."""
    Author(log).append(QUEUED_NOW)
    waiting = [OP, Descriptor.of("leaf", "task", workflow="op"), Descriptor.of("other", "task")]
    gate = Gate(Log(settings), lambda: math.inf)  # its last look is always long ago
    assert [gate.is_closed(about) for about in waiting] == [False, False, False]
    assert log.cancels(waiting[2]) == (False, False)
    ask(log)
    assert [gate.is_closed(about) for about in waiting] == [True, True, False]
    assert log.cancels(waiting[2]) == (True, False)


def test_what_uses_the_id_of_something_cancelled_finds_the_gate_open(log: Log, settings: Settings) -> None:
    """Even if the log has not heard of it yet; what was cancelled does not begin."""
    first, second = (Descriptor.of("op", "task", use=use) for use in ("one", "two"))
    Author(log).append(Record.of(first, Status, condition=NEW, status=QUEUED))
    assert ask(log) == ENDED
    gate = Gate(Log(settings))
    assert [gate.is_closed(about) for about in (first, second)] == [True, False]
    Author(log, "other").append(Record.of(second, Status, condition=NEW, status=QUEUED))
    assert not gate.is_closed(second)


def test_a_run_hears_of_it_with_its_next_report(log: Log, reporter: Reporter) -> None:
    """Progress is enough; what it says until then counts, and its end is cancelled."""
    operation = running(reporter)
    assert ask(log) == ALONE
    operation.check_cancelled()
    operation.progress(1, 2)
    wait_until(lambda: operation.is_cancelling, timeout_s=5)
    with pytest.raises(Cancelled, match="op"), operation:
        check_cancelled()
    assert reporter.flush(5)
    assert [status for status in statuses(log) if status != "running"] == ["cancelling", "cancelled"]
    assert said(log, "op")[-1][1]["terminal"] is True


def test_a_silent_run_hears_of_it_with_a_beat(log: Log) -> None:
    """Within two beats, though it says nothing; and its process' other operations do not."""
    reporter = Reporter(log, buffer_records=9, interval_s=0.1, lease_s=0.1 * BEATS_PER_LEASE)
    other = Operation("batch", "other", reporter=reporter, strict=True).start()
    operation = running(reporter)
    ask(log)
    wait_until(lambda: operation.is_cancelling, timeout_s=5)
    assert not other.is_cancelling
    assert log.redis.smembers(log.key(f"c:{reporter.id}")) == {operation.run.encode()}
    operation.error("cancelled", "m")
    other.complete()
    assert reporter.flush(5)
    assert not log.redis.exists(log.key(f"c:{reporter.id}"))


def test_track_stops_before_its_next_item(log: Log, reporter: Reporter) -> None:
    """The item that is being worked on is finished, and counts."""
    operation = running(reporter)
    done: list[int] = []
    with pytest.raises(Cancelled), operation:  # noqa: PT012 - what the block does is the test
        for item in track(range(9)):
            if item == 2:
                ask(log)
                operation.warning("c", "m")
                assert reporter.flush(5)
            done.append(item)
    assert done == [0, 1, 2]
    assert reporter.flush(5)
    (*_, (last, end)) = said(log, "op")
    assert (last, end["code"]) == ("error", "cancelled")
    counts = [event["current"] for event_type, event in said(log, "op") if event_type == "progress"]
    assert counts[-1] == 3


def test_asking_twice_says_it_once(log: Log, reporter: Reporter) -> None:
    """The first one is named."""
    running(reporter)
    assert ask(log, by="first") == ALONE
    assert ask(log, by="second") == ["asked", "alive", "alive"]
    assert statuses(log).count("cancelling") == 1


def test_the_next_attempt_hears_of_it_as_it_begins(log: Log, reporter: Reporter) -> None:
    """A run that was asked and gives up for another attempt anyway hands it on."""
    first = running(reporter)
    ask(log)
    first.leave(RETRYING)
    assert reporter.flush(5)
    second = running(reporter, attempt=2)
    assert second.is_cancelling
    assert log.redis.smembers(log.key(f"c:{reporter.id}")) == {second.run.encode()}


@pytest.mark.parametrize("redelivery_s", [0, 60])
def test_between_two_attempts_it_ends_at_once(log: Log, reporter: Reporter, redelivery_s: int) -> None:
    """Nobody works on it, whichever way the first attempt gave it up."""
    first = running(reporter)
    record = Record.of(
        first.descriptor, Status, condition=OWN, run=first.run, leaves=True, redelivery_s=redelivery_s,
        status=RETRYING,
    )  # fmt: skip
    reporter.put([record])
    assert reporter.flush(5)
    assert ask(log) == ENDED


def test_a_run_that_only_says_that_it_is_retrying_is_asked(log: Log, reporter: Reporter) -> None:
    """Words of an author's do not make an operation idle."""
    running(reporter).status(RETRYING)
    assert reporter.flush(5)
    assert ask(log) == ALONE


@pytest.mark.parametrize(("attempt", "codes"), [(1, ["stale", "alive", "alive"]), (2, ALONE), (None, ALONE)])
def test_an_attempt_that_is_named_must_be_the_one(
    log: Log, reporter: Reporter, attempt: int | None, codes: list[str]
) -> None:
    """Who saw the first attempt fail does not end the second one by mistake."""
    running(reporter).leave(RETRYING)
    running(reporter, attempt=2)
    assert ask(log, attempt) == codes


ENDINGS: dict[str, tuple[Callable[[Operation], None], str]] = {
    "succeeded": (Operation.complete, "complete"),
    "cancelled": (lambda op: op.error("cancelled", "m"), "error"),
}


@pytest.mark.parametrize(("end", "last"), ENDINGS.values(), ids=ENDINGS)
def test_what_is_over_stays_as_it_ended(
    log: Log, reporter: Reporter, end: Callable[[Operation], None], last: str
) -> None:
    """Nothing is said after the end; and what succeeds although it was asked has succeeded."""
    operation = running(reporter)
    ask(log)
    end(operation)
    assert reporter.flush(5)
    assert ask(log) == ["over", "over", "over"]
    assert said(log, "op")[-1][0] == last


def test_a_superseded_run_cannot_say_that_it_was_cancelled(log: Log, reporter: Reporter) -> None:
    """The operation is the second attempt's: the first one's end changes nothing."""
    first, second = running(reporter), running(reporter, attempt=2)
    ask(log)
    first.error("cancelled", "m")
    assert reporter.flush(5)
    assert hash_of(log, "op:op")["status"] == "cancelling"
    second.complete()
    assert reporter.flush(5)
    last: tuple[str, Any] = said(log, "op")[-1]
    assert last[0] == "complete"


def test_a_reply_that_is_lost_is_made_good_by_a_beat(log: Log) -> None:
    """The batch is sent again and told `dup`, which says nothing of cancelling; the beat does."""
    author = Author(log)
    author.append(Record.beginning(OP, "mine.1", 1))
    ask(log)
    warned = Record.of(OP, Status, condition=OWN, run="mine.1", status="phase")
    assert log.append("mine", 2, [warned])[0].message == "cancel"
    assert log.append("mine", 2, [warned])[0].code == "dup"
    (outcome,) = log.append("mine", 0, [], "7")
    assert (outcome.code, outcome.message) == ("cancel", "mine.1")
