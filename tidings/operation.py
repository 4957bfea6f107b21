"""One thing being waited for, as the code that does it sees it.

First stage of the flow: takes what a task says about itself, gives records to the reporter.
Guarantees at most one terminal event, none before the last progress, and that nothing said
here blocks on Redis or fails the task (unless strict). It does not know Celery.
"""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from msgspec.structs import replace

from tidings.current import activate, deactivate
from tidings.descriptor import Descriptor
from tidings.errors import Cancelled, InvalidValue
from tidings.estimate import Pace
from tidings.events import (
    CANCELLED,
    FAILED,
    FINAL_STATUSES,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Complete,
    Error,
    Event,
    Progress,
    Status,
    Warning,  # noqa: A004 - the name that the wire has for it
)
from tidings.failure import told_of
from tidings.json_line import encode_line
from tidings.lost import lost_attempt
from tidings.once import is_first
from tidings.placement import Placement
from tidings.process import payload_bytes, shown_exceptions, this_process
from tidings.record import OWN, Record
from tidings.reporter import Reporter
from tidings.steps import TOTAL, Scope, weight_of
from tidings.values import MAX_STATUS_CHARS, Tidy, percentage

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

logger = logging.getLogger(__name__)
_RESERVED: Final = FINAL_STATUSES | {QUEUED}
STALLED: Final = "stalled"
CANCELLED_MESSAGE: Final = "The operation was cancelled."
STALLED_TIMES: Final = 3
"""So many times the usual longest silence is more than chance; guessed."""


class Operation:
    """One attempt at an operation, from its start to its terminal event.

    Lives in the process that does the work; any thread of it may call any method, and none
    waits for Redis. Used as ``with Operation(kind="batch") as op:`` leaving the block
    completes it and an exception fails it; between `start` and its end by hand, whoever
    started it ends it. What is said after the end is dropped, with one line in the log.
    """

    descriptor: Descriptor

    __slots__ = (
        "__weakref__", "_doing", "_is_cancelling", "_is_stalled", "_latest", "_not_before", "_over",
        "_pace", "_reporter", "_said_at", "_scheduled", "_scope", "_silence_s", "_started_at", "_strict",
        "_token", "_units", "attempt", "cancelled_error", "descriptor", "redelivery_s", "run",
    )  # fmt: skip

    def __init__(
        self,
        kind: str = "task",
        id: str | None = None,  # noqa: A002 - the word that authors use
        *,
        parent: "Operation | str | None" = None,
        name: str | None = None,
        owner: str | None = None,
        workflow: str | None = None,
        agent: str | None = None,
        attempt: int = 1,
        reporter: Reporter | None = None,
        strict: bool | None = None,
    ) -> None:
        """Describe an operation; `start` or ``with`` announces it.

        Raises: InvalidValue for an id, kind, parent, workflow or agent that is no identifier.
        """
        if workflow is None and isinstance(parent, Operation):
            workflow = parent.descriptor.workflow_id or None
        if owner is None and isinstance(parent, Operation):
            owner = parent.descriptor.owner or None
        descriptor = Descriptor.of(
            new_id() if id is None else id,
            kind,
            name=name,
            workflow=workflow,
            agent=agent,
            parent=parent.id if isinstance(parent, Operation) else parent,
            owner=owner,
        )
        self._prepare(descriptor, attempt, reporter, strict=strict)

    @classmethod
    def of(cls, descriptor: Descriptor, attempt: int, redelivery_s: int = 0) -> Self:
        """Make an attempt at the operation that *descriptor* describes.

        *redelivery_s*: within how long its task is delivered again should its worker be lost; 0: never.
        """
        operation = cls.__new__(cls)
        operation._prepare(descriptor, attempt, None, strict=None)  # noqa: SLF001 - our own
        operation.redelivery_s = redelivery_s
        return operation

    def _prepare(
        self, descriptor: Descriptor, attempt: int, reporter: Reporter | None, *, strict: bool | None
    ) -> None:
        self.descriptor = descriptor
        self.attempt = attempt
        self.redelivery_s = 0
        self._reporter = reporter or this_process().reporter
        self._strict = this_process().settings.strict if strict is None else strict
        self.run = self._reporter.new_run()
        self._latest: tuple[object, object, object] | None = None
        self._doing: Context | None = None  # what its author did when our progress was scheduled
        self._scheduled = ""  # the reporter that will take our progress, while one will
        self._not_before = 0.0
        self._over = False
        self._started_at = self._said_at = time.monotonic()
        self._is_stalled = self._is_cancelling = False
        self.cancelled_error = Cancelled
        self._silence_s = 0.0  # the longest of this attempt
        self._pace = Pace()
        self._token: Token[Operation | None] | None = None
        self._units = 0
        self._scope: Scope | None = None

    @property
    def id(self) -> str:
        """The operation's id, as in its topic ``operations:<id>``."""
        return self.descriptor.id

    @property
    def task(self) -> str:
        """What it has in common with the runs before it, from which the time left is estimated."""
        return self.descriptor.task

    def start(self, details: object = None) -> Self:
        """Take the operation over: status ``running``. Never blocks.

        From here to its end the process' beat keeps it alive.
        """
        self._started_at = self._said_at = time.monotonic()
        tidy = Tidy(payload_bytes())
        said = {} if details is None else {"details": tidy.json("details", details)}
        self._heed(tidy)
        self._reporter.lease.hold(self)
        begun = Record.beginning(self.descriptor, self.run, self.attempt, self.redelivery_s, **said)
        self._reporter.put([self._reporter.traced(begun)])
        return self

    def progress(self, current: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far it is. Never blocks; costs well under a microsecond while throttled.

        Of what is said between two turns (TIDINGS_REPORTS_PER_S) the newest is sent; the last
        one always is. ``total=None`` means unknown.
        Raises: InvalidValue in strict mode only.
        """
        if self._over:
            self._say_too_late("progress")
            return
        if self._strict:
            self._progress_event(current, total, message)
        if self._scope is not None and self._scope.divides:
            current, total = self._scope.report(current, total), TOTAL
        self._latest = (current, total, message)
        if self._scheduled == self._reporter.id:
            return
        self._scheduled = self._reporter.id
        traces = self._reporter.traces
        self._doing = None if traces is None else traces.here()
        self._reporter.schedule(self, self._not_before)

    @contextmanager
    def step(self, name: str, weight: float | None = None) -> Iterator[None]:
        """Do a part of the work, *weight* (0 to 1) of what surrounds it. Never blocks.

        What is said inside fills that share, what is said outside steps fills what is left; without a weight
        a step has a name only. Those that are open at once are inside one another, in any thread. Its
        name is the operation's status meanwhile; the status that follows it says how it went.
        Raises: InvalidValue in strict mode only, for a weight that is none: then the step has none.
        """
        tidy = Tidy(payload_bytes())
        try:
            share = weight_of(weight)
        except InvalidValue as problem:
            share = None
            tidy.problems.append(problem)
        self._heed(tidy)
        self._scope = step = Scope(name, self._scope or Scope(), share)
        self.status(name)
        try:
            yield
        except BaseException:
            self._leave_step(step, is_done=False)
            raise
        self._leave_step(step, is_done=True)

    def _leave_step(self, step: Scope, *, is_done: bool) -> None:
        self._scope = above = step.leave(is_done=is_done)
        if self._over:
            return
        if above.divides:
            self.progress(0)
        self.status(above.name or RUNNING, {"step": step.name, "done": is_done})

    @property
    def is_cancelling(self) -> bool:
        """Whether somebody has asked for it to be cancelled, as far as this process has heard."""
        return self._is_cancelling

    def check_cancelled(self) -> None:
        """Raise Cancelled if somebody has asked for that. Never blocks; reads an attribute.

        The process hears of it with the answer to its next event of the operation, or to its next beat (3 s).
        """
        if self._is_cancelling:
            raise self.cancelled_error(self.id)

    @property
    def is_over(self) -> bool:
        """Whether this attempt has said its last word."""
        return self._over

    def take_place(self, placement: Placement) -> None:
        """Stand in a workflow from now on."""
        self.descriptor = replace(
            self.descriptor,
            workflow_id=placement.workflow,
            parent_id=placement.workflow,
            placement=placement,
        )

    def heed_cancel(self) -> None:
        """Have `check_cancelled` raise from now on: the reporter's and the lease's turn."""
        self._is_cancelling = True

    def status(self, status: str, details: object = None) -> None:
        """Enter a phase of the work, in your own words (at most 100 characters). Never blocks.

        The final statuses come from `complete` and `error`. Raises: InvalidValue in strict mode only.
        """
        tidy = Tidy(payload_bytes())
        said: dict[str, Any] = {"status": tidy.text("status", status, MAX_STATUS_CHARS)}
        if details is not None:
            said["details"] = tidy.json("details", details)
        reserved = said["status"] in _RESERVED
        if reserved:
            tidy.problems.append(
                InvalidValue(
                    "status", f"other than {', '.join(sorted(_RESERVED))}: say complete() or error()", status
                )
            )
        self._heed(tidy)
        if not reserved:
            self._say(Status, said)

    def warning(self, code: str, message: str, details: object = None) -> None:
        """Say that something went wrong while the work goes on. Never blocks.

        Raises: InvalidValue in strict mode only.
        """
        tidy = Tidy(payload_bytes())
        said: dict[str, Any] = {"code": tidy.code(code), "message": tidy.text("message", message)}
        if details is not None:
            said["details"] = tidy.json("details", details)
        self._heed(tidy)
        self._say(Warning, said)

    def complete(self, result: object = None, *, cuts: bool = False, speaks: bool = False) -> None:
        """End it well, with a *result* of at most 32 KB of JSON. Never blocks.

        *cuts*: what its workflow had planned behind it will not come. *speaks*: its workflow is to end
        with this result, too, if all of its tasks end well; for one that nothing follows.
        Raises: InvalidValue in strict mode only; the operation has ended all the same.
        """
        tidy = Tidy(payload_bytes())
        said: dict[str, Any] = {}
        if result is not None:
            said["result"] = tidy.json("result", result)
        self._end(SUCCEEDED, Complete, said, cuts=cuts, speaks=speaks)
        self._heed(tidy)

    def error(
        self,
        code: str,
        message: str,
        details: object = None,
        *,
        retryable: bool | None = None,
        terminal: bool = True,
        speaks: bool = False,
    ) -> None:
        """Say that it failed; it ends there unless *terminal* is false. Never blocks.

        It ends as ``failed``, or as ``cancelled`` where that is the code. *speaks*: its workflow is to end
        with this error, too.
        Raises: InvalidValue in strict mode only; the operation has ended all the same.
        """
        tidy = Tidy(payload_bytes())
        said: dict[str, Any] = {"code": tidy.code(code), "message": tidy.text("message", message)}
        if details is not None:
            said["details"] = tidy.json("details", details)
        if retryable is not None:
            said["retryable"] = retryable
        if terminal:
            status = CANCELLED if code == CANCELLED else FAILED
            self._end(status, Error, said | {"terminal": True}, speaks=speaks)
        else:
            self._say(Error, said)
        self._heed(tidy)

    def leave(self, status: str, details: object = None) -> None:
        """Give this attempt up without ending the operation: another one will follow (``retrying``)."""
        tidy = Tidy(payload_bytes())
        said: dict[str, Any] = {"status": status}
        if details is not None:
            said["details"] = tidy.json("details", details)
        record = self._record(Status, said)._replace(leaves=True, redelivery_s=0, took_s=self._took_s())
        self._finish("leave", [record])
        self._heed(tidy)

    def flush(self, timeout_s: float) -> bool:
        """Wait up to *timeout_s* until all that this process has said is in the log; tell whether it is."""
        return self._reporter.flush(timeout_s)

    @contextmanager
    def visited(self, flush_s: float) -> Iterator[None]:
        """Work for it in another process than the one that keeps it alive, and hear of its cancelling too.

        At the end waits up to *flush_s* until all that was said is in the log.
        """
        lease = self._reporter.lease
        lease.tell(self)
        try:
            yield
        finally:
            lease.forget(self)
            self.flush(flush_s)

    def abandon(self) -> None:
        """Let go of it without an end, where nobody here knows of one: who does ends it, or its lease."""
        self._over = True
        self._reporter.lease.abandon(self)

    def stalled(self, after_s: float) -> Record | None:
        """Give, once a silence, the warning that it outlasts *after_s* and what is usual: for the lease."""
        silent_s = time.monotonic() - self._said_at
        usual_s = self._reporter.lease.pasts.of(self.task).usual_silence_s
        if self._is_stalled or self._over or silent_s < max(after_s, STALLED_TIMES * (usual_s or 0)):
            return None
        self._is_stalled = True
        message = f"Nothing was heard of it for {silent_s:.0f} s; the process that runs it is alive."
        details = {"silentSeconds": round(silent_s, 1)}
        if usual_s is not None:
            message += f" Usually its silences last at most {usual_s:.1f} s."
            details["usualSeconds"] = round(usual_s, 1)
        return self._unheard(Warning, {"code": STALLED, "message": message, "details": details})

    def lost(self) -> list[Record]:
        """Give what ends an attempt that was abandoned: the lease's turn."""
        return lost_attempt(
            self.descriptor, "The task was left without an end.", condition=OWN, run=self.run,
            attempt=self.attempt, redelivery_s=self.redelivery_s,
        )  # fmt: skip

    def take_progress(self) -> Record | None:
        """Give the newest progress and forget it: the reporter's turn."""
        self._scheduled = ""
        latest, self._latest = self._latest, None
        if latest is None:
            return None
        self._not_before = time.monotonic() + self._reporter.interval_s
        event, tidy = self._progress_event(*latest)
        _log_once(tidy)
        current, total = event["current"], event["total"]
        record = self._record(Progress, event | self._estimate(current, total), self._doing)
        return record._replace(units=self._count(current, total))

    def hand_over(self) -> int:
        """Say the newest progress at once; give how many units of its placement are done."""
        record = self.take_progress()
        if record is not None:
            self._reporter.put([record])
        return self._units

    def _count(self, current: float, total: float | None) -> int:
        placement = self.descriptor.placement
        if not isinstance(placement, Placement):
            return 0
        self._units = max(self._units, placement.units_of(current, total))
        return self._units

    def _estimate(self, current: float, total: float | None) -> dict[str, Any]:
        """Say how fast it goes and when it will be done, as far as that is known: for what really leaves."""
        elapsed_s = time.monotonic() - self._started_at
        self._pace.hear(elapsed_s, current)
        past = self._reporter.lease.pasts.of(self.task)
        return self._pace.estimate(elapsed_s, total, past.durations_s).told()

    def __enter__(self) -> Self:
        self.start()
        self._token = activate(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            deactivate(self._token)
            self._token = None
        if self._over:
            return
        if error is None:
            self.complete()
        elif isinstance(error, Cancelled):
            self.error(CANCELLED, CANCELLED_MESSAGE)
        else:
            self.error(*told_of(error, shown_exceptions()))

    def _progress_event(self, current: object, total: object, message: object) -> tuple[dict[str, Any], Tidy]:
        """Clean what was said into the fields of a Progress, raising in strict mode."""
        tidy = Tidy(payload_bytes())
        clean, whole = tidy.count("current", current), tidy.total(total)
        said: dict[str, Any] = {"current": clean, "total": whole, "percentage": percentage(clean, whole)}
        if message is not None:
            said["message"] = tidy.text("message", message)
        if self._strict and tidy.problems:
            raise tidy.problems[0]
        return said, tidy

    def _say(self, event: type[Event], said: dict[str, Any]) -> None:
        if self._over:
            self._say_too_late(event.type)
            return
        self._reporter.put([self._record(event, said)])

    def _end(
        self,
        status: str,
        event: type[Event],
        said: dict[str, Any],
        *,
        cuts: bool = False,
        speaks: bool = False,
    ) -> None:
        phase, end = self._record(Status, {"status": status}), self._record(event, said)
        end = end._replace(took_s=self._took_s(), silence_s=self._silence_s, cuts=cuts)
        if speaks:
            end = end._replace(word=encode_line(said)[1:-1].decode())
        self._finish(event.type, [phase, end])

    def _took_s(self) -> float:
        return time.monotonic() - self._started_at

    def _finish(self, what: str, last: list[Record]) -> None:
        """Say the *last* of this attempt, behind its newest progress."""
        if self._over:
            self._say_too_late(what)
            return
        self._over = True
        self._reporter.put_last(self, last)
        self._reporter.lease.release(self)

    def _record(self, event: type[Event], said: dict[str, Any], doing: "Context | None" = None) -> Record:
        now = time.monotonic()
        self._silence_s = max(self._silence_s, now - self._said_at)
        self._said_at, self._is_stalled = now, False
        return self._unheard(event, said, doing)

    def _unheard(self, event: type[Event], said: dict[str, Any], doing: "Context | None" = None) -> Record:
        """Make a record of what the author did not say."""
        record = Record.of(
            self.descriptor, event, condition=OWN, run=self.run, attempt=self.attempt,
            redelivery_s=self.redelivery_s, **said,
        )  # fmt: skip
        return self._reporter.traced(record, doing)

    def _heed(self, tidy: Tidy) -> None:
        """Raise the first problem in strict mode, else log each kind of problem once per process."""
        if self._strict and tidy.problems:
            raise tidy.problems[0]
        _log_once(tidy)

    def _say_too_late(self, what: str) -> None:
        if is_first(what, "after the end"):
            logger.warning(
                "%s of operation %s was said after its end and dropped",
                what, self.id, extra={"operation_id": self.id},
            )  # fmt: skip


def new_id() -> str:
    """Make an id for an operation: unguessable, 35 characters."""
    return f"op_{uuid.uuid4().hex}"


def _log_once(tidy: Tidy) -> None:
    for problem in tidy.problems:
        if is_first(problem.field, problem.allowed):
            logger.warning("a report was put right: %s (said once per process)", problem)
