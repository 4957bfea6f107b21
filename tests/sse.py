"""The reading end of the flow as the tests see it: bytes of an event stream in, messages out.

Takes the bytes of one response body, in any chunking, from whoever reads the socket, and gives the messages
that an ``EventSource`` would dispatch. It is written from the HTML standard and knows nothing of our encoder,
so that the two can be wrong in different ways. It opens nothing and waits for nothing.

Source: HTML standard, sections 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream".
"""

import codecs
import re
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\r|\n")
_BYTE_ORDER_MARK = "\ufeff"
_MAX_RETRY_DIGITS = 4_300  # specified: int() refuses longer numbers (sys.get_int_max_str_digits)


@dataclass(frozen=True, slots=True)
class Message:
    """What one ``MessageEvent`` would carry; a plain value."""

    type: str
    data: str
    last_event_id: str


class EventStreamParser:
    """Turns the bytes of one response body into messages.

    Owns the half-read character, line and event. Lives as long as its body; one caller at a time, nothing to
    close. A block that the body ends in is lost, as the standard asks: there is no flush.

    *last_event_id* is what the previous connection ended with, if this one is its continuation.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        """What a reconnect would send as ``Last-Event-ID``: the id of the last finished block."""
        self.retry_ms: int | None = None
        """The reconnection time last asked for, in milliseconds; None while the stream has asked for none."""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._at_start = True
        self._after_cr = False
        self._line_parts: list[str] = []
        self._id_buffer = last_event_id
        self._event_type = ""
        self._data_lines: list[str] = []

    def feed(self, chunk: bytes) -> list[Message]:
        """Take the next bytes and return the messages that they finish, oldest first."""
        first, *others = _LINE_END.split(self._clean(self._decode(chunk)))
        self._line_parts.append(first)
        if not others:
            return []
        lines = ["".join(self._line_parts), *others]
        self._line_parts = [lines.pop()]
        messages = [self._interpret(line) for line in lines]
        return [message for message in messages if message is not None]

    def _clean(self, text: str) -> str:
        """Drop a byte order mark at the very start, and the LF whose CR was the end of the chunk before.

        A CR ends its line at once: waiting for a possible LF would hold a finished message back.
        """
        if not text:
            return text
        if self._at_start:
            self._at_start = False
            text = text.removeprefix(_BYTE_ORDER_MARK)
        if self._after_cr:
            text = text.removeprefix("\n")
        # Text that was only that LF, or only that mark, ends in no CR, so a second LF is a line of its own.
        self._after_cr = text.endswith("\r")
        return text

    def _interpret(self, line: str) -> Message | None:
        """Take one line without its end; return a message if the line dispatches one."""
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        # A comment is a line whose field has no name, and no field of that name exists.
        self._process_field(name, value.removeprefix(" "))
        return None

    def _process_field(self, name: str, value: str) -> None:
        """Apply one field to the block being read; fields that are unknown or malformed change nothing."""
        match name:
            case "event":
                self._event_type = value
            case "data":
                self._data_lines.append(value)
            case "id" if "\0" not in value:
                self._id_buffer = value
            case "retry" if value.isascii() and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self.retry_ms = int(value)

    def _dispatch(self) -> Message | None:
        """End the block: keep its id, and return its message if it had a data field, however empty."""
        self.last_event_id = self._id_buffer
        data_lines, self._data_lines = self._data_lines, []
        event_type, self._event_type = self._event_type, ""
        if not data_lines:
            return None
        return Message(event_type or "message", "\n".join(data_lines), self.last_event_id)


def parse(body: bytes) -> list[Message]:
    """Return the messages of a whole body."""
    return EventStreamParser().feed(body)
