"""JSON on one line: exact, and without a line break of any alphabet."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.json_line import encode_line

TEXT = 'ab\\"\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeffé\0\x7f😀'
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | st.text(TEXT),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(TEXT), children, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_what_is_written_is_one_line_and_read_back_the_same(value: object) -> None:
    """Whatever the text, splitting lines in any way finds one, and the value is unchanged."""
    line = encode_line(value)
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_become_null(value: float) -> None:
    """No browser's parser takes NaN or Infinity."""
    assert encode_line([value]) == b"[null]"
