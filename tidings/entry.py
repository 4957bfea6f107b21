"""One entry of the log, as its readers see it.

Takes the raw fields of a Redis stream entry, gives a value that can be ordered, matched and
framed without being parsed again. Pure.
"""

from collections.abc import Mapping
from typing import Final, Self

from tidings.cursor import Cursor
from tidings.errors import InvalidValue
from tidings.events import TYPES, read_envelope
from tidings.topics import Filter

ERA: Final = "era"
"""The type of an era's first entry; it is never sent to anybody."""
_TYPES: Final = {event_type.encode(): event_type for event_type in (*TYPES, ERA)}


class Entry:
    """An event with its place in the log; immutable by convention, shared by all streams.

    ``data`` is the event's JSON as the author's side wrote it. ``topics`` is the one topic
    whose own stream it was read from, or all it is on if it was read from the log.
    ``ends_operation`` marks an operation's terminal event. ``previous`` is set on an era's
    first entry only: the last entry of the era that it continues, or None if it continues
    none. ``trace`` is the ``traceparent`` of its report, where spans are wanted and it was read from
    the log. ``frame`` and ``chunk`` are the web side's to keep the bytes in that it sends.
    """

    __slots__ = (
        "chunk",
        "cursor",
        "data",
        "ends_operation",
        "frame",
        "kind",
        "operation_id",
        "previous",
        "topics",
        "trace",
        "type",
    )

    def __init__(
        self,
        cursor: Cursor,
        event_type: str,
        data: bytes = b"",
        topics: tuple[str, ...] = (),
        *,
        previous: Cursor | None = None,
        trace: str = "",
    ) -> None:
        self.cursor = cursor
        self.type = event_type
        self.data = data
        self.topics = topics
        self.previous = previous
        self.trace = trace
        self.frame = self.chunk = b""
        self.kind = self.operation_id = ""
        self.ends_operation = event_type == "complete"
        if event_type != ERA:
            envelope = read_envelope(data)
            self.kind, self.operation_id = envelope.operation_type, envelope.operation_id
            self.ends_operation |= event_type == "error" and envelope.terminal

    @classmethod
    def from_stream(
        cls, stream_id: bytes, fields: Mapping[bytes, bytes], topics: tuple[str, ...] = ()
    ) -> Self:
        """Read an entry of the log's stream, which says its topics, or of the stream of *topics*.

        Raises: InvalidValue if somebody else wrote it.
        """
        try:
            return cls._read(Cursor.from_stream(stream_id), fields, topics)
        except ValueError as error:  # ours, a number's, UTF-8's
            raise InvalidValue("entry", f"one of ours ({error})") from error

    @classmethod
    def _read(cls, cursor: Cursor, fields: Mapping[bytes, bytes], topics: tuple[str, ...]) -> Self:
        said = fields.get(b"t", b"")
        event_type = _TYPES.get(said)
        if event_type == ERA:
            previous = fields.get(b"prev", b"")
            return cls(cursor, ERA, previous=Cursor.from_stream(previous) if previous else None)
        data = fields.get(b"d", b"")
        if event_type is None or b"\n" in data or b"\r" in data:
            raise InvalidValue("entry", "an event on one line", said)
        topics = topics or tuple(fields.get(b"k", b"").decode().split())
        return cls(cursor, event_type, data, topics, trace=fields.get(b"p", b"").decode())

    def follows(self, position: Cursor) -> bool:
        """Tell whether nothing can lie between *position* and this entry."""
        if self.cursor.n == 0:
            return self.previous == position
        return self.cursor == Cursor(position.era, position.n + 1)

    def is_for(self, wanted: Filter) -> bool:
        """Tell whether *wanted* asks for this event."""
        return self.type != ERA and wanted.wants(self.kind, self.type) and wanted.covers(self.topics)
