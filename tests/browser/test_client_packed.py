"""The client as npm installs it: its files, its types, and its element and hook in a real Chromium."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.clients.packed import bundle, check_types, install_packed
from tests.stack import READ_S, ROOT, Stack

CLIENTS = ROOT / "tests" / "clients"


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Wait as long as a busy machine needs."""
    expect.set_options(timeout=READ_S * 1_000)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's project, with the client installed."""
    project = tmp_path_factory.mktemp("project")
    install_packed(project)
    return project


@pytest.fixture(scope="module")
def built(project: Path) -> Path:
    """What a bundler made of a page of that project."""
    return bundle(project, CLIENTS / "app.js")


def show(page: Page, stack: Stack, built: Path, operation_id: str) -> None:
    """Open the page of the project, at the service's address, with one operation."""

    def give(route: Route) -> None:
        route.fulfill(path=built / route.request.url.rpartition("/")[2], content_type="text/javascript")

    page.route("**/built/*", give)
    page.goto(f"{stack.url}/healthz")
    page.evaluate("async (id) => (await import('/built/app.js')).show(id)", operation_id)


def test_what_is_packed_is_the_client_and_nothing_else(project: Path) -> None:
    """Each entry names files that are there, and no test or tool goes with them."""
    package = project / "node_modules" / "tidings-client"
    entries = json.loads((package / "package.json").read_text())["exports"].values()
    assert all((package / file).is_file() for entry in entries for file in entry.values())
    sources = {path.name for path in (ROOT / "clients" / "js" / "src").iterdir()}
    assert {path.name for path in (package / "src").iterdir()} == sources
    assert {path.name for path in package.iterdir()} == {"package.json", "README.md", "src"}


def test_the_types_accept_what_is_right_and_nothing_else(project: Path) -> None:
    """A page in TypeScript, strict."""
    assert check_types(project, CLIENTS / "typed.ts") == ""


def test_the_element_and_the_hook_show_an_operation_to_its_end(page: Page, stack: Stack, built: Path) -> None:
    """Both follow it over the one stream; people who cannot see the bar are told the same."""
    operation = stack.operation()
    operation.progress(1, 4, "one of four")
    stack.flush()
    show(page, stack, built, operation.id)
    bar = page.get_by_role("progressbar", name="Import")
    spoken = page.get_by_role("status")
    expect(bar).to_have_attribute("aria-valuenow", "25")
    expect(bar).to_have_attribute("aria-valuetext", "1 of 4 · one of four")
    expect(page.locator("#hook")).to_have_text("live 25 0 open")

    operation.progress(7, None)
    expect(bar).not_to_have_attribute("aria-valuenow", re.compile(""))
    operation.warning("w", "odd row")
    expect(spoken).to_have_text("odd row")
    operation.complete()
    expect(bar).to_have_attribute("aria-valuenow", "100")
    expect(spoken).to_have_text("done")
    expect(page.locator("tidings-progress")).to_have_attribute("data-status", "succeeded")
    expect(page.locator("#hook")).to_have_text("finished  1 complete")


def test_an_element_shows_a_failure_and_changes_with_its_attributes(
    page: Page, stack: Stack, built: Path
) -> None:
    """A failure is no full bar; another operation's id shows that one; a style of the page's is taken."""
    failed, other = stack.operation(), stack.operation()
    failed.progress(2, 2)
    failed.error("row", "<b>there</b> is no row 8")
    other.progress(3, 4)
    stack.flush()
    page.emulate_media(reduced_motion="reduce")
    show(page, stack, built, failed.id)
    element, bar = page.locator("tidings-progress"), page.get_by_role("progressbar")
    expect(element).to_have_attribute("data-status", "failed")
    expect(bar).to_have_attribute("aria-valuetext", "<b>there</b> is no row 8")
    expect(bar).to_have_attribute("aria-valuenow", "99")

    element.evaluate("(element, id) => element.setAttribute('operation', id)", other.id)
    expect(bar).to_have_attribute("aria-valuenow", "75")
    expect(element).to_have_attribute("data-status", "running")
    element.evaluate("element => element.style.setProperty('--tidings-color', 'rgb(1, 2, 3)')")
    fill = page.locator("tidings-progress .fill")
    expect(fill).to_have_css("background-color", "rgb(1, 2, 3)")
    expect(fill).to_have_css("transition-duration", "0s")
    element.evaluate("element => element.remove()")
