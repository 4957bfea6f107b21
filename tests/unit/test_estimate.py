"""An estimate comes from the pace and past runs, lies in its interval, and is silent if it knows nothing."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.estimate import MIN_RUNS, SETTLED_S, Estimate, Pace

seconds = st.floats(0.001, 1e6)
steps = st.lists(st.tuples(seconds, st.floats(0, 1e6)), max_size=20)
runs = st.lists(seconds, max_size=12)


@given(steps, st.none() | st.floats(0, 1e8), runs, st.floats(0, 1e6))
@settings(max_examples=100, deadline=None)
def test_an_estimate_lies_in_its_interval(
    said: list[tuple[float, float]], total: float | None, past_s: list[float], silent_s: float
) -> None:
    """Whatever was said: 0 <= low <= eta <= high, all finite, and all three or none."""
    pace, elapsed_s, done = Pace(), 0.0, 0.0
    for passed_s, moved in said:
        elapsed_s, done = elapsed_s + passed_s, done + moved
        pace.hear(elapsed_s, done)
    rate, *eta = pace.estimate(elapsed_s + silent_s, total, sorted(past_s))
    assert rate is None or (math.isfinite(rate) and rate >= 0)
    known = [each for each in eta if each is not None]
    assert len(known) in {0, 3}
    if known:
        middle, low, high = known
        assert 0 <= low <= middle * (1 + 1e-9)
        assert middle <= high * (1 + 1e-9) < math.inf


@given(st.floats(0.01, 1e4), st.integers(2, 50), st.integers(51, 1_000))
@settings(max_examples=50, deadline=None)
def test_a_steady_pace_is_told_exactly(rate: float, heard: int, total: int) -> None:
    """At a constant rate the estimate is what is left over the rate, and narrows with what was heard.

    In the first second there is none.
    """
    pace, widths = Pace(), []
    for done in range(1, heard + 1):
        pace.hear(done / rate, done)
        said = pace.estimate(done / rate, total)
        if done / rate < SETTLED_S:
            assert said == Estimate()
            continue
        assert said.rate == pytest.approx(rate)
        assert said.eta_s == pytest.approx((total - done) / rate)
        assert said.eta_high_s is not None
        widths.append(said.eta_high_s / (total - done))
    assert len(widths) < 2 or widths[-1] < widths[0]


@given(steps)
@settings(max_examples=50, deadline=None)
def test_the_rate_stays_between_the_slowest_and_the_fastest(said: list[tuple[float, float]]) -> None:
    """The rate is an average of what was heard, never beyond it."""
    pace, elapsed_s, done, seen = Pace(), 0.0, 0.0, []
    for passed_s, moved in said:
        before, before_s = done, elapsed_s
        elapsed_s, done = elapsed_s + passed_s, done + moved
        seen.append((done - before) / (elapsed_s - before_s))
        pace.hear(elapsed_s, done)
    rate = pace.estimate(elapsed_s, None).rate
    assert (
        rate is None
        if not seen or elapsed_s < SETTLED_S
        else min(seen) * (1 - 1e-9) <= (rate or 0) <= max(seen) * (1 + 1e-9)
    )


def test_a_change_of_pace_is_followed() -> None:
    """After as long at the new pace as before, the rate is nearer to the new one."""
    pace = Pace()
    for second in range(1, 21):
        pace.hear(second, min(second, 10) * 10 + max(0, second - 10))
    rate = pace.estimate(20, 200).rate
    assert rate is not None
    assert 1 < rate < 4


def test_before_anything_moves_past_runs_tell() -> None:
    """The median of the runs that took longer than this one has, less what has passed."""
    assert Pace().estimate(10, None, [1, 2, 20, 30, 40, 50, 60]) == Estimate(None, 30, 14, 46)


def test_too_few_past_runs_tell_nothing() -> None:
    """Below MIN_RUNS, or when it has outlasted them, past runs are not heard."""
    assert Pace().estimate(0, 10, [5.0] * (MIN_RUNS - 1)) == Estimate()
    assert Pace().estimate(6, 10, [5.0] * 50) == Estimate()


def test_past_runs_count_less_the_further_it_is() -> None:
    """At a tenth of the way the past has nine tenths of the say."""
    pace = Pace()
    pace.hear(10, 10)
    assert pace.estimate(10, 100, [1_010.0] * 5).eta_s == pytest.approx(0.1 * 90 + 0.9 * 1_000)


def test_what_is_no_progress_counts_nothing() -> None:
    """A clock that stands or goes back, and what is no number, leave the rate as it was."""
    pace = Pace()
    pace.hear(10, 10)
    before = pace.estimate(10, 100)
    for elapsed_s, done in [(10, 20), (9, 20), (math.nan, 20), (11, math.inf)]:
        pace.hear(elapsed_s, done)
        assert pace.estimate(10, 100) == before


def test_lower_numbers_are_other_work() -> None:
    """Progress that falls begins anew: the rate is that of what follows, and past runs tell of the whole."""
    pace = Pace()
    for elapsed_s, done in [(10, 100), (11, 0)]:
        pace.hear(elapsed_s, done)
    assert pace.estimate(11, 100) == Estimate()
    pace.hear(21, 20)
    said = pace.estimate(21, 100)
    assert (said.rate, said.eta_s) == (2, 40)
    assert pace.estimate(21, 100, [121.0] * 5) == Estimate(2, 100, 100, 100)


@pytest.mark.parametrize(
    ("estimate", "told"),
    [
        (Estimate(), {}),
        (Estimate(1234.5678), {"rate": 1230}),
        (Estimate(0.0123456), {"rate": 0.0123}),
        (Estimate(1e300), {"rate": 1e300}),
        (Estimate(2.0, 9.96, 3.14159, 61.6), {"rate": 2, "eta_seconds": 10, "eta_low": 3.1, "eta_high": 62}),
        (Estimate(None, 0.0, 0.0, 0.0), {"eta_seconds": 0, "eta_low": 0, "eta_high": 0}),
    ],
)
def test_what_is_told_has_no_more_digits_than_are_known(estimate: Estimate, told: dict[str, object]) -> None:
    """Three digits of a rate, tenths of a second below ten, whole seconds above; nothing where unknown."""
    assert estimate.told() == told


def test_a_silence_lowers_the_low_end_only() -> None:
    """What was not reported may be done: the end may be nearer than what was heard says."""
    pace = Pace()
    for done in range(1, 11):
        pace.hear(done, done)
    heard, later = pace.estimate(10, 100), pace.estimate(20, 100)
    assert heard.eta_low_s is not None
    assert later.eta_low_s == pytest.approx(heard.eta_low_s - 10)
    assert (later.eta_s, later.eta_high_s) == (heard.eta_s, heard.eta_high_s)


def test_numbers_beyond_reason_are_no_estimate() -> None:
    """A rate or a time that no float holds is not known, rather than infinite."""
    slow, fast = Pace(), Pace()
    slow.hear(1, 1e-305)
    fast.hear(1e-300, 1e300)
    assert slow.estimate(1, 1e300) == Estimate(1e-305)
    assert fast.estimate(1, 10) == Estimate()


def test_what_is_done_takes_no_time() -> None:
    """At the total nothing is left, whatever past runs took."""
    pace = Pace()
    pace.hear(10, 10)
    assert pace.estimate(10, 10, [1_000.0] * 9)[1:] == (0, 0, 0)
