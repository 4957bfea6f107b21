"""The greenlet of a web process that watches the reporters' beats, and says who was lost.

Beside the feed: takes looks at the leases from the log, gives appends that end or hand on what a
silent reporter was running. Every web process does so; the append lets the first one speak
(compare-and-set), so nobody is elected. Also moves the clock of deadlines on, by the same rule.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

import gevent

from tidings.errors import LogUnavailable
from tidings.log import Log, Run, Watch
from tidings.lost import WORKER_LOST, ending, lost_attempt
from tidings.record import DUE, Record, lost
from tidings.writer import Writer
from webapp.vigil import Vigil

LOOKS_PER_LEASE: Final = 10
"""A look every second of a lease of 10: a worker's death is said 7 to 12 s after it (LOG.md (b))."""
BATCH_RUNS: Final = 25
"""Lost runs per append: up to 50 events, some 0.7 ms of Redis (LOG.md (c))."""
BREATH_S: Final = 0.01
"""Between two looks while there is more to say: 10,000 lost operations are some seconds' work (measured)."""
CLOCK: Final = ""
"""The clock of deadlines among the leases, where no reporter has that name: it too is due when unchanged."""

logger = logging.getLogger(__name__)


def monotonic_s() -> float:
    """Give the time on a clock that nobody sets."""
    return time.monotonic()


class Leases:
    """One per process, started once (`start`), running until the process ends.

    ``running``: how many operations somebody works on, as of the last look.
    """

    def __init__(self, log: Log, lease_s: float, clock: Callable[[], float] = monotonic_s) -> None:
        self._log = log
        self._clock = clock
        self._writer = Writer(log)
        self._lease_s = lease_s
        self._look_s = lease_s / LOOKS_PER_LEASE
        self._vigil = Vigil(lease_s, self._look_s)
        self._clock_ms: int | None = None
        self.running = 0
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Start watching, unless it was started before."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            is_done = True
            try:
                is_done = self.look()
            except LogUnavailable as error:
                logger.debug("no look at the leases: %s", error)  # the feed says that Redis is away
            except Exception:
                # The top of a supervised loop: whatever it is, the lost must be told some time.
                logger.exception("watching the leases failed and goes on")
            gevent.sleep(self._look_s if is_done else BREATH_S)

    def look(self) -> bool:
        """Look at every lease once and say what follows; tell whether that was all that is to be said.

        Waits for Redis. Raises: LogUnavailable.
        """
        asked_at = self._clock()
        watch = self._log.watch(self._clock_ms, round(self._lease_s * 1000))
        self.running = watch.running
        silent = set(self._silent(watch, asked_at))
        self._clock_ms = watch.watched_ms if CLOCK in silent else None
        # No longer than a look may take, or what else is watched loses its count; the rest is silent still.
        enough_at = self._clock() + self._look_s
        self._say_overdue(watch.overdue)
        for reporter in random.sample(sorted(silent - {CLOCK}), len(silent - {CLOCK})):
            self._say_lost(reporter, watch.leases[reporter], enough_at)
        return self._clock() < enough_at

    def _silent(self, watch: Watch, asked_at: float) -> Iterable[str]:
        marks = watch.leases | {CLOCK: str(watch.watched_ms)}
        return self._vigil.silent(watch.token, marks, asked_at, self._clock())

    def _say_overdue(self, overdue: Iterable[Run]) -> None:
        for run in overdue:
            message = "The worker was lost, and no other attempt began in time."
            self._writer.append_all(
                ending(run.descriptor, WORKER_LOST, message, condition=DUE, attempt=run.attempt)
            )

    def _say_lost(self, reporter: str, seen: str, enough_at: float) -> None:
        """End or hand on all that *reporter* runs, as long as nothing is heard from it."""
        while self._clock() < enough_at:
            looked_at, runs = self._log.runs(reporter)
            if not looked_at:
                return
            for start in range(0, len(runs), BATCH_RUNS):
                if not self._claim(reporter, seen, runs[start : start + BATCH_RUNS]):
                    return

    def _claim(self, reporter: str, seen: str, runs: list[Run]) -> bool:
        """Say that *runs* were lost; tell whether others may be: not if the reporter lives."""
        records = [record for run in runs for record in self._lost(run, seen)]
        codes = [outcome.code for outcome in self._writer.append_all(records)]
        if "stored" in codes:
            lost_ids = [run.descriptor.id for run in runs]
            logger.warning(
                "lost: nothing was heard of reporter %s for %g s, nor of its operations %s",
                reporter, self._lease_s, " ".join(lost_ids), extra={"operation_ids": lost_ids},
            )  # fmt: skip
        return "error" not in codes and ("stored" in codes or "over" in codes)

    def _lost(self, run: Run, seen: str) -> list[Record]:
        message = f"The worker was lost: nothing was heard from it for {self._lease_s:g} s."
        return lost_attempt(
            run.descriptor, message, condition=lost(seen), run=run.run, attempt=run.attempt,
            redelivery_s=run.redelivery_s,
        )  # fmt: skip
