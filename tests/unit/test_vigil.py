"""Who is silent for a lease: only whom this process has watched, all that time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.vigil import Vigil

LEASE_S, LOOK_S = 10.0, 1.0


class Watcher:
    """A vigil that looks once a second of the test's own clock, and is answered at once."""

    def __init__(self) -> None:
        self.vigil = Vigil(LEASE_S, LOOK_S)
        self.now = 1_000.0
        self.life = "era:server"

    def look(self, after_s: float = LOOK_S, /, **leases: str) -> list[str]:
        """Look *after_s* seconds later, at these *leases*."""
        self.now += after_s
        return self.vigil.silent(self.life, leases, self.now, self.now)

    def look_on(self, seconds: int, **leases: str) -> list[str]:
        """Look once a second for so long; give who was ever found silent."""
        return [name for _ in range(seconds) for name in self.look(LOOK_S, **leases)]


@pytest.fixture
def watcher() -> Watcher:
    """A vigil that has seen nothing."""
    return Watcher()


def test_who_does_not_change_for_a_lease_is_silent(watcher: Watcher) -> None:
    """It is found ten seconds after it was first seen so, and not before."""
    assert watcher.look_on(10, a="1:1") == []
    assert watcher.look(a="1:1") == ["a"]
    assert watcher.look(a="1:1") == ["a"]


@pytest.mark.parametrize("changed", ["2:1", "1:2", "0:1"])
def test_whatever_changes_is_a_sign_of_life(watcher: Watcher, changed: str) -> None:
    """An event, a beat, and even a count that went back start the lease anew."""
    watcher.look_on(10, a="1:1")
    assert watcher.look_on(10, a=changed) == []
    assert watcher.look(a=changed) == ["a"]


def test_each_is_counted_apart(watcher: Watcher) -> None:
    """One that beats does not keep another alive."""
    said = [watcher.look(a="1:1", b=f"1:{n}") for n in range(11)]
    assert said == [[]] * 10 + [["a"]]


def test_who_comes_back_is_counted_anew(watcher: Watcher) -> None:
    """A reporter that had nothing to do for a while has a whole lease when it has."""
    watcher.look_on(8, a="1:1")
    watcher.look()
    assert watcher.look_on(10, a="1:1") == []


@pytest.mark.parametrize("gap_s", [3.1, 10.0, 3_600.0])
def test_a_break_in_the_watch_starts_every_count_anew(watcher: Watcher, gap_s: float) -> None:
    """What happened while nobody looked (an outage, a pause of this process) is nobody's silence."""
    watcher.look_on(10, a="1:1")
    assert watcher.look(gap_s, a="1:1") == []
    assert watcher.look_on(9, a="1:1") == []
    assert watcher.look(a="1:1") == ["a"]


def test_two_missed_looks_are_no_break(watcher: Watcher) -> None:
    """A hiccup does not make a death wait for another lease."""
    watcher.look_on(9, a="1:1")
    assert watcher.look(3.0, a="1:1") == ["a"]


def test_another_life_of_the_log_starts_every_count_anew(watcher: Watcher) -> None:
    """A copy that took over may not have heard what the one before it had."""
    watcher.look_on(10, a="1:1")
    watcher.life = "era:another"
    assert watcher.look_on(10, a="1:1") == []
    assert watcher.look(a="1:1") == ["a"]


def test_an_answer_that_took_long_proves_only_what_it_was_asked_for(watcher: Watcher) -> None:
    """The reporter may have beaten while the answer was on its way: time counts to the question."""
    watcher.look_on(9, a="1:1")
    now = watcher.now
    assert watcher.vigil.silent(watcher.life, {"a": "1:1"}, now + 0.5, now + 2.5) == []
    assert watcher.vigil.silent(watcher.life, {"a": "1:1"}, now + 2.5, now + 2.6) == ["a"]


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 6), st.floats(0, 6), st.sampled_from(["1:1", "1:2"]), st.sampled_from("xy")
        ),
        max_size=60,
    )
)
def test_nobody_is_silent_who_was_not_watched_for_a_lease(
    looks: list[tuple[float, float, str, str]],
) -> None:
    """Whatever the rhythm: the looks before a verdict are close, alike, of one life, and span a lease."""
    vigil, now = Vigil(LEASE_S, LOOK_S), 0.0
    past: list[tuple[float, float, str, str]] = []
    for pause_s, delay_s, mark, token in looks:
        asked_at = now + pause_s
        now = asked_at + delay_s
        silent = vigil.silent(token, {"a": mark}, asked_at, now)
        past.append((asked_at, now, mark, token))
        if silent:
            run = [past[-1]]
            for before in reversed(past[:-1]):
                if before[2:] != run[-1][2:] or run[-1][1] - before[1] > 3 * LOOK_S:
                    break
                run.append(before)
            assert run[0][0] - run[-1][1] >= LEASE_S
