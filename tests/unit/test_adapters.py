"""The adapters with the real libraries: bars of tqdm and rich, records of logging, threads of an executor."""

import io
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.progress import track as rich_track
from tqdm.std import tqdm

import tidings.adapters.rich
import tidings.adapters.tqdm
from tests.unit.test_operation import KeptLog
from tidings import Operation, current_operation, report_progress
from tidings.adapters.futures import carry
from tidings.adapters.logging import OperationHandler
from tidings.reporter import Reporter


@pytest.fixture
def log() -> KeptLog:
    """A log that takes everything."""
    return KeptLog()


@pytest.fixture
def reporter(log: KeptLog) -> Reporter:
    """A reporter that throttles nothing away but what is flushed over."""
    return Reporter(log, buffer_records=1_000, interval_s=3_600)


@pytest.fixture
def operation(reporter: Reporter) -> Iterator[Operation]:
    """The current operation, strict."""
    with Operation("batch", "op", reporter=reporter, strict=True) as operation:
        yield operation


def bar(items: Any, **said: Any) -> Any:
    """Make a tqdm as an author would, but for where it draws."""
    return tqdm(items, file=io.StringIO(), mininterval=0, **said)


def last_progress(log: KeptLog, operation: Operation) -> tuple[Any, ...]:
    """Give what the newest progress says."""
    assert operation.flush(5)
    said = [said for event_type, said in log.said if event_type == "progress"][-1]
    return said["current"], said["total"], said.get("message")


def test_a_tqdm_is_the_progress_of_its_operation(log: KeptLog, operation: Operation) -> None:
    """Its count, total and description are the operation's, at the start, on the way, and at the end."""
    tidings.adapters.tqdm.install()
    seen = [(item, last_progress(log, operation)) for item in bar("abc", desc="Rows")]

    assert seen == [("a", (0, 3, "Rows")), ("b", (1, 3, "Rows")), ("c", (2, 3, "Rows"))]
    assert last_progress(log, operation) == (3, 3, "Rows")


def test_a_tqdm_that_is_broken_off_says_how_far_it_came(log: KeptLog, operation: Operation) -> None:
    """And the next bar of the operation is shown, of unknown length as it is."""
    tidings.adapters.tqdm.install()
    for item in bar(range(9)):
        if item == 4:
            break
    assert last_progress(log, operation) == (4, 9, None)
    assert list(bar(iter("ab"), desc="next")) == ["a", "b"]
    assert last_progress(log, operation) == (2, None, "next")


def test_of_nested_bars_the_outer_one_is_shown(log: KeptLog, operation: Operation) -> None:
    """An operation has one progress."""
    tidings.adapters.tqdm.install()
    for _ in bar("ab", desc="outer"):
        for _ in bar("cdef", desc="inner"):
            assert last_progress(log, operation)[2] == "outer"
    assert last_progress(log, operation) == (2, 2, "outer")


def test_a_bar_belongs_to_the_operation_in_which_it_was_made(
    log: KeptLog, operation: Operation, reporter: Reporter
) -> None:
    """A thread that knows of no operation moves it on, and one of another operation too."""
    tidings.adapters.tqdm.install()
    shown = bar(None, total=4)
    thread = threading.Thread(target=shown.update, args=(3,))
    thread.start()
    thread.join()
    assert last_progress(log, operation) == (3, 4, None)
    with Operation("batch", "other", reporter=reporter, strict=True):
        shown.update(1)
        shown.close()
    assert last_progress(log, operation) == (4, 4, None)
    assert {said["operationId"] for kind, said in log.said if kind == "progress"} == {"op"}


def test_bars_outside_any_operation_are_left_alone(log: KeptLog, reporter: Reporter) -> None:
    """They draw as ever, and say nothing, not even a warning."""
    tidings.adapters.tqdm.install()
    drawn = io.StringIO()
    assert list(tqdm("ab", file=drawn)) == ["a", "b"]
    assert "2/2" in drawn.getvalue()
    assert reporter.flush(5)
    assert log.stored == []


def test_a_bar_with_strange_values_harms_nobody(log: KeptLog, operation: Operation) -> None:
    """Even strict: the bar goes on, and tqdm's lock is free."""
    tidings.adapters.tqdm.install()
    shown = bar(None, total=4, desc="x" * 5_000)
    shown.set_description("fine")
    shown.update(2)
    shown.close()
    assert last_progress(log, operation) == (2, 4, "fine")


def test_a_rich_track_is_the_progress_of_its_operation(log: KeptLog, operation: Operation) -> None:
    """Moved on by a thread of rich's own, without a terminal, to its last item."""
    tidings.adapters.rich.install()
    console = Console(file=io.StringIO())
    assert list(rich_track("abc", description="Rows", console=console)) == ["a", "b", "c"]
    assert last_progress(log, operation) == (3, 3, "Rows")


def test_of_several_rich_bars_the_first_that_is_open_is_shown(log: KeptLog, operation: Operation) -> None:
    """When it is finished, or its display stopped, the next one speaks."""
    tidings.adapters.rich.install()
    with Progress(console=Console(file=io.StringIO())) as progress:
        first, second = progress.add_task("first", total=2), progress.add_task("second", total=8)
        progress.advance(second)
        assert last_progress(log, operation) == (0, 2, "first")
        progress.update(first, completed=2)
        assert last_progress(log, operation) == (2, 2, "first")
        progress.advance(second)
        assert last_progress(log, operation) == (2, 8, "second")
    with Progress(console=Console(file=io.StringIO())) as progress:
        progress.add_task("third", total=None)
        assert last_progress(log, operation) == (0, None, "third")


@pytest.fixture
def author() -> Iterator[logging.Logger]:
    """A logger of an author's, with nothing added yet."""
    logger = logging.getLogger("author.module")
    logger.propagate = False
    yield logger
    logger.handlers.clear()


def said_of_records(log: KeptLog, operation: Operation) -> list[tuple[Any, ...]]:
    """Give type, code and message of the warnings and errors."""
    assert operation.flush(5)
    return [(kind, said["code"], said["message"]) for kind, said in log.said if kind in {"warning", "error"}]


def test_records_become_warnings_and_errors(
    log: KeptLog, operation: Operation, author: logging.Logger
) -> None:
    """With their logger, level and exception; what is below WARNING does not, whatever was asked for."""
    author.addHandler(OperationHandler(logging.DEBUG))
    author.setLevel(logging.DEBUG)
    author.info("not this")
    author.warning("row %d of %s", 7, "é" + "x" * 5_000)
    try:
        raise KeyError("k")  # noqa: TRY301 - an exception to log
    except KeyError:
        author.exception("could not")
    (warning, error) = said_of_records(log, operation)

    assert warning[:2] == ("warning", "log")
    assert warning[2].startswith("row 7 of éxxx")
    assert len(warning[2]) == 1_000
    assert error == ("error", "log", "could not")
    last = log.said[-1][1]
    assert last["details"] == {"logger": "author.module", "level": "ERROR", "exception": "KeyError"}
    assert "terminal" not in last


def test_records_are_rate_limited_and_capped_and_that_is_said_once(
    log: KeptLog, operation: Operation, author: logging.Logger
) -> None:
    """A burst, then so many a second, and never more than the cap."""
    now = [0.0]
    author.addHandler(OperationHandler(max_records=4, records_per_s=1, burst=2, clock=lambda: now[0]))
    for second in range(9):
        now[0] = float(second)
        for number in range(3):
            author.warning("%d.%d", second, number)

    shown = said_of_records(log, operation)
    assert [message for _, code, message in shown if code == "log"] == ["0.0", "0.1", "1.0", "2.0"]
    assert [code for _, code, _ in shown].count("log_omitted") == 1


def test_records_outside_operations_and_of_our_own_are_not_shown(
    log: KeptLog, reporter: Reporter, author: logging.Logger
) -> None:
    """Nor do they wait for the handler: ours are logged with locks held that it needs."""
    handler = OperationHandler()
    author.addHandler(handler)
    author.warning("outside")
    ours = logging.getLogger("tidings.reporter")
    ours.addHandler(handler)
    try:
        with Operation("batch", "op", reporter=reporter, strict=True) as operation:
            assert handler.lock is not None
            with handler.lock:
                other = threading.Thread(target=carry(ours.error), args=("ours",), daemon=True)
                other.start()
                other.join(5)
                assert not other.is_alive()
            assert said_of_records(log, operation) == []
    finally:
        ours.removeHandler(handler)


def test_a_carried_function_works_for_its_operation_in_a_thread(log: KeptLog, operation: Operation) -> None:
    """Whatever else its thread works for, before and after."""

    def find(_: int) -> Operation | None:
        return current_operation()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(carry(find), range(8))) == [operation] * 8
        pool.submit(carry(report_progress), 1, 2, "carried").result()
        assert pool.submit(current_operation).result() is None
    assert last_progress(log, operation) == (1, 2, "carried")


def test_outside_any_operation_a_function_is_carried_as_it_is() -> None:
    """Nothing is wrapped for nothing; an operation can be named."""
    assert carry(len) is len
