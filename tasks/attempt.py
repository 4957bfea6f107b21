"""One attempt at a batch: what is to be done, by whom it is done, and what it comes to.

Takes a source's items to threads, their outcomes to the journal, and what is finished to the operation. An
attempt that follows another goes on where the journal says that it got to.
"""

import csv
import io
import time
from collections.abc import Container, Iterator
from itertools import islice
from typing import Any, Final

from tasks import rows
from tasks.crew import worked
from tasks.items import Finished, Item, Outcome, Source
from tasks.journal import Journal, Plan, done_before
from tasks.library import Library
from tidings import Failure, Operation, save_result

MAX_ITEMS: Final = 100_000
"""Their outcomes are held in memory, some 50 MB of them (guessed), and sorted at the end."""
SEGMENT_ITEMS: Final = 100
SEGMENT_S: Final = 0.1
"""Outcomes are written when so many are there, or so much time has passed: as often as progress is told."""
MAX_WARNINGS: Final = 100
"""Of one attempt: a file that is no table must not fill the log. The table has them all."""


def attempt(
    operation: Operation, given: dict[str, Any], *, retry: str | None, retries: int, concurrency: int
) -> dict[str, Any]:
    """Work through what is *given*, or through what the batch *retry* has not done well; sum up.

    Raises: Failure, Cancelled, StorageUnavailable.
    """
    journal = Journal(operation.id).take_over()
    plan = journal.plan()
    if plan is None:
        plan = _planned(given, retry, operation)
        journal.begin(plan)
    batch = Attempt(operation, journal, plan, _source(plan.source))
    batch.work_through(concurrency, retries)
    return batch.finish()


def _planned(given: dict[str, Any], retry: str | None, operation: Operation) -> Plan:
    """Find out how much there is to do. Raises: Failure, Cancelled."""
    if retry is not None:
        given = _taken_over(retry)
    source = _source(given)
    operation.status(source.listing, {"source": "items" if given["items"] else given["source"]})
    total = 0
    for total, _ in enumerate(_items(source, given["limit"], done_before(retry)), start=1):
        operation.check_cancelled()
        if total > MAX_ITEMS:
            raise Failure(
                "too_many_items", f"A batch has at most {MAX_ITEMS} items; a limit takes the first."
            )
    return Plan(given, total, retry)


def _taken_over(operation_id: str) -> dict[str, Any]:
    """Go on where another batch got to, and stop it should it still run; say where its items are from."""
    journal = Journal(operation_id)
    plan = journal.plan()
    if plan is None:
        raise Failure("no_batch", f"There is no batch {operation_id} to go on from (any more).")
    journal.take_over()
    return plan.source


def _source(given: dict[str, Any]) -> Source:
    if given["items"] is not None:
        return rows.Listed(given["items"])
    if isinstance(given["source"], dict):
        return rows.of_upload(given["source"]["upload"])
    return Library()


def _items(source: Source, limit: int | None, without: Container[str]) -> Iterator[Item]:
    return (item for item in islice(source.items(), limit) if item.name not in without)


class Attempt:
    """What one attempt has finished, in the thread of its task."""

    def __init__(self, operation: Operation, journal: Journal, plan: Plan, source: Source) -> None:
        self._operation = operation
        self._journal = journal
        self._plan = plan
        self._finished = journal.outcomes()
        self._fresh: list[Outcome] = []
        self._written_at = time.monotonic()
        self._warnings = 0
        self._source = source
        operation.progress(len(self._finished), plan.total)

    def work_through(self, concurrency: int, retries: int) -> None:
        """Do what is not finished yet. Raises: Cancelled, Failure."""
        operation, plan = self._operation, self._plan
        details = {"items": plan.total, "finished": len(self._finished)}
        operation.status(self._source.doing, details)
        without = self._finished.keys() | done_before(plan.after)
        crew = worked(
            _items(self._source, plan.source["limit"], without),
            self._source.work,
            concurrency=concurrency,
            retries=retries,
            is_cancelling=lambda: operation.is_cancelling,
        )
        for outcomes in crew:
            self._fresh += outcomes
            if len(self._fresh) >= SEGMENT_ITEMS or time.monotonic() - self._written_at >= SEGMENT_S:
                self._write()
        self._write()
        operation.check_cancelled()

    def finish(self) -> dict[str, Any]:
        """Keep the table, and sum up."""
        outcomes = sorted(self._finished.values(), key=lambda outcome: outcome.number)
        failed = sum(outcome.code != "" for outcome in outcomes)
        finished = self._source.finish(outcomes)
        return {
            "items": len(outcomes),
            "done": len(outcomes) - failed,
            "failed": failed,
            "table": save_result("items.csv", _table(outcomes, finished), operation=self._operation),
            **finished.summary,
        }

    def _write(self) -> None:
        """Finish what was done: in the journal first, then for all to see."""
        fresh = sorted(self._fresh, key=lambda outcome: outcome.number)
        self._fresh = []
        self._written_at = time.monotonic()
        if not fresh:
            return
        self._journal.write(fresh)
        for outcome in fresh:
            self._finished[outcome.name] = outcome
            if outcome.code:
                self._warn(outcome)
        self._operation.progress(len(self._finished), self._plan.total, fresh[-1].name)

    def _warn(self, outcome: Outcome) -> None:
        self._warnings += 1
        if self._warnings == MAX_WARNINGS:
            self._operation.warning("more_warnings", "Further failures are in the table only.")
        elif self._warnings < MAX_WARNINGS:
            details = {"item": outcome.name, "reason": outcome.reason, "tries": outcome.tries}
            self._operation.warning(outcome.code, f"{outcome.name}: {outcome.reason}", details)


def _table(outcomes: list[Outcome], finished: Finished) -> str:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["item", "status", "tries", *finished.columns, "code", "reason"])
    for outcome, cells in zip(outcomes, finished.rows, strict=True):
        status = "failed" if outcome.code else "done"
        table.writerow([outcome.name, status, outcome.tries, *cells, outcome.code, outcome.reason])
    return text.getvalue()
