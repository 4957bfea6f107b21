"""The bytes of an event stream → messages: what an ``EventSource`` does, for the command line.

Takes the body in any pieces. Pure. Source: HTML standard, 9.2.5 and 9.2.6.
"""

import codecs
from typing import Final, NamedTuple

_MAX_RETRY_DIGITS: Final = 9
"""More than 11 days: nobody means that."""


class Message(NamedTuple):
    """One event; ``id`` is the cursor behind it, whether or not it brought one of its own."""

    type: str
    data: str
    id: str


class Parser:
    """Reads one response body. One caller at a time; *cursor* is what it was asked for behind."""

    def __init__(self, cursor: str = "") -> None:
        self.cursor = cursor
        """What a further request would send as ``Last-Event-ID``."""
        self.retry_ms: int | None = None
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._skips_lf = False
        self._is_first = True
        self._forget()
        self._next_cursor = cursor

    def feed(self, piece: bytes) -> list[Message]:
        """Take the next bytes and give the messages that are whole with them."""
        found = []
        for line in self._lines(self._decode(piece)):
            if line:
                self._field(*line.partition(":")[::2])
            elif (message := self._end_of_block()) is not None:
                found.append(message)
        return found

    def _lines(self, text: str) -> list[str]:
        if self._is_first and text:
            self._is_first = False
            text = text.removeprefix("\ufeff")
        if self._skips_lf and text:  # of a CR LF that the pieces have cut in two
            text = text.removeprefix("\n")
            self._skips_lf = False
        if text.endswith("\r"):
            self._skips_lf = True
        *lines, self._rest = (self._rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return lines

    def _field(self, name: str, value: str) -> None:
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._next_cursor = value
            case "retry" if value.isascii() and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self.retry_ms = int(value)

    def _end_of_block(self) -> Message | None:
        self.cursor = self._next_cursor
        event_type, data = self._type or "message", self._data
        self._forget()
        return Message(event_type, "\n".join(data), self.cursor) if data else None

    def _forget(self) -> None:
        self._type = ""
        self._data: list[str] = []
