"""What an agent may do: search this repository, read a file of it, compute.

Each tool takes what a model wrote, so it trusts nothing: `ToolError` says what the model did wrong.
Reads files below its folder, otherwise pure.
"""

import ast
import operator
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

SUFFIXES: Final = frozenset({".py", ".md", ".lua", ".toml", ".js", ".css", ".html"})
_SKIPPED: Final = frozenset({"node_modules", "var", "build", "dist", "__pycache__"})
MAX_HITS: Final = 20
MAX_LINES: Final = 80
MAX_FILE_BYTES: Final = 1_000_000
MAX_DIGITS: Final = 1_000
MAX_EXPRESSION_CHARS: Final = 500

_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: Final[dict[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


class ToolError(Exception):
    """The tool cannot do that; the message is for the model."""


class Repository:
    """The files below *root* that an agent may see: source and documents, nothing hidden."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def search(self, text: str) -> list[str]:
        """Find *text* in the files, whatever its case: ``path:line: text``, at most 20."""
        if not text.strip():
            raise ToolError("There is nothing to search for.")
        hits: list[str] = []
        for path in sorted(self._files()):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            shown = path.relative_to(self._root)
            hits += [
                f"{shown}:{number}: {line.strip()[:200]}"
                for number, line in enumerate(lines, start=1)
                if text.lower() in line.lower()
            ]
            if len(hits) >= MAX_HITS:
                break
        return hits[:MAX_HITS]

    def read(self, path: str, first_line: int = 1) -> str:
        """Give up to 80 lines of a file. Raises: ToolError."""
        try:
            whole = (self._root / path).resolve()
            is_for_agents = self._may_be_seen(whole)
        except (OSError, ValueError, RuntimeError) as error:
            raise ToolError(f"{path[:200]} is no path.") from error
        if not is_for_agents:
            raise ToolError(f"{path[:200]} is not among the files that can be read.")
        lines = whole.read_text(encoding="utf-8", errors="replace").splitlines()
        start = max(first_line, 1) - 1
        return "\n".join(line[:300] for line in lines[start : start + MAX_LINES])

    def _files(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self._root):
            folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
            yield from (path for name in names if self._may_be_seen(path := Path(folder) / name))

    def _may_be_seen(self, path: Path) -> bool:
        if not path.is_relative_to(self._root) or path.is_symlink() or not path.is_file():
            return False
        parts = path.relative_to(self._root).parts
        hidden = any(part.startswith(".") or part in _SKIPPED for part in parts)
        return not hidden and path.suffix in SUFFIXES and path.stat().st_size <= MAX_FILE_BYTES


def compute(expression: str) -> str:
    """Work out an arithmetic *expression* of numbers. Raises: ToolError."""
    try:
        if len(expression) > MAX_EXPRESSION_CHARS:
            raise ToolError(f"The expression has more than {MAX_EXPRESSION_CHARS} characters.")
        return str(_value(ast.parse(expression.strip(), mode="eval").body))
    except (SyntaxError, ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError(f"{expression[:200]!r}: {error}") from error


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _sized(_UNARY[type(op)](_value(operand)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            one, two = _value(left), _value(right)
            if isinstance(op, ast.Pow) and abs(two) * max(len(str(one)), 1) > MAX_DIGITS:
                raise ToolError("The result is too large.")
            return _sized(_BINARY[type(op)](one, two))
        case _:
            raise ToolError("Only numbers and + - * / // % ** ( ) can be computed.")


def _sized(number: Any) -> float:
    if isinstance(number, complex) or (isinstance(number, int) and number.bit_length() > MAX_DIGITS * 4):
        raise ToolError("The result is too large, or no real number.")
    return number  # type: ignore[no-any-return]  # an int or a float: the operators know no other
