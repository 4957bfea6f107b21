"""What authors pass to ``report_*``, made fit for an event.

Takes anything, gives values that encode to valid, bounded JSON, and a list of what had to
be changed. Pure; whether a change is logged or raised is the operation's choice.
"""

import math
import re
from typing import Any, Final, TypeGuard

import msgspec

from tidings.errors import InvalidValue
from tidings.json_line import encode_line

MAX_COUNT: Final = 2**53
"""Beyond this JavaScript has no exact integers (ECMA-262, Number.MAX_SAFE_INTEGER + 1)."""
MAX_MESSAGE_CHARS: Final = 1_000
"""Guessed: four lines of a wide page; nobody reads more beside a moving bar."""
MAX_STATUS_CHARS: Final = 100
MAX_JSON_BYTES: Final = 32_768
"""The most that TIDINGS_PAYLOAD_BYTES can be: half of what may wait for one slow reader (DESIGN.md, 5.6), so
that any event can be delivered."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_A_CODE = re.compile(r"[^A-Za-z0-9._~-]+")


class Tidy:
    """Cleans the values of one report; what it had to change stands in ``problems``.

    *payload_bytes*: the most that details or a result may have, as JSON.
    """

    __slots__ = ("_payload_bytes", "problems")

    def __init__(self, payload_bytes: int = MAX_JSON_BYTES) -> None:
        self.problems: list[InvalidValue] = []
        self._payload_bytes = payload_bytes

    def count(self, field: str, value: object) -> int | float:
        """Return a finite number from 0 to 2^53: what is below, above or no number becomes a bound."""
        number = _number(value)
        if number is None or number < 0:
            self._note(field, "a number of at least 0", value)
            return 0
        if number > MAX_COUNT:
            self._note(field, f"a number up to {MAX_COUNT}", value)
            return MAX_COUNT
        return number

    def total(self, value: object) -> int | float | None:
        """Return a finite number from 0 to 2^53, or None (unknown) for what is not one."""
        if value is None:
            return None
        number = _number(value)
        if number is None or not 0 <= number <= MAX_COUNT:
            self._note("total", f"None or a number from 0 to {MAX_COUNT}", value)
            return None
        return number

    def text(self, field: str, value: object, limit: int = MAX_MESSAGE_CHARS) -> str:
        """Return a string of at most *limit* characters that UTF-8 can carry."""
        if not isinstance(value, str):
            self._note(field, "a string", value)
        value = _spell(value)
        if _LONE_SURROGATE.search(value):
            self._note(field, "text without lone surrogates", value)
            value = _LONE_SURROGATE.sub("\ufffd", value)
        if len(value) > limit:
            self._note(field, f"at most {limit} characters", value)
            value = value[: limit - 1] + "…"
        return value

    def code(self, value: object) -> str:
        """Return a machine-readable code: identifier characters only, never empty."""
        text = self.text("code", value, 128)
        clean = _NOT_IN_A_CODE.sub("_", text).strip("_")[:128]
        if not clean or clean != text:
            self._note("code", "1 to 128 of the characters A-Z a-z 0-9 . _ ~ -", value)
        return clean or "unknown"

    def json(self, field: str, value: object) -> Any:
        """Return *value* as plain JSON types, or a note of what it was if it cannot be had or is too big."""
        lost: list[str] = []
        try:
            plain = _plain(value, lost)
            size_bytes = len(encode_line(plain))
        except Exception as error:  # noqa: BLE001 - what is not JSON; an author's own class may raise anything
            self._note(field, f"JSON ({error})", type(value).__name__)
            return {"omitted": f"a {type(value).__name__} that is not JSON"}
        if size_bytes > self._payload_bytes:
            self._note(field, f"at most {self._payload_bytes} bytes of JSON", f"{size_bytes} bytes")
            return {"omitted": f"{size_bytes} bytes of JSON, more than the {self._payload_bytes} allowed"}
        if lost:
            self._note(field, f"JSON without {lost[0]}", type(value).__name__)
        return plain

    def _note(self, field: str, allowed: str, got: object) -> None:
        self.problems.append(InvalidValue(field, allowed, got))


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether *value* is text of some length that UTF-8 can carry."""
    if not isinstance(value, str) or len(value) > MAX_MESSAGE_CHARS:
        return False
    return _LONE_SURROGATE.search(value) is None


def percentage(current: float, total: float | None) -> int | float | None:
    """Say how much of *total* is done: 0 to 100, two decimals, rounded down; None if unknown.

    Rounded down so that 100 is shown only when all is done.
    """
    if not total:
        return None
    percent = 100 if current >= total else min(math.floor(current * 10_000 / total) / 100, 99.99)
    return int(percent) if percent == int(percent) else percent


def _number(value: object) -> int | float | None:
    """Read a finite number out of *value* (numpy's and Decimal's included), or None."""
    if isinstance(value, int):
        return int(value)
    try:
        number = float(value)  # type: ignore[arg-type]  # deliberate: whatever has __float__
    except Exception:  # noqa: BLE001 - an author's own __float__ may raise anything
        return None
    return None if isinstance(value, str) or not math.isfinite(number) else number


def _spell(value: object) -> str:
    """Return *value* as a plain str: of a subclass (an enum's too) the text that it is."""
    if isinstance(value, str):
        return str.__str__(value)
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - an author's own __str__, or an int too long to print
        return f"a {type(value).__name__}"


def _plain(value: Any, lost: list[str]) -> Any:  # noqa: PLR0911 - one for each JSON type
    """Make JSON types of *value*; name in *lost* what JSON or UTF-8 cannot carry.

    Raises: TypeError for what has no JSON form, RecursionError for what holds itself.
    """
    match value:
        case None | bool():
            return value
        case str():
            text = _spell(value)
            clean = _LONE_SURROGATE.sub("\ufffd", text)
            if clean != text:
                lost.append("lone surrogates")
            return clean
        case int():
            return int(value)
        case float():
            if not math.isfinite(value):
                lost.append("NaN and Infinity")
                return None
            return float(value)
        case dict():
            return {_plain(_key(key), lost): _plain(item, lost) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, lost) for item in value]
        case _:  # dates, decimals, UUIDs, dataclasses, structs: into one of the above, or a TypeError
            return _plain(msgspec.to_builtins(value, str_keys=True), lost)


def _key(key: object) -> str:
    return key if isinstance(key, str) else encode_line(_plain(key, [])).decode().strip('"')
