"""The documents name what there is."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from tasks.settings import TaskSettings
from tidings.cli.client_settings import ClientSettings
from tidings.settings import Settings
from webapp.settings import ServiceSettings

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("tidings", "tidings/adapters", "tidings/cli", "webapp", "tasks")
    for path in (ROOT / package).glob("*.*")
    if path.suffix in {".py", ".lua"} and path.stem != "__init__"
)
VARIABLES = [
    setting.metadata["variable"]
    for settings in (Settings, ServiceSettings, TaskSettings, ClientSettings)
    for setting in fields(settings)
    if setting.metadata
]
PROOFS = sorted(set(re.findall(r"`(test_\w+)`", (ROOT / "docs/reliability.md").read_text(encoding="utf-8"))))


@pytest.fixture(scope="session")
def tests() -> set[str]:
    """Give the names of all tests."""
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"def (test_\w+)\(", text)}


@pytest.mark.parametrize("proof", PROOFS)
def test_each_promise_is_shown_by_a_test_that_there_is(proof: str, tests: set[str]) -> None:
    """docs/reliability.md names no test in vain."""
    assert proof in tests


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_the_architecture_names_every_module(module: Path) -> None:
    """ARCHITECTURE.md says where each module stands in the flow, or beside it."""
    assert f"{module.name}`" in (ROOT / "ARCHITECTURE.md").read_text().replace("`tidings/", "`").replace(
        "`webapp/", "`"
    ).replace("`tasks/", "`")


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_operations_document_has_every_setting(variable: str) -> None:
    """docs/operations.md has a row for each variable that the settings read."""
    assert f"| `{variable}` |" in (ROOT / "docs/operations.md").read_text()
