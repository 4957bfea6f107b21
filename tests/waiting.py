"""Tests: waits for a condition with a deadline, so that no test sleeps for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

POLL_S = 0.02
"""Pause between two looks: short beside the tenths of a second that starting a process takes."""

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found | None], *, timeout_s: float) -> Found:
    """Return the first true value of *condition*, asking again and again for up to *timeout_s* seconds.

    Raises: AssertionError, naming the condition and its last value, when the time is up.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            name = getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"{name} was still {found!r} after {timeout_s} s")
        time.sleep(POLL_S)
    return found
