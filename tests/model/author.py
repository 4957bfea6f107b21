"""An author's process in the model: the real reporter, which sends a batch when it is told to."""

from typing import Any, Final

from tests.model.party import AuthorsLog, Party
from tests.oracle import Report
from tidings.descriptor import Descriptor
from tidings.events import CANCELLED, FAILED, SUCCEEDED, Complete, Error, Event, Progress, Status
from tidings.events import Warning as Warned
from tidings.record import ANY, NEW, OWN, Record
from tidings.reporter import Reporter
from tidings.settings import Settings

PADDING: Final = "x" * 300
"""Makes some events fill a socket and a subscriber's share."""

TYPES: Final[dict[str, type[Event]]] = {
    "progress": Progress,
    "status": Status,
    "warning": Warned,
    "error": Error,
}
ENDS: Final = ("complete", "failed", "cancelled")


class SteppedReporter(Reporter):
    """A reporter that sends when it is told to."""

    def _wake(self) -> None:
        self._changed.notify_all()

    sending = False

    def step(self) -> None:
        """Send what is due, once; not while it sends, for its thread is one."""
        if self.sending or self._is_idle():
            return
        self.sending = True
        try:
            self._send_next()
        finally:
            self.sending = False


class Author:
    """One process that reports; which run of it an operation belongs to is the log's to say."""

    def __init__(self, settings: Settings, party: Party, reports: list[Report]) -> None:
        self.party = party
        self.log = AuthorsLog(settings, party)
        self.reporter = SteppedReporter(self.log, buffer_records=1_000, interval_s=1)
        self.runs: dict[str, tuple[str, int]] = {}
        self._reports = reports

    @property
    def idle(self) -> bool:
        """Whether all that was said has been dealt with."""
        return self.reporter._is_idle()  # noqa: SLF001 - `flush` would wait

    def announce(self, about: Descriptor) -> None:
        """Say that an operation is queued, as whoever enqueues it does."""
        self._put(about, Status, NEW, "", 1, status="queued", details=self._mark())

    def begin(self, about: Descriptor, attempt: int) -> None:
        """Begin an attempt."""
        run = self.reporter.new_run()
        self.runs[about.id] = (run, attempt)
        self._note(about, "status")
        self.reporter.put([Record.beginning(about, run, attempt, details=self._last)])

    def say(self, about: Descriptor, event_type: str) -> None:
        """Report something of the run that was begun last here."""
        if about.id not in self.runs:
            self.begin(about, 1)
        run, attempt = self.runs[about.id]
        self._put(about, TYPES[event_type], OWN, run, attempt, **self._fields(event_type))

    def end(self, about: Descriptor, how: str) -> None:
        """End the operation: its last status, then its terminal event."""
        if about.id not in self.runs:
            self.begin(about, 1)
        run, attempt = self.runs[about.id]
        status = {"complete": SUCCEEDED, "failed": FAILED, "cancelled": CANCELLED}[how]
        self._put(about, Status, OWN, run, attempt, status=status, details=self._mark())
        if how == "complete":
            self._put(about, Complete, OWN, run, attempt, result=self._mark())
        else:
            code = CANCELLED if how == "cancelled" else FAILED
            self._put(about, Error, OWN, run, attempt, code=code, message=self._mark(), terminal=True)

    def cancel(self, about: Descriptor) -> None:
        """Ask for an end, as anybody may."""
        self._put(about, Status, ANY, "", 1, status="cancelling", details=self._mark())

    def _fields(self, event_type: str) -> dict[str, Any]:
        mark = self._mark()
        match event_type:
            case "progress":
                return {
                    "current": len(self._reports),
                    "total": None,
                    "percentage": None,
                    "message": mark + PADDING,
                }
            case "status":
                return {"status": f"phase {len(self._reports)}", "details": mark}
            case _:
                return {"code": "c", "message": mark}

    @property
    def _last(self) -> str:
        return f"#{len(self._reports)}"

    def _mark(self) -> str:
        """Give what makes the next report unlike any other."""
        return f"#{len(self._reports) + 1}"

    def _put(
        self, about: Descriptor, event: type[Event], condition: str, run: str, attempt: int, **said: Any
    ) -> None:
        self._note(about, event.type)
        self.reporter.put([Record.of(about, event, condition=condition, run=run, attempt=attempt, **said)])

    def _note(self, about: Descriptor, event_type: str) -> None:
        serial = len(self._reports) + 1
        self._reports.append(Report(serial, self.reporter.id, about.id, event_type))
