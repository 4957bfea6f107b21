"""What an author's value becomes on the wire, without a Redis: from an `Operation`'s methods to frames."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tests.sse import Message, parse
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.entry import Entry
from tidings.log import Log, Outcome
from tidings.operation import Operation
from tidings.past import Took
from tidings.record import Record
from tidings.reporter import Reporter
from tidings.values import is_text
from webapp.frames import chunk, entry_chunk, entry_frame

READ_S: Final = 30.0


class Kept(Log):
    """A log that stores everything and tells of no past."""

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
        """Know of none."""
        return {task: [] for task in tasks}


class Author:
    """Says one value in every way that there is, and reads what a browser would get of it.

    One for many values: it has a reporter, whose thread ends with the process.
    """

    def __init__(self) -> None:
        self._log = Kept()
        self._reporter = Reporter(self._log, buffer_records=1_000, interval_s=0.000_01)

    def say(self, value: Any) -> list[Record]:
        """Tell *value* as everything that an operation takes; give what reached the log."""
        self._log.stored.clear()
        owner = value if is_text(value) else None
        operation = Operation("import", name=value, owner=owner, reporter=self._reporter, strict=False)
        operation.start(details=value)
        operation.status(value, details=value)
        operation.warning(value, value, details={"key": value, _text(value): 1})
        operation.progress(value, value, value)
        operation.error(value, value, value, terminal=False)
        operation.complete(value)
        assert self._reporter.flush(READ_S)
        return list(self._log.stored)


def heard(records: Iterable[Record]) -> list[Message]:
    """Frame *records* as the service does, and read them as a browser does: each is one message."""
    messages = []
    for n, record in enumerate(records, 1):
        place = Cursor(1_795_342_513_466_123, n)
        entry = Entry(place, record.event_type, record.data, record.topics)
        written = entry_frame(entry)
        assert entry_chunk(entry) == chunk(written)
        assert Descriptor.decode(record.descriptor.encode()) == record.descriptor
        (message,) = parse(written)
        assert (message.type, message.last_event_id) == (record.event_type, place.wire)
        assert message.data.splitlines() == [message.data]
        json.loads(message.data, parse_constant=_no_json)
        messages.append(message)
    return messages


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "other"


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
