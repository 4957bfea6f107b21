"""Batches in this process, on a real Redis and files: what becomes of items, and what is told of it."""

import csv
import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tasks.attempt import MAX_WARNINGS, Attempt, attempt
from tasks.items import Finished, Item, ItemFailed, Outcome
from tasks.journal import Journal, Plan
from tasks.uploaded import About, keep
from tidings import Cancelled, Failure, Operation
from tidings.cursor import Cursor
from tidings.log import Log
from tidings.process import configure, this_process
from tidings.settings import Settings

NOTHING: Final = {"source": None, "items": None, "limit": None}


@pytest.fixture(autouse=True)
def place(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """A storage and a log of the test's own."""
    configure(replace(settings, storage=str(tmp_path / "files")))
    yield tmp_path
    this_process().reporter.close(5)
    configure(settings)


class Batch(NamedTuple):
    """What a batch came to: its result, its table's rows, and what was told."""

    result: dict[str, Any]
    table: list[dict[str, str]]
    told: list[tuple[str, dict[str, Any]]]

    def of(self, event_type: str) -> list[dict[str, Any]]:
        """Give the events of one type."""
        return [data for found, data in self.told if found == event_type]

    def column(self, name: str) -> list[str]:
        """Give one column of the table."""
        return [row[name] for row in self.table]


def run(log: Log, operation_id: str, *, retry: str | None = None, retries: int = 0, **given: Any) -> Batch:
    """Run a batch to its end."""
    with Operation("batch", operation_id) as operation:
        result = attempt(operation, NOTHING | given, retry=retry, retries=retries, concurrency=4)
    return told(log, operation_id, result)


def told(log: Log, operation_id: str, result: dict[str, Any]) -> Batch:
    """Give what was told of an operation."""
    assert this_process().reporter.flush(10)
    events = [(entry.type, json.loads(entry.data)) for entry in log.read(Cursor(0, 0)) if entry.cursor.n]
    text = b"".join(this_process().results.open(operation_id, "items.csv").pieces).decode()
    table = list(csv.DictReader(io.StringIO(text)))
    return Batch(result, table, [each for each in events if each[1]["operationId"] == operation_id])


def upload(place: Path, name: str, content: bytes) -> dict[str, Any]:
    """Keep a file as an upload's, and give the parameter that names it."""
    (place / "given").write_bytes(content)
    keep("up", place / "given", About(name=name, bytes=len(content), sha256="", media_type=""))
    return {"upload": "up"}


class Traced:
    """A source of numbers that writes down which of them are worked on."""

    listing, doing = "counting", "working"

    def __init__(
        self, count: int, before: Callable[[int, int], None] = lambda *_: None, ends_at: int = 0
    ) -> None:
        self.count = count
        self._ends_at = ends_at
        self._before = before
        self.done: Counter[int] = Counter()
        self.begun: Counter[int] = Counter()
        self._lock = threading.Lock()

    def items(self) -> Iterator[Item]:
        """Give the numbers from 1; those before *ends_at*, and then break off."""
        for number in range(1, self.count + 1):
            if number == self._ends_at:
                raise ConnectionError
            yield Item(number, f"n{number}", number)

    def work(self, value: int) -> list[Any]:
        """Square a number, unless *before* objects, which is told how often it was begun."""
        with self._lock:
            self.begun[value] += 1
        self._before(value, self.begun[value])
        with self._lock:
            self.done[value] += 1
        return [value * value]

    def finish(self, outcomes: Sequence[Outcome]) -> Finished:
        """Add the squares up."""
        return Finished(
            ["square"],
            (outcome.found or [""] for outcome in outcomes),
            {"sum": sum(outcome.found[0] for outcome in outcomes if outcome.found)},
        )


def go_on(
    log: Log,
    operation: Operation,
    source: Traced,
    *,
    total: int = 0,
    after: str | None = None,
    retries: int = 0,
) -> Batch:
    """Work through a source as one more attempt at a batch, and end it; or leave it to the next attempt."""
    journal = Journal(operation.id).take_over()
    plan = journal.plan() or Plan(NOTHING, total or source.count, after)
    journal.begin(plan)
    operation.start()
    try:
        batch = Attempt(operation, journal, plan, source)
        batch.work_through(3, retries)
        result = batch.finish()
    except BaseException:
        operation.leave("retrying")
        raise
    operation.complete(result)
    return told(log, operation.id, result)


CSV: Final = b"""\xef\xbb\xbfid,name,born,born
1,"Bond, James",1920-11-11,x
2,"say ""hi""
and more",1921-01-01T10:00,y

3,short
4,\xff,1922-02-02,z
5,"open
6,and all that follows
"""


def test_rows_of_a_csv_are_checked_typed_and_hashed(log: Log, place: Path) -> None:
    """A byte order mark and quotes with commas and line ends are read; a broken row is a warning."""
    batch = run(log, "csv", source=upload(place, "people.csv", CSV))

    assert [(row["item"], row["status"], row["code"]) for row in batch.table] == [
        ("line 2", "done", ""),
        ("line 3", "done", ""),
        ("line 6", "failed", "wrong_field_count"),
        ("line 7", "failed", "not_utf8"),
        ("line 8", "failed", "broken_row"),
    ]
    assert batch.result["profile"] == {
        "id": {"integer": 2}, "name": {"text": 2}, "born": {"date": 2}, "column 4": {"text": 2}
    }  # fmt: skip
    assert sorted((each["code"], each["details"]["item"]) for each in batch.of("warning")) == [
        ("broken_row", "line 8"),
        ("not_utf8", "line 7"),
        ("wrong_field_count", "line 6"),
    ]
    assert (batch.result["items"], batch.result["done"], batch.result["failed"]) == (5, 2, 3)
    assert batch.of("progress")[-1]["percentage"] == 100


def test_lines_of_json_are_checked_typed_and_hashed(log: Log, place: Path) -> None:
    """A broken line is a warning; of two equal objects the second is said to be one, whatever their order."""
    lines = [b'{"a": 1, "b": null}', b"", b'{"b": null, "a": 1}', b"{", b'{"a": "\xff"}', b"7", b'{"a": 1.5}']
    batch = run(log, "jsonl", source=upload(place, "unnamed", b"\n".join(lines)), retries=3)

    assert batch.column("item") == ["line 1", "line 3", "line 4", "line 5", "line 6", "line 7"]
    assert batch.column("code") == ["", "", "broken_json", "not_utf8", "", ""]
    assert batch.column("duplicateOf") == ["", "line 1", "", "", "", ""]
    assert batch.column("tries") == ["1"] * 6, "what is broken stays so"
    assert batch.result["duplicates"] == 1
    assert batch.result["profile"] == {
        "a": {"integer": 2, "number": 1}, "b": {"empty": 2}, "value": {"integer": 1}
    }  # fmt: skip
    assert len({digest for digest in batch.column("sha256") if digest}) == 3


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"id,name\n", b"\n\n"])
def test_a_file_without_rows_is_a_batch_without_items(log: Log, place: Path, content: bytes) -> None:
    """It succeeds, with the table's header only."""
    batch = run(log, "empty", source=upload(place, "a.csv", content))
    assert (batch.result["items"], batch.table) == (0, [])
    assert batch.told[-1][0] == "complete"


def test_a_tables_delimiter_is_seen_in_its_header(log: Log, place: Path) -> None:
    """Comma, semicolon or tab; commas in the rows do not matter."""
    batch = run(log, "tsv", source=upload(place, "a.csv", b"id;price\n1;1,5\n2;2,5\n"))
    assert batch.result["profile"] == {"id": {"integer": 2}, "price": {"text": 2}}


def test_values_of_a_list_are_items(log: Log) -> None:
    """As many as the limit says."""
    batch = run(log, "list", items=[{"a": True}, [1], "x", 4], limit=3)
    assert batch.column("item") == ["item 1", "item 2", "item 3"]
    assert batch.result["profile"] == {"a": {"boolean": 1}, "value": {"array": 1, "text": 1}}


def test_what_is_no_table_is_one_end_and_no_flood(log: Log, place: Path) -> None:
    """A picture is refused by its first line; of many broken rows some are warnings, and all in the table."""
    with pytest.raises(Failure, match="no header") as caught:
        run(log, "picture", source=upload(place, "a.csv", b"\x89PNG\r\n\x1a\n"))
    assert caught.value.code == "no_table"

    batch = run(log, "broken", source=upload(place, "a.csv", b"a,b\n" + b"1\n" * 500))
    codes = [warning["code"] for warning in batch.of("warning")]
    assert codes == ["wrong_field_count"] * (MAX_WARNINGS - 1) + ["more_warnings"]
    assert batch.result["failed"] == len(batch.table) == 500


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"source": {"upload": "nobody"}}, "no_upload"),
        ({"retry": "nobody"}, "no_batch"),
    ],
)
def test_what_is_not_there_is_said(log: Log, given: dict[str, Any], code: str) -> None:
    """As the one error of the batch."""
    with pytest.raises(Failure) as caught:
        run(log, "lost", **given)
    assert caught.value.code == code


def test_more_items_than_a_batch_may_have_are_refused(log: Log, place: Path) -> None:
    """Before any work; a limit takes the first."""
    source = upload(place, "a.csv", b"a\n" + b"1\n" * 100_001)
    with pytest.raises(Failure, match="at most 100000"):
        run(log, "many", source=source)
    assert run(log, "limited", source=source, limit=10).result["items"] == 10


def test_ten_thousand_items_are_some_dozens_of_events(log: Log) -> None:
    """The bar moves at most ten times a second, and ends at the total; the table has every item."""
    batch = run(log, "much", items=list(range(10_000)))
    shown = [event["current"] for event in batch.of("progress")]

    assert shown == sorted(set(shown))
    assert (shown[0], shown[-1]) == (0, 10_000)
    assert len(batch.told) < 10 * batch.told[-1][1]["durationSeconds"] + 10
    assert batch.column("item") == [f"item {number}" for number in range(1, 10_001)]


def test_an_attempt_that_follows_does_only_what_is_not_finished(log: Log) -> None:
    """Its first word is how far it is; the table is whole; what the attempt before told is not told again."""

    def odd_fails(number: int, _: int) -> None:
        if number % 100 == 1:
            raise ItemFailed("odd", "it is odd")

    source = Traced(1_000, odd_fails, ends_at=600)
    with pytest.raises(ConnectionError):
        go_on(log, Operation("batch", "cut"), source)
    finished = Journal("cut").outcomes()
    batch = go_on(log, Operation("batch", "cut", attempt=2), source := Traced(1_000, odd_fails))

    assert 300 < len(finished) < 600
    assert sorted(source.begun) == sorted(set(range(1, 1_001)) - {each.number for each in finished.values()})
    assert set(source.begun.values()) == {1}
    shown = [event["current"] for event in batch.of("progress") if event["attempt"] == 2]
    assert (shown[0], shown[-1]) == (len(finished), 1_000)
    assert shown == sorted(shown)
    assert batch.column("item") == [f"n{number}" for number in range(1, 1_001)]
    assert batch.column("square")[:3] == ["", "4", "9"]
    assert batch.result["failed"] == 10 == len(batch.of("warning"))


def test_who_was_replaced_stops_at_its_next_segment(log: Log) -> None:
    """Two attempts at once, as a broker that delivers too early has them, do not both go on."""
    replaced = threading.Event()

    def wait(number: int, _: int) -> None:
        if number == 10:
            Journal("twice").take_over()
            replaced.set()
        elif number > 10:
            replaced.wait(30)

    source = Traced(10_000, wait)
    with pytest.raises(Failure) as caught:
        go_on(log, Operation("batch", "twice"), source)
    assert caught.value.code == "taken_over"
    assert len(source.begun) < 1_000


def test_failures_that_may_pass_are_tried_again(log: Log) -> None:
    """So often as asked for; those that cannot pass once, and those that nobody foresaw too."""

    def fail(number: int, times: int) -> None:
        if number == 1 and times < 3:
            raise ItemFailed("busy", "not now", may_pass=True)
        if number == 2:
            raise ItemFailed("broken", "never")
        if number == 3:
            raise ZeroDivisionError("a bug")

    batch = go_on(log, Operation("batch", "again"), source := Traced(4, fail), retries=2)

    assert source.begun == {1: 3, 2: 1, 3: 3, 4: 1}
    assert batch.column("tries") == ["3", "1", "3", "1"]
    assert batch.column("code") == ["", "broken", "item_failed", ""]
    assert batch.column("reason")[2] == "ZeroDivisionError"
    assert batch.result["sum"] == 1 + 16


def test_a_batch_does_what_an_earlier_one_has_not(log: Log) -> None:
    """What failed, not what was done; and one after that what is left then."""

    def broken(numbers: set[int]) -> Callable[[int, int], None]:
        def fail(number: int, _: int) -> None:
            if number in numbers:
                raise ItemFailed("broken", "today")

        return fail

    go_on(log, Operation("batch", "first"), Traced(50, broken({3, 4, 5})))
    second = go_on(
        log, Operation("batch", "second"), source := Traced(50, broken({4})), after="first", total=3
    )
    third = go_on(log, Operation("batch", "third"), last := Traced(50), after="second", total=1)

    assert source.begun == {3: 1, 4: 1, 5: 1}
    assert second.column("item") == ["n3", "n4", "n5"]
    assert last.begun == {4: 1}
    assert third.result["failed"] == 0
    assert [event["total"] for event in third.of("progress")][-1] == 1


def test_rows_that_failed_are_had_again_by_the_batchs_id(log: Log, place: Path) -> None:
    """From the earlier batch's own source, also through a batch that went on from it."""
    run(log, "b1", source=upload(place, "a.csv", b"a,b\n1,2\n3\n4,5\n"))
    upload(place, "a.csv", b"a,b\n1,2\n3,mended\n4,5\n")
    assert run(log, "b2", retry="b1").column("item") == ["line 3"]
    assert run(log, "b3", retry="b2").table == []


def test_a_cancelled_batch_stops_soon_and_keeps_what_it_did(log: Log) -> None:
    """Nothing is begun any more; another batch can do the rest."""
    operation = Operation("batch", "cancelled")

    def cancel(number: int, _: int) -> None:
        if number == 20:
            operation.heed_cancel()

    source = Traced(10_000, cancel)
    with pytest.raises(Cancelled):
        go_on(log, operation, source)
    kept = Journal("cancelled").outcomes()

    assert 20 <= len(source.begun) < 50
    assert {outcome.number for outcome in kept.values()} == set(source.done)
