"""What authors hand over: whatever it is, the task goes on, and what leaves is bounded and can be read."""

import datetime as dt
import decimal
import enum
import fractions
import math
import uuid
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import corpus, many, tried
from tests.said import Author, heard
from tidings.events import TYPES, decode
from tidings.values import MAX_COUNT, MAX_JSON_BYTES, MAX_MESSAGE_CHARS
from webapp.frames import frame


class Colour(enum.Enum):
    """A value of a class of its own."""

    RED = "red"


class Hostile:
    """A value that will not be read in any way."""

    def __float__(self) -> float:
        raise RuntimeError

    def __str__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    __repr__ = __str__


class Endless(dict[str, Any]):
    """A value that says it has items, and fails over them."""

    def items(self) -> NoReturn:
        """Fail."""
        raise RuntimeError


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


def _counter() -> Iterator[int]:
    yield from range(3)


PAYLOADS: dict[str, Any] = corpus("payloads") | {
    "Decimal": decimal.Decimal("1.1"),
    "Decimal NaN": decimal.Decimal("NaN"),
    "a huge Decimal": decimal.Decimal("1e9999"),
    "a fraction of whole numbers": fractions.Fraction(1, 3),
    "a complex number": 1j,
    "5,000 digits": 10**5_000,
    "a moment": dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
    "a span": dt.timedelta(days=9),
    "bytes": b"\xff\0",
    "a bytearray": bytearray(b"x"),
    "a set": {1, 2},
    "a frozen set": frozenset({"a"}),
    "a tuple": (1, 2),
    "a deque": deque([1]),
    "an ordered dictionary": OrderedDict(a=1),
    "numbers as names": {1: 2, None: 3, 1.5: 4, False: 5},
    "a tuple as a name": {(1, 2): 3},
    "UUID": uuid.UUID(int=1),
    "an enum": Colour.RED,
    "an exception": ValueError("a\nb"),
    "a class": Hostile,
    "a function": len,
    "a generator": _counter(),
    "what cannot be read": Hostile(),
    "what cannot be read, inside": [Hostile()],
    "what cannot be counted": Endless(a=1),
    "a circle": _circle(),
    "nested 100 deep": _deep(100),
    "nested 10,000 deep": _deep(10_000),
    "10,000 items": list(range(10_000)),
    "1 MB of the same": ["x" * 1_024] * 1_024,
}


@pytest.fixture(scope="module")
def author() -> Author:
    """One who says everything."""
    return Author()


def check(author: Author, value: Any) -> None:
    """Say *value* as everything: nothing is raised, and each event is ours, bounded, and can be read."""
    tried["payloads"] += 1
    records = author.say(value)
    for message in heard(records):
        data = message.data.encode()
        event = decode(message.type, data)
        assert type(event) is TYPES[message.type]
        assert len(frame(message.type, data)) < 2 * MAX_JSON_BYTES
        assert len(getattr(event, "message", "") or "") <= MAX_MESSAGE_CHARS
        if message.type == "progress":
            _check_counts(event)
    assert records[-1].event_type == "complete"
    assert sum(record.ends for record in records) == 1
    assert {record.event_type for record in records} >= {"status", "warning", "progress", "error"}


def _check_counts(event: Any) -> None:
    for count in (event.current, event.total):
        assert count is None or (math.isfinite(count) and 0 <= count <= MAX_COUNT)
    assert event.percentage is None or 0 <= event.percentage <= 100


@pytest.mark.long
def test_100_mb_can_be_said(author: Author) -> None:
    """It takes its time, and what leaves is as short as ever."""
    check(author, "\n" * 100_000_000)


@pytest.mark.parametrize("name", PAYLOADS)
def test_whatever_is_said_can_be_read(name: str, author: Author) -> None:
    """Each payload as a name, a status, a code, a message, a count, a total, details and a result."""
    check(author, PAYLOADS[name])


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=9)
values = st.recursive(
    plain | st.decimals() | st.datetimes() | st.uuids() | st.fractions(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain, inner, max_size=4) | st.tuples(inner),
    max_leaves=12,
)


@many()
@given(value=values)
def test_anything_that_is_said_can_be_read(value: Any, author: Author) -> None:
    """Any value of Python's own types, in any shape."""
    check(author, value)
