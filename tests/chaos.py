"""`make chaos`: every fault test in its long form with several seeds, the model test, and the mixed run.

Runs each as a command of its own, keeps its output, prints one table at the end, and says by its exit status
whether all of it held. What failed can be had again alone: the table names the command and its seed.
"""

import argparse
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.long_run import say, stop_on_term, table

ROOT: Final = Path(__file__).parent.parent
SEEDS: Final = 3
SUITES: Final = (
    "tests/faults",
    "tests/model",
    "tests/corpora",
    "tests/browser/test_client.py",
    "tests/integration/test_workflow_counts.py",
    "tests/e2e/test_any_requests.py",
    "tests/e2e/test_deploy.py",
    "tests/e2e/test_killed_canvases.py",
    "tests/e2e/test_metrics.py",
    "tests/e2e/test_proxies.py",
)
"""What takes ``--chaos`` and ``--seed``."""
MIXED_MIN: Final = 30.0


@dataclass(frozen=True, slots=True)
class Part:
    """One command of the run."""

    name: str
    seed: int
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went: its last words, how long it took, whether it held."""

    part: Part
    said: str
    took_s: float
    holds: bool


def parts(first_seed: int, seeds: int, mixed_min: float) -> Iterator[Part]:
    """Give what is to be run: the short ones first, so that a fault shows soon."""
    for seed in range(first_seed, first_seed + seeds):
        for suite in SUITES:
            pytest = (sys.executable, "-m", "pytest", "--chaos", "--seed", str(seed), "--timeout", "1800")
            yield Part(suite, seed, (*pytest, "-q", suite))
    mixed = (sys.executable, "-m", "tests.mixed", "--minutes", f"{mixed_min:g}", "--seed", str(first_seed))
    yield Part("mixed run", first_seed, mixed)


def run(part: Part) -> Outcome:
    """Run *part* to its end, passing on what it says."""
    say(f"\n== {part.name}, seed {part.seed}: {' '.join(part.command[1:])}")
    began = time.monotonic()
    lines = []
    with subprocess.Popen(part.command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                say(lines[-1])
        except BaseException:
            process.send_signal(signal.SIGINT)  # pytest ends what it has started on this one only
            raise
    return Outcome(part, _last_words(lines), time.monotonic() - began, process.returncode == 0)


def _last_words(lines: Sequence[str]) -> str:
    """Give the line that counts: pytest's summary, or what the mixed run delivered."""
    for line in reversed(lines):
        if re.search(r"\d (passed|failed|error)", line):
            return line.strip("= ")
        if line.startswith("deliveries"):
            return " ".join(line.split())
    return lines[-1] if lines else "said nothing"


def main() -> None:
    """Run all of it."""
    stop_on_term()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, from --seed on, for the tests")
    parser.add_argument("--minutes", type=float, default=MIXED_MIN, help="of the mixed run")
    chosen = parser.parse_args()
    say(f"chaos: --seed {chosen.seed} --seeds {chosen.seeds} --minutes {chosen.minutes:g}")
    outcomes = [run(part) for part in parts(chosen.seed, chosen.seeds, chosen.minutes)]
    rows = [
        (
            one.part.name,
            str(one.part.seed),
            f"{one.took_s / 60:.1f} min",
            "ok" if one.holds else "BROKEN",
            one.said,
        )
        for one in outcomes
    ]
    say("\n" + table([("part", "seed", "took", "", ""), *rows]))
    sys.exit(0 if all(one.holds for one in outcomes) else 1)


if __name__ == "__main__":
    main()
