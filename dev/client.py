"""The JavaScript client's types and size: writes the ones, checks both.

``python -m dev.client`` says whether ``clients/js/src/events.d.ts`` is what ``tidings.events`` has, and
whether the core is as small as is promised; with ``--write`` it makes the file first.
"""

import gzip
import re
import sys
from pathlib import Path
from typing import Any, Final

from tidings.events import json_schemas

SOURCE: Final = Path(__file__).resolve().parent.parent / "clients" / "js" / "src"
TYPES: Final = SOURCE / "events.d.ts"

CORE: Final = ("tidings.js", "wire.js", "parse.js", "subscription.js", "page.js")
"""What a page loads that shares no stream; where tabs can, ``tabs.js`` comes after the first state."""

MOST_BYTES: Final = 4_096
"""Promised: gzip of the core, without comments and indentation."""

HEAD: Final = "// Made by `python -m dev.client --write` from tidings/events.py: change that, not this.\n"
NAMES: Final = {name: name for name in ("string", "number", "boolean", "null")} | {"integer": "number"}


def type_of(schema: dict[str, Any]) -> str:
    """Name the TypeScript type of a JSON Schema such as our events have."""
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(each) for each in schema["anyOf"]))
    return NAMES[schema["type"]] if "type" in schema else "unknown"


def interface(event_type: str, schema: dict[str, Any]) -> str:
    """Write the interface of one type of event."""
    lines = [
        f"  readonly {name}{'' if name in schema['required'] else '?'}: {type_of(field)};"
        for name, field in schema["properties"].items()
    ]
    about = schema["description"].split("\n")[0].replace("``", "`")
    note = "  /** None in the current state with which a stream begins. */"
    body = "\n".join([f'  readonly type: "{event_type}";', note, "  readonly id?: string;", *lines])
    return f"\n/** {about} */\nexport interface {schema['title']} {{\n{body}\n}}\n"


def types() -> str:
    """Write the types of all events."""
    schemas = json_schemas()
    titles = " | ".join(schema["title"] for schema in schemas.values())
    interfaces = "".join(interface(*item) for item in schemas.items())
    return f"{HEAD}{interfaces}\nexport type TaskEvent = {titles};\n"


def core_bytes() -> int:
    """Measure the core as promised."""
    text = "\n".join((SOURCE / name).read_text(encoding="utf-8") for name in CORE)
    bare = re.sub(r"^\s*(//.*\n)?", "", re.sub(r" // .*$", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    return len(gzip.compress(bare.encode(), mtime=0))


def main(arguments: list[str]) -> int:
    """Write if asked to; say what is wrong; return the exit status."""
    if "--write" in arguments:
        TYPES.write_text(types(), encoding="utf-8")
    problems = []
    if TYPES.read_text(encoding="utf-8") != types():
        problems.append(f"{TYPES.name} is not what tidings.events has: python -m dev.client --write")
    if core_bytes() > MOST_BYTES:
        problems.append(f"The client's core is {core_bytes()} bytes in gzip, promised are {MOST_BYTES}")
    print("\n".join(problems) or f"client: {core_bytes()} bytes in gzip")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
