"""What is printed of operations and events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.cli import words


@given(st.text())
def test_nothing_that_is_printed_can_move_the_cursor(text: str) -> None:
    """Whatever a message holds."""
    shown = words.clean(text)
    assert shown.isprintable()
    assert len(shown) == len(text)


@pytest.mark.parametrize(
    ("count", "said"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7_500, "2 h 5 min"), (273_600, "3 d 4 h")],
)
def test_a_time_is_said_in_two_units(count: float, said: str) -> None:
    """The two that matter."""
    assert words.seconds(count) == said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"current": 5, "total": 10, "percentage": 50, "message": "half"}, "5/10 50 %: half"),
        ({"current": 5, "total": None, "percentage": None}, "5"),
        ({"current": 1.5, "total": 3, "percentage": 50.0, "etaSeconds": 61}, "1.5/3 50 %, 1 min 1 s left"),
    ],
)
def test_progress_is_said_as_far_as_it_is_known(data: dict[str, object], said: str) -> None:
    """And no further."""
    assert words.progress(data) == said
