"""Whatever an author passes to report_*: what leaves is bounded, valid JSON on one line, in a whole frame."""

import dataclasses
import datetime as dt
import decimal
import fractions
import json
import math
import uuid
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.sse import EventStreamParser
from tidings.descriptor import Descriptor
from tidings.events import Progress, Warning, decode, encode  # noqa: A004 - the wire's name
from tidings.record import OWN, Record
from tidings.values import MAX_COUNT, MAX_JSON_BYTES, MAX_MESSAGE_CHARS, Tidy, percentage
from webapp.frames import frame

OP = Descriptor.of("op", "batch")
NAN, INFINITY = float("nan"), float("inf")


class Text(str):
    """Text of a class of its own."""

    __slots__ = ()


class Number(float):
    """A number of a class of its own, as numpy has them."""

    __slots__ = ()


class Hostile:
    """A value that will not be read in any way."""

    def __float__(self) -> float:
        raise RuntimeError

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


@dataclasses.dataclass
class Point:
    """A value that has a JSON form of its own."""

    x: float


def problems(tidy: Tidy) -> list[str]:
    """Name the fields that were put right."""
    return [problem.field for problem in tidy.problems]


COUNTS: list[tuple[object, float]] = [
    (5, 5),
    (0, 0),
    (2.5, 2.5),
    (True, 1),
    (decimal.Decimal("2.5"), 2.5),
    (fractions.Fraction(1, 2), 0.5),
    (Number(2), 2),
    (MAX_COUNT, MAX_COUNT),
]


@pytest.mark.parametrize(("value", "clean"), COUNTS)
def test_a_number_is_taken_as_it_is(value: object, clean: float) -> None:
    """Whatever is a finite number from 0 to 2^53 is one, of whatever class."""
    tidy = Tidy()
    assert (tidy.count("current", value), tidy.total(value)) == (clean, clean)
    assert type(tidy.count("current", value)) in {int, float}
    assert problems(tidy) == []


NO_COUNTS: dict[str, tuple[object, float]] = {
    "NaN": (NAN, 0),
    "infinity": (INFINITY, 0),
    "minus infinity": (-INFINITY, 0),
    "a negative": (-1, 0),
    "a small negative": (-1e-9, 0),
    "None": (None, 0),
    "text": ("5", 0),
    "a list": ([5], 0),
    "a complex number": (1j, 0),
    "a signalling NaN": (decimal.Decimal("sNaN"), 0),
    "a huge Decimal": (decimal.Decimal("1e400"), 0),
    "a huge integer": (2**53 + 1, MAX_COUNT),
    "an integer beyond all printing": (10**5_000, MAX_COUNT),
    "a huge float": (1e300, MAX_COUNT),
    "a hostile value": (Hostile(), 0),
}


@pytest.mark.parametrize(("value", "bound"), NO_COUNTS.values(), ids=NO_COUNTS)
def test_what_is_no_count_becomes_a_bound_or_unknown(value: object, bound: float) -> None:
    """A wrong count is bounded, a wrong total is unknown, and each is named."""
    tidy = Tidy()
    assert tidy.count("current", value) == bound
    assert tidy.total(value) is None
    assert problems(tidy) == (["current"] if value is None else ["current", "total"])


TEXTS: dict[str, tuple[object, str]] = {
    "as it is": ("a\r\n\0\u2028é😀", "a\r\n\0\u2028é😀"),
    "a class of its own": (Text("a"), "a"),
    "a number": (5, "5"),
    "bytes": (b"a", "b'a'"),
    "lone surrogates": ("a\ud800\udfffb", "a\ufffd\ufffdb"),
    "the longest": ("x" * MAX_MESSAGE_CHARS, "x" * MAX_MESSAGE_CHARS),
    "too long": ("x" * 100_000, "x" * (MAX_MESSAGE_CHARS - 1) + "…"),
}


@pytest.mark.parametrize(("value", "clean"), TEXTS.values(), ids=TEXTS)
def test_text_is_bounded_and_fit_for_utf_8(value: object, clean: str) -> None:
    """What is no text becomes one, and what had to be changed is named."""
    tidy = Tidy()
    text = tidy.text("message", value)
    assert text == clean
    assert type(text) is str
    assert bool(tidy.problems) == (text != value)


@pytest.mark.parametrize("value", [Hostile(), 10**5_000], ids=["hostile", "huge"])
def test_what_cannot_be_shown_is_text_all_the_same(value: object) -> None:
    """A message that cannot be turned into text is named by its type, and does not fail the task."""
    tidy = Tidy()
    assert type(value).__name__ in tidy.text("message", value)
    assert problems(tidy) == ["message"]


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("rate.limit-1~x", "rate.limit-1~x"),
        ("two words", "two_words"),
        ("a\nb", "a_b"),
        ("é", "unknown"),
        ("", "unknown"),
        (None, "None"),
        ("x" * 200, "x" * 127),
    ],
)
def test_a_code_is_made_of_identifier_characters(value: object, clean: str) -> None:
    """Programs compare codes, so they hold nothing that needs escaping anywhere."""
    tidy = Tidy()
    assert tidy.code(value) == clean
    assert bool(tidy.problems) == (clean != value)


PLAIN: dict[str, tuple[object, object]] = {
    "plain JSON": ({"a": [1, 2.5, None, True, "é"]}, {"a": [1, 2.5, None, True, "é"]}),
    "keys that are no text": ({1: "a", 2.5: "b"}, {"1": "a", "2.5": "b"}),
    "a dataclass": (Point(1.5), {"x": 1.5}),
    "dates, ids and bytes": (
        [dt.date(2026, 1, 2), uuid.UUID(int=1), b"a"],
        ["2026-01-02", "00000000-0000-0000-0000-000000000001", "YQ=="],
    ),
    "a tuple and a set": [(1, {2}), [1, [2]]],  # type: ignore[dict-item]
    "text of its own class": ({Text("k"): Text("v")}, {"k": "v"}),
    "a number of its own class": ([Number(2.5)], [2.5]),
}


@pytest.mark.parametrize(("value", "plain"), PLAIN.values(), ids=PLAIN)
def test_details_become_plain_json(value: object, plain: object) -> None:
    """What has a JSON form is given in it, without a word."""
    tidy = Tidy()
    assert tidy.json("details", value) == plain
    assert problems(tidy) == []


def circular() -> object:
    """Make a list that holds itself."""
    loop: list[object] = []
    loop.append(loop)
    return loop


def deep() -> object:
    """Make a list that is nested too deep to be written."""
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    return value


OMITTED: dict[str, object] = {
    "an object": object(),
    "a function": print,
    "an object within": {"a": [object()]},
    "a hostile value": Hostile(),
    "circular": circular(),
    "deep": deep(),
    "too big": ["x" * MAX_JSON_BYTES],
    "too big once its line breaks are escaped": ["\u2028" * (MAX_JSON_BYTES // 3 - 10)],
    "a number beyond all printing": 10**5_000,
}


@pytest.mark.parametrize("value", OMITTED.values(), ids=OMITTED)
def test_details_that_cannot_be_had_are_replaced_by_a_note(value: object) -> None:
    """What is no JSON, or too much of it, becomes a short note of what it was."""
    tidy = Tidy()
    clean = tidy.json("details", value)
    assert set(clean) == {"omitted"}
    assert len(json.dumps(clean)) < 200
    assert problems(tidy) == ["details"]


def test_the_bound_of_details_is_a_setting() -> None:
    """What has as many bytes is kept, what has one more is left out and said so."""
    tidy = Tidy(256)
    assert tidy.json("details", "x" * 254) == "x" * 254
    assert tidy.problems == []
    assert tidy.json("result", "x" * 255) == {"omitted": "257 bytes of JSON, more than the 256 allowed"}
    assert problems(tidy) == ["result"]


def test_details_keep_what_can_be_kept() -> None:
    """NaN, Infinity and lone surrogates are replaced where they stand."""
    tidy = Tidy()
    clean = tidy.json("details", {"a": [NAN, INFINITY, 1.5], "\ud800": "\udc00"})
    assert clean == {"a": [None, None, 1.5], "\ufffd": "\ufffd"}
    assert problems(tidy) == ["details"]


@pytest.mark.parametrize(
    ("current", "total", "expected"),
    [
        (0, 10, 0),
        (5, 10, 50),
        (10, 10, 100),
        (11, 10, 100),
        (1, 3, 33.33),
        (2, 3, 66.66),
        (999_999, 1_000_000, 99.99),
        (2**53 - 1, 2**53, 99.99),
        (math.nextafter(0.3, 0), 0.3, 99.99),
        (0.1, 0.3, 33.33),
        (1, 1e-300, 100),
        (5, 0, None),
        (5, None, None),
    ],
)
def test_a_percentage_is_rounded_down(current: float, total: float | None, expected: float | None) -> None:
    """Two decimals, 100 only when all is done, none where the total is unknown or nothing."""
    assert percentage(current, total) == expected


def test_every_whole_percent_is_shown_as_such() -> None:
    """57 of 100 is 57 %, not 56.99 %."""
    assert [n for n in range(101) if percentage(n, 100) != n] == []


counts = st.one_of(st.integers(0, MAX_COUNT), st.floats(0, MAX_COUNT))


@given(counts, counts)
def test_100_percent_means_that_all_is_done(current: float, total: float) -> None:
    """For any two clean numbers the percentage is a bound number, and 100 exactly from the total on."""
    percent = percentage(current, total)
    if total == 0:
        assert percent is None
    else:
        assert percent is not None
        assert 0 <= percent <= 100
        assert (percent == 100) == (current >= total)


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.decimals(),
        st.text(st.characters(exclude_categories=())),
        st.sampled_from(["\r\n", "\0", "\u2028", "\x85", "\ufeff", "a\n\nevent: x\ndata: y\n\n", "\ud800"]),
        st.binary(),
        st.builds(object),
        st.builds(Hostile),
    ),
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.floats()), children, max_size=4),
    ),
    max_leaves=10,
)


def refuse(constant: str) -> NoReturn:
    """Refuse what is no JSON: NaN and its kin."""
    raise AssertionError(f"{constant} is not JSON")


def check_on_the_wire(event_type: str, data: bytes, chunk_bytes: int) -> dict[str, Any]:
    """Check that an event is one line of JSON that a browser gets whole, in whatever chunks it arrives."""
    assert len(data.decode().splitlines()) == 1
    decode(event_type, data)
    body = frame(event_type, data, "evt_1-1")
    parser = EventStreamParser()
    messages = [
        message
        for start in range(0, len(body), chunk_bytes)
        for message in parser.feed(body[start : start + chunk_bytes])
    ]
    assert [(message.type, message.last_event_id) for message in messages] == [(event_type, "evt_1-1")]
    assert messages[0].data == data.decode()
    said: dict[str, Any] = json.loads(messages[0].data, parse_constant=refuse)
    return said


@given(anything, anything, anything, st.integers(1, 50))
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_progress_arrives(current: object, total: object, message: object, chunk_bytes: int) -> None:
    """Whatever is given, a well-formed progress is what a browser reads."""
    tidy = Tidy()
    clean, whole = tidy.count("current", current), tidy.total(total)
    record = Record.of(
        OP,
        Progress,
        condition=OWN,
        current=clean,
        total=whole,
        percentage=percentage(clean, whole),
        message=tidy.text("message", message),
    )
    said = check_on_the_wire("progress", record.data, chunk_bytes)
    assert (said["current"], said["total"]) == (clean, whole)


@given(anything, anything, anything, st.integers(1, 50))
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_warning_arrives(code: object, message: object, details: object, chunk_bytes: int) -> None:
    """Whatever is given, a well-formed and bounded warning is what a browser reads."""
    tidy = Tidy()
    event = {
        "code": tidy.code(code),
        "message": tidy.text("message", message),
        "details": tidy.json("details", details),
    }
    record = Record.of(OP, Warning, condition=OWN, **event)
    assert len(record.data) < MAX_JSON_BYTES + 8_000
    said = check_on_the_wire("warning", record.data, chunk_bytes)
    assert (said["code"], said["message"]) == (event["code"], event["message"])


def test_the_largest_event_fits_what_may_wait_for_a_reader() -> None:
    """Details at their bound, in any alphabet, leave an event that can be delivered."""
    for character in ("x", "é", "\x85", "\u2028", "😀", "\0", '"'):
        tidy = Tidy()
        for size in (8_000, 10_000, 16_000, 32_000):
            details = tidy.json("details", [character * size])
            record = Record.of(
                OP, Warning, condition=OWN, code="c", message=character * 1_000, details=details
            )
            assert len(frame("warning", record.data, "evt_1-1")) < 65_536


def test_encoding_never_changes_what_was_said() -> None:
    """The JSON of clean values gives back those values."""
    event = Warning(
        operation_id="op",
        operation_type="batch",
        timestamp="t",
        attempt=1,
        code="c",
        message="\u2028\x85",
        details=["\u2029"],
    )
    assert decode("warning", encode(event)) == event
