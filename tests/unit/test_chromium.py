"""Where a Chromium is looked for."""

from pathlib import Path

import pytest

from tasks.chromium import NoChromium, find_chromium


def program(path: Path) -> Path:
    """Make a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o755)
    return path


def test_what_is_named_comes_before_what_is_found(tmp_path: Path) -> None:
    """CHROMIUM, else the PATH's, else Playwright's own."""
    cached = program(tmp_path / "cache" / "chromium-1" / "chrome-linux" / "chrome")
    found = {"PATH": str(tmp_path / "bin"), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "cache")}
    assert find_chromium(found) == cached
    on_path = program(tmp_path / "bin" / "chromium")
    assert find_chromium(found) == on_path
    named = program(tmp_path / "mine")
    assert find_chromium(found | {"CHROMIUM": str(named)}) == named


def test_without_one_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoChromium, match="playwright install chromium"):
        find_chromium({"PATH": str(tmp_path)})


def test_a_named_one_that_is_none_is_said(tmp_path: Path) -> None:
    """Rather than that another one is taken."""
    with pytest.raises(NoChromium, match="CHROMIUM="):
        find_chromium({"CHROMIUM": str(tmp_path / "nothing")})
