"""The task side's sender: takes records from operations, appends them to the log in the background.

Third stage of the flow. Guarantees that records reach the log in the order they were given,
once, however often Redis goes away; that giving one never waits for Redis; and that of the
progress of one operation only the newest waits. It does not decide what is said: the
operation does.
"""

import heapq
import itertools
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from tidings.backoff import Backoff
from tidings.errors import LogUnavailable
from tidings.lease import Lease
from tidings.log import CANCEL, Log, Outcome
from tidings.record import NEW, OWN, Record

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from tidings.tracing import Traces

BATCH_RECORDS: Final = 64
"""Per append: the script's cost per event is flat from 20 on (LOG.md (c)), and 64 block Redis < 1 ms."""
_TEMPORARY: Final = (
    "OOM",
    "MISCONF",
    "READONLY",
    "NOREPLICAS",
    "LOADING",
    "BUSY",
    "MASTERDOWN",
    "CLUSTERDOWN",
)

logger = logging.getLogger(__name__)


class Progressing(Protocol):
    """What the reporter asks of an operation whose progress waits for its turn."""

    def take_progress(self) -> Record | None:
        """Give the newest progress as a record and forget it. Called with the reporter's lock held."""


class Reporter:
    """One process' way into the log.

    Owns the buffer, the numbering of this process' records, and one daemon thread, started
    with the first record, and anew after a fork. Any thread may call it. Whoever ends the
    process calls `close` first.

    While Redis is away *buffer_records* may wait, and as many again of those that an operation's
    life hangs on: its announcement, its beginning, its end. Progress counts once per operation.
    What is past the bound is refused, counted, and said.
    """

    def __init__(
        self,
        log: Log,
        *,
        buffer_records: int,
        interval_s: float,
        lease_s: float = 10.0,
        stalled_s: float = 300.0,
        traces: "Traces | None" = None,
    ) -> None:
        self._log = log
        self.traces = traces
        self.lease = Lease(log, lease_s=lease_s, stalled_s=stalled_s)
        self._buffer_records = buffer_records
        self.interval_s = interval_s
        _living.add(self)
        self._start_anew()

    def _start_anew(self) -> None:
        """Be a new reporter: at birth, and in a forked child, whose parent keeps what was waiting."""
        self.id = secrets.token_hex(8)
        self._runs = itertools.count(1)
        self._numbers = itertools.count()
        self._first = 1  # number of the first record that the log has not dealt with
        self._buffer: dict[int | str, Record] = {}
        self._in_flight: list[Record] = []
        self._due: list[tuple[float, int, Progressing]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._refused = self._refused_vital = 0
        self._away = False
        self._lost = 0
        self._flushing = 0
        self.lease.start_anew(self.id, self._is_idle)

    def new_run(self) -> str:
        """Name a run: one attempt's execution in this process. Its lease is this reporter's."""
        return f"{self.id}.{next(self._runs)}"

    def traced(self, record: Record, doing: "Context | None" = None) -> Record:
        """Give *record* with its span, where spans are wanted: within what its author is *doing*, or did."""
        return record if self.traces is None else self.traces.begin(record, doing)

    def put(self, records: Sequence[Record]) -> None:
        """Hand over records that must each arrive, in this order. Never blocks on Redis."""
        with self._changed:
            for record in records:
                self._keep(record)
            self._wake()

    def schedule(self, operation: Progressing, not_before: float) -> None:
        """Have *operation*'s progress taken when its turn comes: at once, or at *not_before* (monotonic)."""
        with self._changed:
            heapq.heappush(self._due, (not_before, next(self._numbers), operation))
            self._wake()

    def put_last(self, operation: Progressing, records: Sequence[Record]) -> None:
        """Hand over *records* behind the progress of *operation* that still waits for its turn."""
        with self._changed:
            progress = operation.take_progress()
            if progress is not None:
                self._keep(progress)
            for record in records:
                self._keep(record, vital=True)
            self._wake()

    def flush(self, timeout_s: float) -> bool:
        """Wait up to *timeout_s* until all that was given has reached the log; tell whether it has."""
        with self._changed:
            self._flushing += 1
            self._wake()
            try:
                return self._changed.wait_for(self._is_idle, timeout_s)
            finally:
                self._flushing -= 1

    def settle(self, timeout_s: float) -> None:
        """Flush, unless Redis is known to be away: nobody is to wait for that again and again."""
        if not self._away:
            self.flush(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Flush before the process ends, and say what is lost with it; tell whether nothing is.

        Called again, it waits no more.
        """
        if self.flush(0 if self._lost else timeout_s):
            return True
        with self._changed:
            waiting = self.waiting
        if waiting != self._lost:
            logger.error(
                "this process ends before Redis has taken its last %d events: they are lost", waiting
            )
        self._lost = waiting
        return False

    @property
    def waiting(self) -> int:
        """How many events the log has not dealt with, or not been given yet."""
        return len(self._buffer) + len(self._in_flight) + len(self._due)

    def _is_idle(self) -> bool:
        return not (self._buffer or self._in_flight or self._due)

    def _keep(self, record: Record, *, vital: bool = False) -> None:
        """Put one record into the buffer, if there is room.

        Progress replaces the operation's earlier progress, at the tail. Without what is *vital* the
        log would refuse all else that is said of the operation, or never see its end.
        """
        progress = record.event_type == "progress"
        key = record.descriptor.id if progress else next(self._numbers)
        if progress:
            self._drop(self._buffer.pop(key, None), "conflated")
        vital = vital or progress or record.ends or record.condition != OWN
        if len(self._buffer) < self._buffer_records * (2 if vital else 1):
            self._buffer[key] = record
        else:
            self._refuse(record, vital=vital and not progress)

    def _drop(self, record: Record | None, why: str) -> None:
        if self.traces is not None and record is not None:
            self.traces.dropped(record, why)

    def _refuse(self, record: Record, *, vital: bool) -> None:
        self._drop(record, "no room")
        self._refused += 1
        self._refused_vital += vital
        if self._refused == 1:
            logger.error(
                "%d events wait for Redis, the most that TIDINGS_BUFFER_EVENTS allows: "
                "refusing further ones, first a %s of operation %s",
                len(self._buffer),
                record.event_type,
                record.descriptor.id,
                extra={"operation_id": record.descriptor.id},
            )

    def _wake(self) -> None:
        """Have the sender look again; start it if this process has none yet. Lock held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_for_ever, name="tidings-reporter", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _send_for_ever(self) -> None:
        backoff = Backoff()
        while True:
            backoff.begin()
            try:
                go_on = self._send_next()
            except Exception:
                # The top of a supervised loop: whatever it is, this process must not fall silent.
                logger.exception("the reporter failed and tries again")
                go_on = False
            if go_on:
                backoff = Backoff()
            else:
                time.sleep(backoff.pause_s())

    def _send_next(self) -> bool:
        """Wait for something to send and try once; tell whether to go on at once."""
        with self._changed:
            while not self._collect():
                self._changed.wait(self._until_due_s())
            self._cut_batch()
        return self._deliver(self._in_flight)

    def _until_due_s(self) -> float | None:
        """Say how long nothing can become due, None if nothing waits for its turn."""
        return max(self._due[0][0] - time.monotonic(), 0) if self._due else None

    def _collect(self) -> bool:
        """Move the progress whose turn has come into the buffer; tell whether there is anything to send."""
        now = time.monotonic()
        while self._due and (self._due[0][0] <= now or self._flushing):
            _, _, operation = heapq.heappop(self._due)
            record = operation.take_progress()
            if record is not None:
                self._keep(record)
        if not (self._in_flight or self._buffer or self._due):
            self._changed.notify_all()  # a flush may wait for just this
        return bool(self._in_flight or self._buffer)

    def _cut_batch(self) -> None:
        """Freeze what goes next. What is in flight never changes until its outcome is known (LOG.md, C3)."""
        if not self._in_flight:
            keys = list(itertools.islice(self._buffer, BATCH_RECORDS))
            self._in_flight = [self._buffer.pop(key) for key in keys]

    def _deliver(self, batch: list[Record]) -> bool:
        """Append *batch* once; tell whether to go on at once (else after a pause, with the same numbers)."""
        began_ns = time.time_ns()
        try:
            outcomes = self._log.append(self.id, self._first, batch)
        except LogUnavailable as error:
            self._stay_away(str(error))
            return False
        if self.traces is not None:
            for record, outcome in zip(batch, outcomes, strict=False):
                is_sent_again = outcome.code == "unknown" and record.condition == OWN
                if outcome.code != "error" and not is_sent_again:
                    self.traces.appended(record, outcome.code, began_ns, time.time_ns())
        return self._settle(batch, outcomes)

    def _stay_away(self, reason: str) -> None:
        if not self._away:
            logger.warning("events wait in this process until Redis is back: %s", reason)
        self._away = True

    def _come_back(self) -> None:
        if self._away:
            logger.warning("Redis is back, %d events go out now", len(self._buffer) + len(self._in_flight))
        self._away = False

    def _account(self) -> None:
        """Say how much was refused, once there is room again. Lock held."""
        if not self._refused or len(self._buffer) > self._buffer_records // 2:
            return
        logger.error(
            "%d events were refused for want of room, %d of them beginnings or ends of operations",
            self._refused,
            self._refused_vital,
        )
        self._refused = self._refused_vital = 0

    def _settle(self, batch: list[Record], outcomes: list[Outcome]) -> bool:
        """Forget what the log has dealt with; say what it refused; keep the rest for the next try."""
        last = outcomes[-1]
        failed = last.code == "error"
        dealt = len(outcomes) - failed
        forgotten = [
            record
            for record, outcome in zip(batch[:dealt], outcomes, strict=False)
            if self._was_forgotten(record, outcome)
        ]
        rest = batch[dealt:]
        temporary = failed and last.message.startswith(_TEMPORARY)
        if failed and not temporary:
            logger.error(
                "dropped a %s of %s: %s", rest[0].event_type, rest[0].descriptor.id, last.message,
                extra={"operation_id": rest[0].descriptor.id},
            )  # fmt: skip
            self._drop(rest[0], last.message)
            rest = rest[1:]
        if temporary:
            self._stay_away(f"Redis takes no writes: {last.message}")
        else:
            self._come_back()
        with self._changed:
            self._first += dealt
            self._in_flight = _announced_again(forgotten) + rest
            self._account()
            self._changed.notify_all()
        return not temporary

    def _was_forgotten(self, record: Record, outcome: Outcome) -> bool:
        """Tell whether the log lost or gave up the operation of a living run; say what else it refused."""
        if outcome.message == CANCEL:
            self.lease.cancel(record.run)
        if outcome.code == "unknown" and record.condition == OWN:
            return True
        if outcome.code not in {"stored", "dup"} and record.condition != NEW:
            logger.info(
                "%s of %s not taken: %s", record.event_type, record.descriptor.id, outcome.code,
                extra={"operation_id": record.descriptor.id},
            )  # fmt: skip
        return False


_living: "weakref.WeakSet[Reporter]" = weakref.WeakSet()


def _start_all_anew() -> None:
    for reporter in list(_living):
        reporter._start_anew()  # noqa: SLF001 - the fork handler of this very class


os.register_at_fork(after_in_child=_start_all_anew)


def _announced_again(records: list[Record]) -> list[Record]:
    """Put in front of the records of operations that the log lost or gave up what takes them back (C11)."""
    announced: list[Record] = []
    known: set[str] = set()
    for record in records:
        if record.descriptor.id not in known:
            known.add(record.descriptor.id)
            announced.append(_begun_again(record))
        announced.append(record)
    return announced


def _begun_again(record: Record) -> Record:
    return Record.beginning(record.descriptor, record.run, record.attempt, record.redelivery_s)
