"""How fast an operation goes, and when it will be done.

Beside the first stage of the flow: takes what is done after how many seconds, and how long past
runs of the same task took, gives ``rate``, ``etaSeconds``, ``etaLow`` and ``etaHigh``, or less
where less is known. Pure: the caller's monotonic clock is in the arguments. An interval, not a
promise: work that changes its pace can end outside of it.
"""

import math
from collections.abc import Sequence
from statistics import quantiles
from typing import Final, NamedTuple

HALF_LIFE: Final = 0.25
"""Half of the rate comes from the latest quarter of the time; guessed: follows a change, not a hiccup."""
MIN_RUNS: Final = 5
"""Past runs below this many say nothing of how much runs differ; guessed."""
_WIDEST: Final = 4.0


class Estimate(NamedTuple):
    """Units a second, and seconds to the end with what they are likely to lie between; None: not known."""

    rate: float | None = None
    eta_s: float | None = None
    eta_low_s: float | None = None
    eta_high_s: float | None = None


class Pace:
    """The live rate of one attempt: constant memory, one call per report, for one thread at a time."""

    __slots__ = ("_changes", "_done", "_elapsed_s", "_rate", "_spread")

    def __init__(self) -> None:
        self._elapsed_s = self._done = self._spread = 0.0
        self._rate: float | None = None
        self._changes = 0

    def hear(self, elapsed_s: float, done: float) -> None:
        """Take that *done* units are done *elapsed_s* after the beginning; what goes back counts nothing."""
        passed_s, moved = elapsed_s - self._elapsed_s, done - self._done
        if not (math.isfinite(elapsed_s) and math.isfinite(done)) or passed_s <= 0 or moved < 0:
            return
        latest = moved / passed_s
        if not math.isfinite(latest):
            return
        if self._rate is None:
            self._rate = latest
        else:
            share = 1 - 0.5 ** (passed_s / (HALF_LIFE * elapsed_s))
            self._spread += share * (abs(latest - self._rate) - self._spread)
            self._rate += share * (latest - self._rate)
        self._elapsed_s, self._done = elapsed_s, done
        self._changes += moved > 0

    def estimate(self, elapsed_s: float, total: float | None, past_s: Sequence[float] = ()) -> Estimate:
        """Say when it will be done, *elapsed_s* after its beginning.

        *past_s*: how long past runs that went well took, in seconds. They count where the live rate
        does not yet, and the less the further it is. Without a rate, a total or enough of them: None.
        """
        past = _past(past_s, elapsed_s)
        if not self._rate or total is None or not math.isfinite(total) or total <= 0:
            return Estimate(self._rate, *past) if past else Estimate(self._rate)
        left = max(0.0, total - self._done)
        waited_s = max(0.0, elapsed_s - self._elapsed_s)
        eta_s = left / self._rate
        if not math.isfinite(eta_s * _WIDEST):
            return Estimate(self._rate)
        factor = min(_WIDEST, 1 + self._spread / self._rate + 1 / self._changes)
        # Silence may be work that was not reported, or none: it narrows neither end.
        live = (eta_s, max(0.0, eta_s / factor - waited_s), eta_s * factor)
        if not past:
            return Estimate(self._rate, *live)
        share = min(1.0, self._done / total)
        low, high = (
            share * ours + (1 - share) * theirs for ours, theirs in zip(live[1:], past[1:], strict=True)
        )
        return Estimate(self._rate, share * eta_s + (1 - share) * past[0], low, high)


def _past(past_s: Sequence[float], elapsed_s: float) -> tuple[float, float, float] | None:
    """Give what is left by past runs, of those that took longer than this one has: median, and 10 to 90 %."""
    longer = [run_s for run_s in past_s if math.isfinite(run_s) and run_s > elapsed_s]
    if len(longer) < MIN_RUNS:
        return None
    deciles = quantiles(longer, n=10, method="inclusive")
    low, middle, high = (decile - elapsed_s for decile in (deciles[0], deciles[4], deciles[8]))
    return middle, low, high
