"""Cursors: which spellings of an event id are ours, and how they are ordered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.cursor import Cursor
from tidings.errors import InvalidValue

cursors = st.builds(Cursor, st.integers(1, 10**16 - 1), st.integers(0, 10**15 - 1))


@given(cursors)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    """The wire's spelling and Redis' are each read back as the same place."""
    assert Cursor.parse(cursor.wire) == cursor
    assert Cursor.from_stream(cursor.stream_id.encode()) == cursor


@given(cursors, cursors)
def test_cursors_are_ordered_by_era_then_by_number(one: Cursor, other: Cursor) -> None:
    """Order is numeric, era first."""
    assert (one < other) == ((one.era, one.n) < (other.era, other.n))


REFUSED = {
    "nothing": "",
    "no prefix": "1795342513466123-17",
    "another prefix": "EVT_1795342513466123-17",
    "no number": "evt_1795342513466123-",
    "no era": "evt_-17",
    "an era of zero": "evt_0-1",
    "a leading zero in the era": "evt_01-1",
    "a leading zero in the number": "evt_1-01",
    "two zeros": "evt_1-00",
    "a sign": "evt_1-+1",
    "a negative number": "evt_1--1",
    "an underscore between digits": "evt_1_000-1",
    "full-width digits": "evt_\uff11-\uff11",
    "Arabic digits": "evt_\u0663-\u0663",
    "superscript digits": "evt_\u00b2-\u00b2",
    "a NUL": "evt_1-1\0",
    "a line feed behind": "evt_1-1\n",
    "a space before": " evt_1-1",
    "a third part": "evt_1-1-1",
    "a fraction": "evt_1-1.0",
    "an era of 17 digits": "evt_" + "1" * 17 + "-1",
    "a number of 16 digits": "evt_1-" + "1" * 16,
    "a very long number": "evt_1-" + "1" * 10_000,
    "another id of ours": "op_1-1",
    "a lone surrogate": "evt_1-1\ud800",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_any_other_spelling_is_refused(text: str) -> None:
    """There is one spelling of each place, so that ids can be compared as text too."""
    with pytest.raises(InvalidValue) as caught:
        Cursor.parse(text)
    assert caught.value.field == "last_event_id"
    assert len(str(caught.value)) < 300


@given(st.text("evt_-0129+ \n\0\uff11", max_size=20) | st.from_regex(r"evt_[0-9]+-[0-9]+", fullmatch=True))
def test_what_is_read_is_written_the_same(text: str) -> None:
    """No text is read as a place that would be written differently."""
    try:
        cursor = Cursor.parse(text)
    except InvalidValue:
        return
    assert cursor.wire == text


def test_the_largest_numbers_that_a_script_keeps_exact_are_taken() -> None:
    """Eras go up to 16 digits, numbers up to 15."""
    assert Cursor.parse("evt_9007199254740991-999999999999999") == Cursor(2**53 - 1, 10**15 - 1)
