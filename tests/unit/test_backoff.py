"""Pauses between tries: short at first, never so long that the return of Redis is missed for a second."""

from typing import Final

import pytest

from tidings.backoff import FIRST_S, LONGEST_S, Backoff

PROMISED_S: Final = 0.8
"""Live again within a second: the rest is for connecting and reading."""


class Clock:
    """A clock that stands still until a test moves it."""

    now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


def pauses(tries: Backoff, count: int) -> list[float]:
    """Give the pauses after *count* tries that fail at once."""
    found = []
    for _ in range(count):
        tries.begin()
        found.append(tries.pause_s())
    return found


def test_pauses_grow_to_a_bound_with_jitter(clock: Clock) -> None:
    """From some hundredths of a second to the longest, never the same for all processes."""
    several = [pauses(Backoff(clock), 10) for _ in range(50)]
    assert all(FIRST_S / 2 <= each[0] <= FIRST_S for each in several)
    assert all(LONGEST_S / 2 <= pause <= LONGEST_S for each in several for pause in each[5:])
    assert max(map(max, several)) < PROMISED_S
    assert len({each[-1] for each in several}) > 40


def test_a_try_that_took_long_is_followed_at_once(clock: Clock) -> None:
    """The pause is counted from its beginning; and the next ones are short again."""
    tries = Backoff(clock)
    pauses(tries, 10)
    tries.begin()
    clock.now += 1.0
    assert tries.pause_s() < FIRST_S
    assert pauses(tries, 1)[0] <= 2 * FIRST_S


def test_the_time_of_a_try_counts(clock: Clock) -> None:
    """What a try has taken is no longer waited for."""
    tries = Backoff(clock)
    pauses(tries, 10)
    tries.begin()
    clock.now += LONGEST_S / 2
    assert tries.pause_s() <= LONGEST_S / 2
