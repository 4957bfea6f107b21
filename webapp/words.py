"""What people read of an operation: amounts, times, and the line beneath its bar.

For a page's first paint; `static/words.js` says the same of what happens then, and a test holds the two
together. Pure.
"""

from collections.abc import Mapping
from typing import Any, Final

_SIZES: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_BYTES: Final = "upload"
"""The kind whose progress is in bytes."""
SHORT_ID_CHARS: Final = 12
MOST_OF_A_FAILURE: Final = 99
_FEW: Final = 10
"""Below this a number has one digit behind its point, if that is not 0."""


def amount(value: float, kind: str = "") -> str:
    """Say how much: ``1,790``, ``3.5``; of an upload ``25.0 MB``."""
    if kind == _BYTES:
        return _size(value)
    return _number(value)


def count(progress: Mapping[str, Any], kind: str) -> str:
    """Say how far: ``5 of 10``, or ``5`` where nobody knows of how many."""
    said = amount(progress["current"], kind)
    return said if progress["total"] is None else f"{said} of {amount(progress['total'], kind)}"


def far(events: Mapping[str, Any]) -> float | None:
    """Say how many percent of it are done, given the latest event of each type; None where nobody knows.

    What failed when all was done is not whole: an upload that came as another file than was announced.
    """
    if "complete" in events:
        return 100
    done: float | None = events.get("progress", {}).get("percentage")
    has_failed = events.get("error", {}).get("terminal", False)
    return min(done, MOST_OF_A_FAILURE) if done is not None and has_failed else done


def pace(progress: Mapping[str, Any], kind: str) -> str:
    """Say how fast, and how long it will take: ``12 a second · about 4 minutes left (3 to 6 minutes)``."""
    rate = progress.get("rate") or 0
    parts = (f"{amount(rate, kind)} a second" if rate else "", time_left(progress))
    return " · ".join(part for part in parts if part)


def briefly(progress: Mapping[str, Any], kind: str) -> str:
    """Say how long it will take, without the interval; or else how fast it goes, if that is known."""
    rest = {name: progress[name] for name in ("etaSeconds",) if name in progress}
    return time_left(rest) or pace({"rate": progress.get("rate")}, kind)


def time_left(progress: Mapping[str, Any]) -> str:
    """Say how long it will take; an interval that rounds to its middle is left out."""
    if not progress.get("etaSeconds"):
        return ""
    (low, low_unit), (middle, unit), (high, high_unit) = (
        _spoken(progress.get(name, progress["etaSeconds"])) for name in ("etaLow", "etaSeconds", "etaHigh")
    )
    said = f"about {_of(middle, unit)} left"
    if (low, low_unit) == (high, high_unit):
        return said
    start = f"{low}" if low_unit == high_unit else _of(low, low_unit)
    return f"{said} ({start} to {_of(high, high_unit)})"


def duration(seconds: float) -> str:
    """Say how long it took: ``0.4 s``, ``3 min 12 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = _half_up(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{_number(seconds)} s"
    sizes = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    place = next(place for place, (size, _) in enumerate(sizes) if whole >= size)
    (size, unit), (next_size, next_unit) = sizes[place : place + 2]
    rest = whole % size // next_size
    return f"{whole // size} {unit}" + (f" {rest} {next_unit}" if rest else "")


def age(seconds: float) -> str:
    """Say how long ago: ``just now``, ``4 minutes ago``."""
    if seconds < 5:  # noqa: PLR2004 - nobody counts these
        return "just now"
    return f"{_of(*_spoken(seconds))} ago"


def short(operation_id: str) -> str:
    """Say an id so that it fits a row: what one compares at a glance, not what one copies."""
    return operation_id if len(operation_id) <= SHORT_ID_CHARS else f"{operation_id[: SHORT_ID_CHARS - 1]}…"


def says(kind: str, events: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in a line how an operation stands: its end, or else how far it is and at what."""
    end = events.get("error", {})
    if end.get("terminal"):
        return f"{end['message']} ({end['code']})"
    if "complete" in events:
        took = events["complete"].get("durationSeconds")
        return "done" if took is None else f"done in {duration(took)}"
    progress = events.get("progress")
    if progress is None:
        return ""
    message = progress.get("message")
    return " · ".join(part for part in (count(progress, kind), message) if part)


def _number(value: float) -> str:
    tenths = _half_up(value * 10)
    if value < _FEW and tenths % 10:
        return f"{tenths / 10:.1f}"
    return f"{_half_up(value):,}"


def _size(value: float) -> str:
    for size, unit in _SIZES:
        if value >= size:
            return f"{_half_up(value / size * 10) / 10:.1f} {unit}"
    return f"{_half_up(value)} B"


def _spoken(seconds: float) -> tuple[int, str]:
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= 1.5 * size), _UNITS[-1])
    return max(1, _half_up(seconds / size)), unit


def _of(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _half_up(value: float) -> int:
    """Round as JavaScript does."""
    return int(value + 0.5)
