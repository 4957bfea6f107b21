"""What the fault tests measured: one row per run, shown as a table at the end, and as JSON where asked."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass
class Figures:
    """What one fault did to one run; times in seconds, None where there is nothing to measure."""

    fault: str
    seed: str
    detected_s: float | None = None
    """From the fault until all web processes say that they cannot deliver; None if they never do."""
    live_again_s: float | None = None
    """From Redis' return until the last of the steady browsers had its next event."""
    silence_s: float | None = None
    """The longest that a steady browser heard of no event, from the fault on."""
    events: int = 0
    conflated: int = 0
    """Progress that browsers got a newer one instead of: what was held up came faster than they read."""
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    resets: int = 0
    connections: int = 0


def table(rows: list[Figures]) -> Iterator[str]:
    """Give the lines of a table of *rows*."""
    names = [field.name for field in fields(Figures)]
    cells = [names, *([_shown(getattr(row, name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        yield "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )


def write(rows: list[Figures], path: Path) -> None:
    """Write *rows* as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
