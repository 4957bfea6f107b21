"""What the long runs share: their options, a table of what was found, and a seed that is always said."""

import argparse
import random
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Figure = Callable[[str, object], None]
"""Says what was measured and what was found (the fixture ``figure``)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a run's table: what was looked at, what was found, whether it is as promised."""

    what: str
    found: str
    holds: bool


def stop_on_term() -> None:
    """Have SIGTERM, as make passes it on, end the run as Ctrl-C does: with all that it started."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def options(about: str, *, minutes: float, streams: int) -> argparse.Namespace:
    """Read the command line: how long, how many streams, which seed."""
    stop_on_term()
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--streams", type=int, default=streams)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    chosen = parser.parse_args()
    say(f"{about}: {chosen.minutes:g} min, {chosen.streams} streams, --seed {chosen.seed}")
    return chosen


def say(line: str) -> None:
    """Tell whoever watches."""
    print(line, flush=True)  # noqa: T201 - a command line


def conclude(findings: Sequence[Finding]) -> None:
    """Print the table, and end with status 1 unless all of it holds."""
    say(table((finding.what, finding.found, "ok" if finding.holds else "BROKEN") for finding in findings))
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Lay *rows* out in columns."""
    kept = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in kept) for column in range(len(kept[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in kept
    )
