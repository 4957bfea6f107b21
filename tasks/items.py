"""What a batch works through: items from a source, and what became of each.

A source knows its items by names that stay the same from attempt to attempt, what is done to one, and what
all of them come to. Pure.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from msgspec import Struct


class Item(NamedTuple):
    """One piece of work: its place in the source, from 1, a name that no other has there, and itself."""

    number: int
    name: str
    value: Any


class ItemFailed(Exception):
    """An item that cannot be done; *may_pass*: it may be done the next time it is tried."""

    def __init__(self, code: str, reason: str, *, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.may_pass = may_pass


class Outcome(Struct, frozen=True, array_like=True):
    """What became of an item: *found* by its work, or a *code* and a *reason* if it failed."""

    number: int
    name: str
    tries: int
    found: list[Any]
    code: str = ""
    reason: str = ""


class Finished(NamedTuple):
    """What a batch came to: a table, and what is said of it in an event."""

    columns: Sequence[str]
    rows: Iterator[Sequence[Any]]
    summary: dict[str, Any]


class Source(Protocol):
    """Where items come from and what is done to each."""

    listing: str
    """The status while items are counted."""
    doing: str
    """The status while they are worked on."""

    def items(self) -> Iterator[Item]:
        """Give the items, the same ones each time. Raises: Failure where there is no such source."""
        ...

    def work(self, value: Any) -> list[Any]:
        """Do one item, in any thread, and give what was found: JSON values. Raises: ItemFailed."""
        ...

    def finish(self, outcomes: Sequence[Outcome]) -> Finished:
        """Sum up all outcomes, which are in the items' order."""
        ...
