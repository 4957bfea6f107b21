"""Values from outside, read into typed ones, or refused by the name of the field.

Takes plain JSON values, gives structs. Pure.
"""

import re
from typing import Any, Final, TypeVar

import msgspec

from tidings.errors import InvalidValue

T = TypeVar("T", bound=msgspec.Struct)

_BOUNDS: Final = (("minimum", "from"), ("maximum", "to"))
_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.+)`")


def check(value: object, struct: type[T], root: str = "") -> T:
    """Convert *value* to a *struct*.

    Raises: InvalidValue whose field is the path below *root*, and which says what is allowed there.
    """
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError as error:
        problem, _, at = str(error).partition(" - at `$")
        raise _refusal(problem, at.rstrip("`"), root, struct) from error


def _refusal(problem: str, at: str, root: str, struct: type[msgspec.Struct]) -> InvalidValue:
    path = (root + at).lstrip(".")
    missing, unknown = _MISSING.fullmatch(problem), _UNKNOWN.fullmatch(problem)
    parts = re.findall(r"[.\[]", at)
    is_own = not parts if missing or unknown else parts == ["."]
    properties = _properties(struct) if is_own else {}  # further inside, msgspec's own words must do
    if missing:
        rule = _rule(properties.get(missing[1], {}))
        return InvalidValue(_join(path, missing[1]), f"given: {rule}".rstrip(": "))
    if unknown:
        known = f": there is {', '.join(properties)}" if properties else ""
        return InvalidValue(_join(path, unknown[1]), f"left out{known}")
    rule = _rule(properties.get(at[1:], {})) or ("right" if parts else "an object")
    return InvalidValue(path or "body", f"{rule} ({problem[0].lower()}{problem[1:]})")


def _properties(struct: type[msgspec.Struct]) -> dict[str, Any]:
    schema = msgspec.json.schema(struct)
    found: dict[str, Any] = schema["$defs"][struct.__name__]["properties"]
    return found


def _rule(schema: dict[str, Any]) -> str:
    """Say in words what a property's JSON Schema allows."""
    if "enum" in schema:
        return "one of " + ", ".join(str(choice) for choice in schema["enum"])
    if "$ref" in schema:
        return "an object"
    if "anyOf" in schema:
        return " or ".join(_rule(choice) for choice in schema["anyOf"])
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS if key in schema]
    return " ".join([str(schema.get("type", "")), *bounds])


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
