"""Tests: the processes below one that a test has started. Source: proc(5)."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def below(pid: int) -> dict[int, str]:
    """Give the command line of each process that *pid* has started, and of theirs, by process id."""
    found: dict[int, str] = {}
    for child in _children(pid):
        with suppress(OSError):
            found[child] = Path(f"/proc/{child}/cmdline").read_text(errors="replace").replace("\0", " ")
        found |= below(child)
    return found


def with_word(word: str) -> list[int]:
    """Give all processes of this machine whose command line has *word*."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if word in _said(path)]


def _said(path: Path) -> str:
    try:
        return (path / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from (int(child) for child in (task / "children").read_text().split())
