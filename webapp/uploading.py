"""An upload as the operation that it is, while web processes receive it.

Takes how many bytes are on disk, gives records to this process' reporter. No run owns the operation before
its task begins: any web process may speak of it, none has a lease on it, one that dies takes nothing along.
"""

import time
from typing import TYPE_CHECKING, Any, Final

import tidings.celery
from tasks.catalog import KINDS, UPLOAD
from tasks.incoming import Note
from tidings.descriptor import Descriptor
from tidings.estimate import Pace
from tidings.events import QUEUED, Progress, Status
from tidings.lost import ending
from tidings.record import ANY, NEW, Record
from tidings.values import percentage

if TYPE_CHECKING:
    from webapp.service import Service

UPLOADING: Final = "uploading"
TASK: Final = KINDS[UPLOAD].task
FLUSH_S: Final = 2.0
"""How long the last progress may hold up what follows it."""


class Uploading:
    """What one request says of an upload: for one greenlet at a time; never blocks but where it says so."""

    def __init__(self, here: "Service", note: Note, offset: int) -> None:
        self._here = here
        self._note = note
        self._reporter = here.process.reporter
        self._descriptor = descriptor_of(note.id, note.owner)
        self._begin, self._began_s = offset, time.monotonic()
        self._told = offset or None  # that there is nothing yet is worth an event
        self._latest: int | None = None
        self._pace = Pace()
        self._not_before = 0.0

    def announce(self) -> bool:
        """Have the log know of it, also if it has forgotten; tell whether it is not over. Waits for Redis.

        Raises: LogUnavailable.
        """
        record = Record.of(self._descriptor, Status, condition=NEW, status=QUEUED)
        return self._here.process.writer.append(record).code != "over"

    def begin(self) -> None:
        """Say that its first bytes come."""
        said = {"name": self._note.name, "bytes": self._note.length}
        self._reporter.put(
            [Record.of(self._descriptor, Status, condition=ANY, status=UPLOADING, details=said)]
        )

    def count(self, size_bytes: int) -> None:
        """Count what was written to the disk."""
        self._here.hub.counts.uploaded_bytes += size_bytes

    def progress(self, durable: int) -> None:
        """Say how many bytes are on disk for good, as often as reports are sent."""
        if durable == self._told:
            return
        is_waiting, self._told = self._latest is not None, durable
        self._latest = durable
        if not is_waiting:
            self._reporter.schedule(self, self._not_before)

    def settle(self) -> None:
        """Have the log take the newest progress before another process says more. Waits `FLUSH_S` at most."""
        self._reporter.put_last(self, [])
        self._reporter.flush(FLUSH_S)

    def take_progress(self) -> Record | None:
        """Give the newest progress and forget it: the reporter's turn."""
        done, self._latest = self._latest, None
        if done is None:
            return None
        now = time.monotonic()
        self._not_before = now + self._reporter.interval_s
        length = self._note.length
        self._pace.hear(now - self._began_s, done - self._begin)
        estimate: dict[str, Any] = self._pace.estimate(now - self._began_s, length - self._begin).told()
        return Record.of(
            self._descriptor, Progress, condition=ANY, current=done, total=length,
            percentage=percentage(done, length), message=self._note.name, **estimate,
        )  # fmt: skip

    def send(self) -> None:
        """Have its task go on with it. Waits for Redis and the broker, for seconds.

        Raises: InvalidValue if it is over, LogUnavailable, DispatchFailed: then it may be tried again.
        """
        tidings.celery.dispatch(
            self._here.producer,
            TASK,
            {"upload": self._note.id},
            kind=UPLOAD,
            id=self._note.id,
            owner=self._note.owner or None,
            goes_on=True,
        )


def descriptor_of(upload_id: str, owner: str = "") -> Descriptor:
    """Describe the operation of an upload."""
    return Descriptor.of(upload_id, UPLOAD, name=TASK, owner=owner)


def end(here: "Service", upload_id: str, code: str, message: str) -> None:
    """End an upload that nobody works on, unless it is over. Waits for Redis. Raises: LogUnavailable."""
    here.process.writer.append_all(ending(descriptor_of(upload_id), code, message, condition=ANY))
