"""What past runs of a task took, as far as this process has read it.

Beside the first stage of the flow: the lease's thread reads it from the log, operations look it up to say
when they will be done, and whether their silence is normal. A look-up never waits: what was not read yet is
not known.
"""

import time
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol, Self

from tidings.estimate import MIN_RUNS, quantile

KEPT_FOR_S: Final = 60.0
"""So old may be what is known of a task before it is read again: of 50 runs one more changes little."""
MAX_TASKS: Final = 1_000
"""As many as the log keeps. Whoever runs more tasks forgets, and reads again."""
TASKS_PER_READ: Final = 100
"""Lists of 50 short strings: some 1 ms of Redis (guessed)."""
USUALLY: Final = 0.9
"""A silence is usual if nine of ten runs had none that was longer."""

Took = tuple[float, float]
"""How long a run took, and its longest silence, in seconds."""


class Past(NamedTuple):
    """The latest runs of a task that went well, the shortest first; and how long they are silent at times."""

    durations_s: tuple[float, ...] = ()
    usual_silence_s: float | None = None

    @classmethod
    def of(cls, runs: Iterable[Took]) -> Self:
        """Sum up *runs*; of a few it is not said what is usual."""
        known = list(runs)
        silences = sorted(silence_s for _, silence_s in known)
        usual_s = quantile(silences, USUALLY) if len(silences) >= MIN_RUNS else None
        return cls(tuple(sorted(took_s for took_s, _ in known)), usual_s)


UNKNOWN: Final = Past()


class Source(Protocol):
    """Where past runs are read."""

    def past(self, tasks: Iterable[str]) -> dict[str, list[Took]]:
        """Read the past runs of each of *tasks*. Waits for Redis. Raises: LogUnavailable."""


class Pasts:
    """One process' memory of past runs. Any thread may look up; one refreshes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Past]] = {}

    def of(self, task: str) -> Past:
        """Give what is known of *task*. Never blocks."""
        _, past = self._known.get(task, (0.0, UNKNOWN))
        return past

    def refresh(self, source: Source, tasks: Iterable[str]) -> None:
        """Read those of *tasks* that were not read lately, some at a time. Waits. Raises: LogUnavailable."""
        now = time.monotonic()
        wanted = [task for task in set(tasks) if self._is_old(task, now)][:TASKS_PER_READ]
        if not wanted:
            return
        found = source.past(wanted)
        if len(self._known) + len(found) > MAX_TASKS:
            self._known = {}
        for task, runs in found.items():
            self._known[task] = (now, Past.of(runs))

    def _is_old(self, task: str, now: float) -> bool:
        known = self._known.get(task)
        return known is None or now - known[0] >= KEPT_FOR_S
