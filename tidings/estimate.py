"""How fast an operation goes, and when it will be done.

Beside the first stage of the flow: takes what is done after how many seconds, and how long past
runs of the same task took, gives ``rate``, ``etaSeconds``, ``etaLow`` and ``etaHigh``, or less
where less is known. Pure: the caller's monotonic clock is in the arguments. An interval, not a
promise: work that changes its pace can end outside of it.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

HALF_LIFE: Final = 0.25
"""Half of the rate comes from the latest quarter of the time; guessed: follows a change, not a hiccup."""
MIN_RUNS: Final = 5
"""Past runs below this many say nothing of how much runs differ; guessed."""
SETTLED_S: Final = 1.0
"""Before that a rate is noise (a first report may come after a millisecond), and nobody has begun to wait."""
_WIDEST: Final = 4.0
_BEYOND_S: Final = 1e9
"""Thirty years are no estimate."""
_EXACT_S: Final = 10
_RATE_DIGITS: Final = 3
_INTEGERS: Final = 2**53


class Estimate(NamedTuple):
    """Units a second, and seconds to the end with what they are likely to lie between; None: not known."""

    rate: float | None = None
    eta_s: float | None = None
    eta_low_s: float | None = None
    eta_high_s: float | None = None

    def told(self) -> dict[str, Any]:
        """Give what is known as fields of a Progress: three digits of a rate, whole seconds from ten on."""
        said: dict[str, Any] = {}
        if self.rate is not None:
            said["rate"] = _whole(float(f"{self.rate:.{_RATE_DIGITS}g}"))
        for field, seconds in zip(("eta_seconds", "eta_low", "eta_high"), self[1:], strict=True):
            if seconds is not None:
                said[field] = _whole(round(seconds, 1)) if seconds < _EXACT_S else round(seconds)
        return said


class Pace:
    """The live rate of one attempt: constant memory, one call per report, for one thread at a time."""

    __slots__ = ("_began_s", "_changes", "_done", "_elapsed_s", "_fell", "_rate", "_spread")

    def __init__(self) -> None:
        self._began_s = self._elapsed_s = self._done = self._spread = 0.0
        self._rate: float | None = None
        self._changes = 0
        self._fell = False

    def hear(self, elapsed_s: float, done: float) -> None:
        """Take that *done* units are done *elapsed_s* after the beginning. If they fall, it begins anew."""
        passed_s, moved = elapsed_s - self._elapsed_s, done - self._done
        if not (math.isfinite(elapsed_s) and math.isfinite(done)) or passed_s <= 0:
            return
        if moved < 0:
            self._begin_anew(elapsed_s, done)
            return
        latest = moved / passed_s
        if not math.isfinite(latest):
            return
        if self._rate is None:
            self._rate = latest
        else:
            share = 1 - 0.5 ** (passed_s / (HALF_LIFE * (elapsed_s - self._began_s)))
            self._spread += share * (abs(latest - self._rate) - self._spread)
            self._rate += share * (latest - self._rate)
        self._elapsed_s, self._done = elapsed_s, done
        self._changes += moved > 0

    def _begin_anew(self, elapsed_s: float, done: float) -> None:
        """Forget the rate: what counts from a lower number on is other work."""
        self._began_s = self._elapsed_s = elapsed_s
        self._done, self._rate, self._spread, self._changes, self._fell = done, None, 0.0, 0, True

    def estimate(self, elapsed_s: float, total: float | None, past_s: Sequence[float] = ()) -> Estimate:
        """Say when it will be done, *elapsed_s* after its beginning.

        *past_s*: how long past runs that went well took, in seconds, the shortest first. They count where the
        live rate does not yet, and the less the further it is; where done units have fallen, the live rate
        is that of a part, and they alone count. Without a rate, a total or enough of them: None.
        """
        past = _past(past_s, elapsed_s)
        rate = self._rate if elapsed_s - self._began_s >= SETTLED_S else None
        live = self._live(rate, elapsed_s, total)
        if not past or not live or total is None:
            return Estimate(rate, *(live or past or ()))
        share = 0.0 if self._fell else min(1.0, self._done / total)
        blend = (share * ours + (1 - share) * theirs for ours, theirs in zip(live, past, strict=True))
        return Estimate(rate, *blend)

    def _live(
        self, rate: float | None, elapsed_s: float, total: float | None
    ) -> tuple[float, float, float] | None:
        """Give what is left by the live rate: seconds, and the least and most of them."""
        if not rate or total is None or not math.isfinite(total) or total <= 0:
            return None
        eta_s = max(0.0, total - self._done) / rate
        if not eta_s * _WIDEST < _BEYOND_S:
            return None
        waited_s = max(0.0, elapsed_s - self._elapsed_s)
        factor = min(_WIDEST, 1 + self._spread / rate + 1 / self._changes)
        # Silence may be work that was not reported, or none: it narrows neither end.
        return eta_s, max(0.0, eta_s / factor - waited_s), eta_s * factor


def _past(past_s: Sequence[float], elapsed_s: float) -> tuple[float, float, float] | None:
    """Give what is left by past runs, of those that took longer than this one has: median, and 10 to 90 %."""
    outlasted = bisect_right(past_s, elapsed_s)
    if len(past_s) - outlasted < MIN_RUNS:
        return None
    low, middle, high = (quantile(past_s, share, outlasted) - elapsed_s for share in (0.1, 0.5, 0.9))
    return middle, low, high


def quantile(ascending: Sequence[float], share: float, first: int = 0) -> float:
    """Give the value below which *share* of the *ascending* ones lie, of those from the *first* on."""
    place = first + share * (len(ascending) - 1 - first)
    below = int(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (place - below) * (ascending[above] - ascending[below])


def _whole(number: float) -> float:
    return int(number) if number < _INTEGERS and number == int(number) else number
