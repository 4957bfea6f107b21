"""Memory in which the web processes of one gunicorn answer each other: a sheet of bytes for each of them.

Beside the flow: made with the rows of numbers (`webapp.slots`), before gunicorn forks. Who wants to know
notes when; each process looks now and then whether it was asked, and then writes its sheet. Nobody waits for
a lock: a sheet that is written while it is read is no answer yet. Knows nothing of what the bytes mean.
"""

import time
from mmap import mmap
from typing import Final

SHEET_BYTES: Final = 2_097_152
"""16,000 streams. Of the system's memory a sheet takes what was ever written on it."""
_ASKED, _FIRST = 0, 1
_AT, _LENGTH, _PID, _FIELDS = 0, 1, 2, 3
_BYTES: Final = 8


class Sheets:
    """The sheets, by their rows. Times are the host's monotonic clock, which all processes share."""

    def __init__(self, rows: int) -> None:
        start = (_FIRST + rows * _FIELDS) * _BYTES
        memory = memoryview(mmap(-1, start + rows * SHEET_BYTES))
        self._heads = memory[:start].cast("d")
        self._bodies = memory[start:]

    @property
    def asked_at(self) -> float:
        """When somebody last wanted to know."""
        return self._heads[_ASKED]

    def ask(self) -> float:
        """Note that what all processes have to say is wanted; give when: what was written since counts."""
        self._heads[_ASKED] = now = time.monotonic()
        return now

    def sign(self, row: int, pid: int) -> None:
        """Note whose sheet it is."""
        self._heads[_head(row) + _PID] = pid

    def pid(self, row: int) -> int:
        """Say whose sheet it is."""
        return int(self._heads[_head(row) + _PID])

    def write(self, row: int, body: bytes, looked_at: float) -> None:
        """Write a sheet: what was so at *looked_at*. Raises: ValueError for more than `SHEET_BYTES`."""
        if len(body) > SHEET_BYTES:
            raise ValueError("a sheet has no room for it")
        head, start = _head(row), row * SHEET_BYTES
        self._heads[head + _AT] = 0.0  # who reads it now has nothing
        self._bodies[start : start + len(body)] = body
        self._heads[head + _LENGTH] = len(body)
        self._heads[head + _AT] = looked_at

    def read(self, row: int, asked_at: float) -> bytes | None:
        """Read what was written since *asked_at*, if it was and is not being written anew."""
        head, start = _head(row), row * SHEET_BYTES
        written_at = self._heads[head + _AT]
        body = bytes(self._bodies[start : start + int(self._heads[head + _LENGTH])])
        is_whole = self._heads[head + _AT] == written_at
        return body if is_whole and written_at >= asked_at else None


def _head(row: int) -> int:
    return _FIRST + row * _FIELDS
