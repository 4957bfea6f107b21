"""Memory that the web processes of one gunicorn share: a row of numbers for each of them.

Beside the flow: made by gunicorn's master before it forks, written by its workers, each its own row, read by
whichever is scraped. A row outlives its process: who gets it next goes on counting from what it holds, so
that nothing is lost or counted twice when a process is killed. Knows nothing of what the numbers mean.
"""

from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap
from typing import Any, Final

from webapp.sheets import Sheets

COLUMNS: Final = 128
"""More than there are numbers; the first tells whether the row's process lives."""
SPARE_ROWS: Final = 16
"""While a HUP or a TTIN is under way there are more processes than usual."""
ALIVE: Final = 0
_BYTES: Final = 8


class Slots:
    """The rows, and with each a sheet. A number is written and read as a whole; a row is not."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.sheets = Sheets(rows)
        self._cells = memoryview(mmap(-1, rows * COLUMNS * _BYTES)).cast("d")

    def row(self, index: int) -> "memoryview[float]":
        """Give a row, to read and write."""
        return self._cells[index * COLUMNS : (index + 1) * COLUMNS]

    def __iter__(self) -> Iterator["memoryview[float]"]:
        return (self.row(index) for index in range(self._rows))

    def free(self, taken: Iterable[int | None]) -> int | None:
        """Give the index of a row that is not among *taken*; None if all are."""
        return min(set(range(self._rows)) - set(taken), default=None)

    def leave(self, index: int | None) -> None:
        """Note that a row's process is gone: what it counted stays, what it stood at does not."""
        if index is not None:
            self.row(index)[ALIVE] = 0.0


class Slot:
    """One process' row. *kept*: where what is counted lies in it, which goes on from what the row holds."""

    def __init__(self, slots: Slots, index: int, kept: Sequence[bool]) -> None:
        self._row = slots.row(index)
        self._base = [self._row[column + 1] if keep else 0.0 for column, keep in enumerate(kept)]

    def write(self, numbers: Sequence[float]) -> None:
        """Show *numbers* to all processes: of this one alone, those that are kept go on from the row's."""
        row = self._row
        for column, (base, number) in enumerate(zip(self._base, numbers, strict=True), start=1):
            row[column] = base + number
        row[ALIVE] = 1.0


# gunicorn's hooks, called in its master; the master and its workers are any objects that keep attributes.


def make_slots(master: Any, workers: int) -> None:
    """Make the rows, before the first fork."""
    master.tidings_slots = Slots(2 * workers + SPARE_ROWS)


def assign_slot(master: Any, worker: Any) -> None:
    """Give *worker*, which is about to be forked, a row of its own."""
    slots: Slots = master.tidings_slots
    index = slots.free(living.tidings_slot for living in master.WORKERS.values())
    slots.leave(index)
    worker.tidings_slots, worker.tidings_slot = slots, index


def leave_slot(master: Any, worker: Any) -> None:
    """Note that *worker* has ended, however it did."""
    master.tidings_slots.leave(worker.tidings_slot)
