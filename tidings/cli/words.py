"""What is printed of operations and events, for people. Pure.

Takes the service's JSON, gives lines of text in which nothing can move the cursor of a terminal: messages
come from anywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def clean(text: object) -> str:
    """Give *text* in one line, without anything that a terminal would obey."""
    return "".join(_visible(character) for character in str(text))


def _visible(character: str) -> str:
    """Give it, or what stands for it: escapes, line ends of any alphabet and what turns text around go."""
    if character.isprintable():
        return character
    return " " if character.isspace() else "\ufffd"


def seconds(count: float) -> str:
    """Give a time in the two units that matter: ``7 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = round(count)
    if whole < 60:  # noqa: PLR2004 - of a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - of an hour
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"  # noqa: PLR2004


def count(text: str) -> int | float:
    """Read a count; 5 for 5.0, as it is shown. Raises: ValueError."""
    value = float(text)
    return int(value) if value.is_integer() else value


def number(value: float) -> str:
    """Give a count as short as it can be said."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def progress(data: Mapping[str, Any]) -> str:
    """Say how far: ``5/10 50 %, 7 s left: message``."""
    current, total, percentage = data.get("current", 0), data.get("total"), data.get("percentage")
    said = number(current) if total is None else f"{number(current)}/{number(total)}"
    if percentage is not None:
        said += f" {percentage:.0f} %"
    if data.get("etaSeconds") is not None:
        said += f", {seconds(data['etaSeconds'])} left"
    return f"{said}: {clean(data['message'])}" if data.get("message") else said


def event(event_type: str, data: Mapping[str, Any]) -> str:
    """Say an event in a few words."""
    match event_type:
        case "progress":
            return progress(data)
        case "status":
            return clean(data.get("status", ""))
        case "complete":
            took = data.get("durationSeconds")
            return "succeeded" if took is None else f"succeeded in {seconds(took)}"
        case _:
            return f"{clean(data.get('code', ''))}: {clean(data.get('message', ''))}"


def line(event_type: str, data: Mapping[str, Any]) -> str:
    """Give the one line of an event: when, whose, what."""
    whose = f"{data.get('operationId', '')} {data.get('operationType', '')}"
    return f"{clean(data.get('timestamp', ''))} {clean(whose)} {event_type} {event(event_type, data)}"


def state(operation: Mapping[str, Any]) -> str:
    """Say how an operation stands: its status, and its end or how far it is."""
    events: Mapping[str, Any] = operation.get("events", {})
    status = clean(operation["status"])
    if "error" in events and events["error"].get("terminal"):
        return f"{status}, {event('error', events['error'])}"
    if "complete" in events:
        return event("complete", events["complete"])
    return f"{status}, {progress(events['progress'])}" if "progress" in events else status


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Put *rows* under one another, the last column as wide as it comes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(row).rstrip() for row in padded]
