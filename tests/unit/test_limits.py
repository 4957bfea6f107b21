"""The limits of one address and one subject, on a clock that the test turns."""

import pytest

from webapp import limits as module
from webapp.limits import BURST_S, Limits


class Clock:
    """A clock that stands still until it is turned."""

    now_s = 1_000.0

    def __call__(self) -> float:
        """Say what time it is."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """The test's own clock."""
    return Clock()


def served(limits: Limits, address: str, requests: int) -> int:
    """Have *address* ask so often at once; say how often it was served."""
    count = 0
    for _ in range(requests):
        if limits.are_kept_by(address):
            limits.count(address)
            count += 1
    return count


def test_an_address_has_so_many_streams() -> None:
    """One that has them all gets no other until one of them ends; others have theirs."""
    limits = Limits(streams_per_address=2)
    for _ in range(2):
        assert limits.have_room("a", "")
        limits.opened("a", "")
    assert not limits.have_room("a", "")
    assert not limits.admit("a")
    assert limits.have_room("b", "")
    limits.ended("a", "")
    assert limits.have_room("a", "")


def test_a_subject_has_so_many_streams_from_wherever() -> None:
    """Its addresses do not matter."""
    limits = Limits(streams_per_address=5, streams_per_subject=2)
    limits.opened("a", "ann")
    limits.opened("b", "ann")
    assert not limits.have_room("c", "ann")
    assert limits.have_room("a", "bob")
    limits.ended("b", "ann")
    assert limits.have_room("c", "ann")


def test_one_too_many_is_known_when_it_is_counted_already() -> None:
    """As many may be in their opening at once: each is looked at again when it goes live."""
    limits = Limits(streams_per_address=1)
    limits.opened("a", "")
    assert limits.have_room("a", "", beyond=1)
    limits.opened("a", "")
    assert not limits.have_room("a", "", beyond=1)


def test_nobody_and_no_limit_are_never_met() -> None:
    """A limit of 0 is none; whom nobody counts has none."""
    for limits, address in ((Limits(), "a"), (Limits(1, 1, 1), "")):
        for _ in range(1_000):
            limits.opened(address, "" if not address else "ann")
            limits.count(address)
        assert limits.admit(address)
        assert limits.have_room(address, "")


def test_what_has_ended_leaves_nothing() -> None:
    """Neither name is kept, nor can one be counted below nothing."""
    limits = Limits(1, 1, 1)
    limits.opened("a", "ann")
    for _ in range(2):
        limits.ended("a", "ann")
    limits.opened("a", "ann")
    assert not limits.have_room("a", "")
    limits.ended("a", "ann")
    assert limits._open == ({}, {})  # noqa: SLF001 - no other way to see


def test_an_address_may_come_in_a_burst_and_then_at_its_pace(clock: Clock) -> None:
    """Ten seconds' worth at once, then so many a second; a rest gives the burst back."""
    limits = Limits(requests_per_s=4, clock=clock)
    assert served(limits, "a", 200) == 4 * BURST_S
    assert served(limits, "b", 1) == 1
    clock.now_s += 2
    assert served(limits, "a", 200) == 8
    clock.now_s += 1_000
    assert served(limits, "a", 200) == 4 * BURST_S


def test_no_more_addresses_are_remembered_than_there_is_room_for(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have rested go first; who is hurrying is forgotten only if all are."""
    monkeypatch.setattr(module, "MOST_ADDRESSES", 10)
    limits = Limits(requests_per_s=1, clock=clock)
    served(limits, "hasty", 100)
    for n in range(8):
        limits.count(f"a{n}")
    clock.now_s += 2
    for n in range(8):
        limits.count(f"b{n}")
    assert not limits.are_kept_by("hasty") or served(limits, "hasty", 100) <= 2
    for n in range(100):
        limits.count(f"c{n}")
    assert len(limits._paid_until) <= 10  # noqa: SLF001 - no other way to see
