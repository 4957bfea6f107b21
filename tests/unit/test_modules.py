"""Python source files: what one holds, and why one cannot be read."""

import sys
from pathlib import Path

import pytest

from tasks.modules import Counts, UnreadableModule, count, standard_library


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        (b"", Counts(1, 0, 0, 0)),
        (b"x = 1\n", Counts(1, 1, 0, 0)),
        (b"def f():\n    async def g(): ...\n\n\nclass C:\n    def m(self): ...\n", Counts(1, 6, 3, 1)),
        ("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"), Counts(1, 2, 0, 0)),
        (b"\xef\xbb\xbfx = 1\r\ny = 2\r\n", Counts(1, 2, 0, 0)),
        (b"x = 1", Counts(1, 1, 0, 0)),
    ],
)
def test_lines_functions_and_classes_are_counted(tmp_path: Path, source: bytes, counts: Counts) -> None:
    """Async and nested functions and methods are functions; a last line without its end is a line."""
    path = tmp_path / "module.py"
    path.write_bytes(source)
    assert count(path) == counts


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"def f(:\n", "SyntaxError"),
        (b"x = '\xff'\n", "encoding|decode"),
        (b"# -*- coding: nonsense -*-\n", "nonsense"),
        (b"x = 1\0\n", "null byte"),
        (b"(" * 10_000, "parenthes|nested|Memory|Recursion"),
        (b"-" * 100_000 + b"1", "Recursion|Memory|nested|recursion"),
    ],
    ids=["syntax error", "bad encoding", "unknown encoding", "null bytes", "parentheses", "too deep"],
)
def test_a_file_that_is_no_python_says_why(tmp_path: Path, source: bytes, reason: str) -> None:
    """It is one error of ours with the reason in it, so that a batch can go on."""
    path = tmp_path / "module.py"
    path.write_bytes(source)
    with pytest.raises(UnreadableModule, match=reason):
        count(path)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    """What was removed since it was listed is unreadable like any other."""
    with pytest.raises(UnreadableModule, match="FileNotFoundError"):
        count(tmp_path / "gone.py")


def test_counts_add_up() -> None:
    """Each part by itself."""
    assert Counts(1, 2, 3, 4).plus(Counts(10, 20, 30, 40)) == Counts(11, 22, 33, 44)


def test_the_standard_library_is_found_in_order() -> None:
    """The running Python's modules, by name, without what was installed beside them."""
    folder, paths = standard_library()
    assert folder.name == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert paths == sorted(paths)
    assert folder / "asyncio" / "tasks.py" in paths
    assert len(paths) > 500
    assert not any("site-packages" in path.parts for path in paths)
