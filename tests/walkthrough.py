"""What a document has its reader type: its shell blocks, with the machines that each is for.

A block's first line is a comment that names them: ``# on 10.0.0.21 and 10.0.0.22``, ``# from outside``,
``# on each of the five``, or ``# on 10.0.0.11, then on 10.0.0.12`` for one after the other.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

OUTSIDE: Final = "outside"
_BLOCK: Final = re.compile(r"^```sh\n# ((?:on|from) [^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ADDRESS: Final = re.compile(r"\b\d+\.\d+\.\d+\.\d+\b")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines to type, and the addresses of the machines to type them on, or `OUTSIDE`."""

    machines: tuple[str, ...]
    lines: str
    one_by_one: bool = False


def blocks(text: str, machines: tuple[str, ...]) -> Iterator[Block]:
    """Give the blocks of *text* in their order; "each" stands for all the *machines*.

    Raises: ValueError for a block that names none.
    """
    for where, lines in _BLOCK.findall(text):
        if where == f"from {OUTSIDE}":
            yield Block((OUTSIDE,), lines)
            continue
        named = tuple(_ADDRESS.findall(where)) or (machines if "each" in where else ())
        if not named or not set(named) <= {*machines}:
            raise ValueError(f"no machine is known by {where!r}")
        yield Block(named, lines, one_by_one="then on" in where)


def section(text: str, heading: str) -> str:
    """Give what stands under *heading*, up to the next one of its level. Raises: ValueError."""
    level = heading.split(" ", maxsplit=1)[0]
    begin = text.index(f"{heading}\n")
    end = text.find(f"\n{level} ", begin)
    return text[begin : end if end > 0 else len(text)]
