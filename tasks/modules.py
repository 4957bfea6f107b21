"""Python source files: finding the standard library's, and counting what one holds.

Reads files, otherwise pure; knows nothing of tasks or reporting.
"""

import ast
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Counts(NamedTuple):
    """What was counted in one file, or summed over several."""

    files: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Add up two counts."""
        return Counts(*(mine + its for mine, its in zip(self, other, strict=True)))


class UnreadableModule(Exception):
    """A file that is no Python source: it does not decode, or does not parse."""


def library_folder() -> Path:
    """Find the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def standard_library() -> tuple[Path, list[Path]]:
    """Find the running Python's standard library: its folder, and all its modules by name."""
    folder = library_folder()
    return folder, sorted(_sources_below(folder))


def count(path: Path) -> Counts:
    """Read and parse one file and count its lines, functions and classes.

    A file nested too deeply for the parser makes it raise MemoryError: that too is the file's.

    Raises: UnreadableModule with the reason.
    """
    try:
        with tokenize.open(path) as file:
            source = file.read()
        tree = ast.parse(source, str(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        raise UnreadableModule(f"{type(error).__name__}: {error}") from error
    nodes = Counter(type(node) for node in ast.walk(tree))
    return Counts(
        files=1,
        lines=source.count("\n") + (not source.endswith("\n") and source != ""),
        functions=nodes[ast.FunctionDef] + nodes[ast.AsyncFunctionDef],
        classes=nodes[ast.ClassDef],
    )


def _sources_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
