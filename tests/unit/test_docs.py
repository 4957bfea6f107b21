"""The documents name what there is, and nothing else.

Of the command line's flags that is `test_cli_docs`, of each metric's row `test_metrics`, of events
`test_descriptions`.
"""

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import MethodNotAllowed, NotFound

from tasks.settings import TaskSettings
from tests.unit.test_cli_docs import COMMANDS, flags
from tidings.cli.client_settings import ClientSettings, TokenSettings
from tidings.cli.command import VARIABLE
from tidings.settings import Settings
from webapp.app import create_app
from webapp.metrics import METRICS
from webapp.openapi import describe
from webapp.settings import ServiceSettings

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("tidings", "tidings/adapters", "tidings/cli", "webapp", "tasks")
    for path in (ROOT / package).glob("*.*")
    if path.suffix in {".py", ".lua"} and path.stem != "__init__"
)
SETTINGS: dict[str, Field[Any]] = {
    setting.metadata["variable"]: setting
    for settings in (Settings, TaskSettings, ClientSettings, TokenSettings, ServiceSettings)
    for setting in fields(settings)
    if setting.metadata
}
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "clients/js/README.md")
}
MANUAL = {name: text for name, text in PAGES.items() if name != "CHANGELOG.md" and "/adr/" not in name}
"""What is said of how it is now."""
OPERATIONS = PAGES["docs/operations.md"]
ROWS = [
    [cell.strip() for cell in row.split("|")[1:-1]]
    for row in re.findall(r"^\| `[A-Z][A-Z_]+` \|.*\|$", OPERATIONS, re.MULTILINE)
]
READ_ELSEWHERE = {"CHROMIUM"}
ATTRIBUTES = {"tidings_kind"}
"""What authors write on their tasks."""
FORMS = {"TIDINGS_BROWSER_HOSTS"}
"""Settings whose default is made of others."""
FIRST = "api|client|debug|healthz|metrics|operations|readyz|static"
PATH = re.compile(rf"(?:(GET|POST|PATCH|PUT|DELETE|HEAD|OPTIONS) )?(/(?:(?:{FIRST})\b[^\s`?]*)?)(?:\?\S*)?")
WORDS = ("watch", "list", "show", "cancel", "token", "publish", "doctor")
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


def test_the_operations_document_has_every_setting_and_no_other() -> None:
    """docs/operations.md has a row for each variable that the settings read."""
    assert {row[0].strip("`") for row in ROWS} == SETTINGS.keys() | READ_ELSEWHERE


@pytest.mark.parametrize("variable", sorted(SETTINGS.keys() - FORMS))
def test_the_default_of_a_setting_is_what_its_row_says(variable: str) -> None:
    """A number, or a word; where there is none, the row says none."""
    default: Any = SETTINGS[variable].default
    told = [row[2].strip("`").replace(",", "") for row in ROWS if row[0] == f"`{variable}`" and len(row) > 3]
    assert told
    if isinstance(default, str):
        assert {"" if each.startswith("none") else each for each in told} == {default}
    else:
        assert {float(each) for each in told} == {float(default)}


@pytest.mark.parametrize("page", MANUAL)
def test_no_setting_and_no_metric_is_named_that_there_is_not(page: str) -> None:
    """Anywhere, and not only in its row."""
    assert set(re.findall(r"\bTIDINGS_[A-Z_]+[A-Z]\b", MANUAL[page])) <= {*SETTINGS, VARIABLE}
    series = set(re.findall(r"\btidings_[a-z_]+\b", MANUAL[page]))
    names = {metric.name for metric in METRICS} | ATTRIBUTES
    assert {name for name in series if re.sub("_(bucket|sum|count)$", "", name) not in names} == set()


@pytest.fixture(scope="module")
def app() -> Flask:
    """An app that was never started."""
    log = Settings(redis_url="redis://127.0.0.1:1/0")
    return create_app(ServiceSettings(log=log, host="127.0.0.1", auth="open"))


def named(text: str) -> Iterator[tuple[str, str]]:
    """Give each request that a text names as code: its method, GET if it says none, and its path."""
    for span in re.findall(r"`([^`\n]+)`", text):
        for words in (span, span.partition(" ")[2]):
            if found := PATH.fullmatch(words):
                yield found[1] or "GET", found[2]


def test_every_route_is_documented(app: Flask) -> None:
    """With its method, somewhere in the documents: by its path, ids as `<id>`."""
    routes = {
        (method.upper(), re.sub(r"\{\w+\}", "*", path))
        for path, methods in describe(app)["paths"].items()
        for method in methods
    }
    told = {
        (method, re.sub(r"<\w+>|\*(\.js)?", lambda found: f"*{found[1] or ''}", path))
        for text in MANUAL.values()
        for method, path in named(text)
    }
    assert routes - told == set()


@pytest.mark.parametrize("page", MANUAL)
def test_no_route_is_named_that_there_is_not(app: Flask, page: str) -> None:
    """Each path in the documents leads somewhere, by the method that is named with it."""
    routes = app.url_map.bind("")
    lost = []
    for method, path in named(MANUAL[page]):
        try:
            routes.match(re.sub(r"<\w+>|\*", "x", path), method)
        except MethodNotAllowed:
            lost += [path] if method != "GET" else []  # said without one
        except NotFound:
            lost += [path] if path != "/api" else []  # a part of each
    assert lost == []


@pytest.mark.parametrize("page", MANUAL)
def test_each_call_of_the_command_line_could_be_made(page: str) -> None:
    """What stands there as `tidings …` names a command and flags that there are."""
    for line in re.findall(
        rf"(?:^|[`(;|&] ?)(tidings (?:{'|'.join(WORDS)})\b[^`\n|;&)]*)", MANUAL[page], re.MULTILINE
    ):
        words = shlex.split(line.partition(" #")[0], posix=False)[1:]
        ours = words[: words.index("--")] if "--" in words else words
        commands = {" ".join(ours[:count]) for count in (1, 2)} & {*COMMANDS}
        assert commands, line
        for made in [COMMANDS[max(commands)]]:
            used = {word for word in ours if word.startswith("--")}
            assert used <= flags(made) | all_flags(made), line


def all_flags(made: argparse.ArgumentParser) -> set[str]:
    """Give the flags of a command, and those of what follows it."""
    return {flag for action in made._actions for flag in action.option_strings}  # noqa: SLF001 - it tells nobody


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_somewhere(page: str) -> None:
    """To a file that there is, and to a heading in it."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", PAGES[page]):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """Give what can be linked to in a document, as GitHub names it."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    spelled = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return spelled | set(re.findall(r'<a id="([^"]+)"', text))
