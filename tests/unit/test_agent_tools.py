"""What an agent may do, and what it may not."""

from pathlib import Path

import pytest

from tasks.agent_model import next_action
from tasks.agent_tools import Repository, ToolError, compute


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A small one, with what is not to be seen in it and beside it."""
    root = tmp_path / "root"
    for name in ("a.py", "docs/b.md", ".env", ".git/c.py", "node_modules/d.js", "key.pem"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("first\nthe Needle\n")
    (tmp_path / "outside.py").write_text("the Needle")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    return Repository(root)


def test_a_search_finds_source_and_documents_only(repository: Repository) -> None:
    """With path and line; nothing hidden, nothing from elsewhere."""
    assert repository.search("needle") == ["a.py:2: the Needle", "docs/b.md:2: the Needle"]
    with pytest.raises(ToolError):
        repository.search(" ")


def test_a_file_is_read_from_a_line_on(repository: Repository) -> None:
    """By its path below the root."""
    assert repository.read("docs/b.md", 2) == "the Needle"


@pytest.mark.parametrize(
    "path",
    [
        "../outside.py",
        "/etc/passwd",
        ".env",
        ".git/c.py",
        "link.py",
        "key.pem",
        "docs",
        "",
        "a\0.py",
        "x" * 9_000,
    ],
)
def test_what_is_not_for_an_agent_cannot_be_read(repository: Repository, path: str) -> None:
    """However it is called."""
    with pytest.raises(ToolError):
        repository.read(path)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("1 + 2 * 3", "7"), ("-(2 ** 10) // 3", "-342"), ("7 / 2", "3.5"), ("10**100", str(10**100))],
)
def test_arithmetic_is_computed(expression: str, value: str) -> None:
    """As Python does it."""
    assert compute(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "1 / 0",
        "9 ** 9 ** 9",
        "2 ** 10000000",
        "(-8) ** 0.5",
        "10.0 ** 999",
        "a",
        "__import__('os')",
        "1 if 1 else 2",
        "'a' * 9",
        "True",
        "",
        "(" * 400,
        "1 << 9",
        "x" * 600,
        "(10**300 * 10**300) * (10**300 * 10**300) * 10**300",
    ],
)
def test_what_is_no_small_sum_is_refused(expression: str) -> None:
    """Names, calls, and what would take the machine for itself."""
    with pytest.raises(ToolError):
        compute(expression)


def test_the_offline_model_searches_then_reads_then_answers() -> None:
    """Each step from what the one before found."""
    asked = "Where is the log's Lua script?"
    assert next_action(asked, []) == ("search_repository", {"text": "script"})
    hits = ("search_repository", '["a.md:1: script", "b.py:7: def script():"]')
    assert next_action(asked, [hits]) == ("read_file", {"path": "b.py", "first_line": 7})
    answer = next_action(asked, [hits, ("read_file", "def script():\n    pass")])
    assert isinstance(answer, str)
    assert "b.py:7" in answer
    assert next_action(asked, [("search_repository", "[]")]) == "Nothing in the repository mentions script."
