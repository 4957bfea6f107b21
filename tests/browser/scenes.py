"""Operations for pages to show: one of each state, and as many as a busy service has."""

from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Final

from tests.stack import Stack
from tidings.descriptor import Descriptor
from tidings.events import Complete, Error, Progress
from tidings.operation import Operation
from tidings.record import OWN, Record

BATCH: Final = 400
"""Records per append."""

_authors = count(1)


def one_of_each(stack: Stack) -> list[Operation]:
    """Report operations in each state that a page may have to show, in this order; give them."""
    failed = stack.operation("import", name="import_rows")
    failed.progress(312, 1790, "customers/2026-11.csv")
    failed.error("no_such_column", "There is no column “price” in customers/2026-11.csv, line 313.")
    cancelled = stack.operation("import")
    cancelled.error("cancelled", "The task was revoked.")
    done = stack.operation("batch")
    done.progress(1790, 1790, "zoneinfo/_zoneinfo.py")
    done.warning("unreadable_module", "lib2to3/tests/data/bom.py: SyntaxError: invalid character")
    done.complete({"totals": {"files": 1781, "lines": 812_345, "functions": 31_337, "classes": 5_120}})
    upload = stack.operation("upload", id="an-id-of-128-characters-" + "x" * 104)
    upload.progress(3.5, None, "no total")
    long = stack.operation(
        "batch", name="A name that says very much of what it does, and to whom, and why " * 3
    )
    long.progress(1, 3, "a/very/long/path/without/any/place/to/break/" + "module" * 40)
    waiting = stack.operation("import")
    waiting.status("waiting for the warehouse to answer, which can take a while on the first of the month")
    half = stack.operation("batch")
    half.progress(895, 1790, "multiprocessing/shared_memory.py")
    half.warning("unreadable_module", "lib2to3/tests/data/bom.py: SyntaxError: invalid character")
    stack.flush()
    return [failed, cancelled, done, upload, long, waiting, half]


def an_ordinary_day(stack: Stack) -> dict[str, Operation]:
    """Report what people see who look at a service on an ordinary day; give what they may open, by name."""
    finished(stack, 12, kind="report")
    failed = stack.operation("import", name="import customers")
    failed.progress(312, 1790, "customers/2026-11.csv")
    failed.warning("odd_row", "Line 17 has no name.")
    failed.warning("odd_row", "Line 202 has a date in the year 20226.")
    failed.error(
        "no_such_column", "There is no column “price” in customers/2026-11.csv, line 313.", {"line": 313}
    )
    stack.operation("agent", name="What changed in the contract?").status("calling read_file")
    stack.operation("upload", name="backup.tar").progress(734_003_200, 2_147_483_648)
    stack.operation("batch", name="resize photographs").progress(1204, 5310, "2026/07/DSC_0412.jpg")
    nightly = stack.operation("workflow", id="nightly", name="nightly accounts")
    steps = {"load": 100, "check": 100, "sum-europe": 64, "sum-americas": 41, "sum-asia": 0, "report": 0}
    for name, percentage in steps.items():
        step = stack.operation("step", id=f"nightly.{name}", name=name, workflow="nightly", parent="nightly")
        if percentage:
            step.progress(percentage * 40, 4_000, "accounts of November")
        if percentage == 100:
            step.complete()
    nightly.progress(51, 100, "summing up")
    stack.flush()
    return {"failed": failed, "nightly": nightly}


def finished(stack: Stack, many: int, kind: str = "batch") -> None:
    """Append *many* operations that are over, named ``night 0`` and so on; every tenth has failed.

    The one that ended last is the one with the highest number.
    """
    _append(stack, (record for number in range(many) for record in _whole(number, kind)))


def moving(stack: Stack, many: int) -> list[Operation]:
    """Begin *many* operations; give them."""
    return [Operation("batch", name=f"day {number}", reporter=stack.reporter, strict=False).start()
            for number in range(many)]  # fmt: skip


def _whole(number: int, kind: str) -> Iterator[Record]:
    about = Descriptor.of(f"night-{number}", kind, name=f"night {number}")
    run = "scenes.1"
    said: dict[str, Any] = {"current": 7, "total": 10, "percentage": 70, "message": f"part {number}"}
    yield Record.beginning(about, run, 1)
    yield Record.of(about, Progress, condition=OWN, run=run, **said)
    if number % 10:
        yield Record.of(about, Complete, condition=OWN, run=run)
    else:
        said = {"code": "failed", "message": f"part {number} is missing", "terminal": True}
        yield Record.of(about, Error, condition=OWN, run=run, **said)


def _append(stack: Stack, records: Iterator[Record]) -> None:
    author = f"scenes{next(_authors)}"
    first = 1
    while some := list(islice(records, BATCH)):
        outcomes = stack.log.append(author, first, some)
        assert {outcome.code for outcome in outcomes} == {"stored"}
        first += len(some)
