"""The last stage of the flow: what a person sees on the page at ``/``, in a real Chromium.

Over the service as deployed. What is shown is looked for by role and text, as a person would, and by the data
attributes that the page's own style depends on.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from dev.redis_server import RedisServer
from tests.stack import READ_S, Stack

WAIT_MS = READ_S * 1_000
START = "Start batch"
HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Wait as long as a busy machine needs."""
    expect.set_options(timeout=WAIT_MS)


@pytest.fixture
def own_stack(own_redis: RedisServer, tmp_path: Path) -> Iterator[Stack]:
    """A service for one test, to stop and start."""
    with Stack(own_redis.url, tmp_path, worker=False) as stack:
        yield stack


def card(page: Page, operation_id: str) -> Locator:
    """Find the card of an operation."""
    return page.locator(f"li.operation[data-id={operation_id!r}]")


def open_live(page: Page, stack: Stack) -> None:
    """Open the page and wait until it follows the stream."""
    page.goto(stack.url)
    expect(page.locator("#connection")).to_have_text("live")


def start_by_button(page: Page) -> str:
    """Start a batch as a person would, shortened on its way; give the id of what appears."""
    body = {"kind": "batch", "params": {"source": "python-stdlib", "limit": 300}}

    def shorten(route: Route) -> None:
        if route.request.method == "POST":
            assert route.request.post_data_json == {**body, "params": {"source": "python-stdlib"}}
            route.continue_(post_data=json.dumps(body))
        else:
            route.continue_()

    page.route("**/api/operations", shorten)
    page.get_by_role("button", name="Batch").click()
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        page.get_by_role("button", name=START).click()
    assert answer.value.status == 202
    # Not from the body: the page does not read it, so Chromium does not either.
    operation_id = (answer.value.header_value("location") or "").rpartition("/")[2]
    expect(card(page, operation_id)).to_be_visible()
    return operation_id


def percent(page: Page, operation_id: str) -> float:
    """Read how far the bar is; 0 while it shows no amount."""
    position: float = card(page, operation_id).locator("progress").evaluate("bar => bar.position")
    return max(position, 0) * 100


def test_batch_started_by_the_button_moves_and_succeeds(
    page: Page, context: BrowserContext, stack: Stack
) -> None:
    """The button starts a batch that this page and another show moving, through a reload, to its end."""
    open_live(page, stack)
    operation_id = start_by_button(page)
    says = card(page, operation_id).locator(".says")
    expect(says).to_contain_text(re.compile(r"\d+ of \d+ · \S+\.py"))
    pace = card(page, operation_id).locator(".pace")
    expect(pace).to_have_text(
        re.compile(r"^[\d.]+ a second · about \d+ (second|minute)s? left( \(.+ to .+\))?$")
    )
    first = percent(page, operation_id)
    page.wait_for_function(
        "([id, first]) => document.querySelector(`li[data-id='${id}'] progress`).value > first",
        arg=[operation_id, first],
    )

    other = context.new_page()
    open_live(other, stack)
    expect(card(other, operation_id)).to_be_visible()
    before = percent(page, operation_id)
    page.reload()
    expect(page.locator("#connection")).to_have_text("live")
    expect(card(page, operation_id)).to_have_count(1)
    assert percent(page, operation_id) >= before

    for each in (page, other):
        expect(card(each, operation_id).locator(".status")).to_have_text("succeeded")
        expect(card(each, operation_id).locator(".says")).to_contain_text(re.compile(r"\d+ files, \d+ lines"))
        assert percent(each, operation_id) == 100
        expect(card(each, operation_id).locator(".pace")).to_be_hidden()
        expect(each.locator("#connection")).to_have_text("live")


def test_page_says_that_updates_are_delayed_while_redis_is_away(
    page: Page, own_stack: Stack, own_redis: RedisServer
) -> None:
    """Also one that is opened then, with nothing to show; each recovers by itself, and misses nothing."""
    operation = own_stack.operation()
    open_live(page, own_stack)
    own_redis.freeze()
    expect(page.locator("#connection")).to_have_text("updates are delayed")
    operation.warning("row", "while away")
    operation.complete()
    own_redis.thaw()
    expect(page.locator("#connection")).to_have_text("live")
    expect(card(page, operation.id)).to_have_attribute("data-status", "succeeded")

    own_redis.kill()
    page.reload()
    expect(page.locator("#connection")).to_have_text("updates are delayed")
    own_redis.start()
    expect(page.locator("#connection")).to_have_text("live")
    expect(card(page, operation.id)).to_be_visible()


def test_operation_of_others_appears_and_moves_live(page: Page, stack: Stack) -> None:
    """An operation that begins while the page is open appears on top, moves, warns, and shows its end."""
    open_live(page, stack)
    operation = stack.operation("import")
    shown = card(page, operation.id)
    expect(shown.locator(".status")).to_have_text("running")
    expect(page.locator("li.operation").first).to_have_attribute("data-id", operation.id)

    operation.progress(1, 4, "one of four")
    expect(shown.locator(".says")).to_have_text("1 of 4 · one of four")
    assert percent(page, operation.id) == 25
    operation.progress(7, None, "nobody knows how many")
    expect(shown.locator(".says")).to_have_text("7 · nobody knows how many")
    operation.warning("w1", "odd row")
    shown.locator("summary").click()
    expect(shown.locator(".warnings li")).to_have_text(["odd row"])
    operation.warning("w2", "odder row")
    expect(shown.locator(".warnings li")).to_have_text(["odd row", "odder row"])
    operation.error("no_such_row", "there is no row 8")
    expect(shown.locator(".status")).to_have_text("failed")
    expect(shown.locator(".says")).to_have_text("no_such_row: there is no row 8")
    assert percent(page, operation.id) < 100


def test_files_that_an_operation_made_are_offered_as_links(page: Page, stack: Stack) -> None:
    """Those of this service only, whatever an event says; the names are shown as text."""
    open_live(page, stack)
    operation = stack.operation("report")
    url = f"/api/operations/{operation.id}/results/report.html"
    odd = [
        {"name": "run me", "url": "javascript:alert(1)"},
        {"name": "elsewhere", "url": "//elsewhere.example"},
        7,
    ]
    operation.complete({"results": [{"name": "<b>report</b>", "url": url}, *odd]})
    links = card(page, operation.id).locator(".says a")
    expect(links).to_have_text(["<b>report</b>"])
    expect(links).to_have_attribute("href", url)


def test_failed_operation_looks_the_same_after_a_reload(page: Page, stack: Stack) -> None:
    """What a page shows of an operation that is over does not depend on whether it saw it happen."""
    open_live(page, stack)
    operation = stack.operation("import")
    operation.progress(1, 4, "one of four")
    operation.warning("w1", "odd row")
    operation.error("no_such_row", "there is no row 8")
    shown = card(page, operation.id)
    expect(shown.locator(".status")).to_have_text("failed")
    expect(shown.locator(".says")).to_contain_text("no_such_row")
    before = shown.inner_text()
    page.reload()
    expect(shown.locator(".says")).to_contain_text("no_such_row")

    assert shown.inner_text() == before


def test_text_of_an_event_is_shown_as_text(page: Page, stack: Stack) -> None:
    """Markup in a message, a warning or a status is read by people, never by the browser."""
    open_live(page, stack)
    operation = stack.operation("import")
    operation.status(HOSTILE)
    operation.progress(1, 2, HOSTILE)
    operation.warning("w", HOSTILE)
    shown = card(page, operation.id)

    expect(shown.locator(".says")).to_have_text(f"1 of 2 · {HOSTILE}")
    expect(shown.locator(".status")).to_have_text(HOSTILE)
    shown.locator("summary").click()
    expect(shown.locator(".warnings li")).to_have_text(HOSTILE)
    assert shown.locator("img, script").count() == 0
    operation.complete()
    expect(shown.locator(".status")).to_have_text("succeeded")
    assert page.title() == "Tidings"


def test_refused_start_is_said_on_the_page(page: Page, stack: Stack) -> None:
    """When a batch cannot be started, the page says why and lets one try again."""
    open_live(page, stack)
    problem = json.dumps({"detail": "the broker is on holiday"})
    page.route(
        "**/api/operations",
        lambda route: (
            route.fulfill(status=503, content_type="application/problem+json", body=problem)
            if route.request.method == "POST"
            else route.fallback()
        ),
    )
    page.get_by_role("button", name="Batch").click()
    page.get_by_role("button", name=START).click()

    expect(page.get_by_role("alert")).to_have_text("the broker is on holiday")
    expect(page.get_by_role("button", name=START)).to_be_enabled()


def test_page_follows_again_after_the_service_was_restarted(page: Page, own_stack: Stack) -> None:
    """While the service is away the page says so; once it is back it shows what happened meanwhile."""
    open_live(page, own_stack)
    operation = own_stack.operation("import")
    expect(card(page, operation.id)).to_be_visible()
    own_stack.stop_web()
    expect(page.locator("#connection")).to_have_text("reconnecting")
    operation.progress(3, 4, "while nobody looked")
    own_stack.flush()
    own_stack.start_web()

    expect(page.locator("#connection")).to_have_text("live")
    expect(card(page, operation.id).locator(".says")).to_have_text("3 of 4 · while nobody looked")
    operation.complete()
    expect(card(page, operation.id).locator(".status")).to_have_text("succeeded")


def test_page_starts_over_when_the_history_is_lost(page: Page, own_stack: Stack) -> None:
    """When Redis was emptied the page forgets what it showed and goes on with what there is."""
    open_live(page, own_stack)
    lost = own_stack.operation("import")
    expect(card(page, lost.id)).to_be_visible()
    assert own_stack.log.redis.flushall()
    expect(card(page, lost.id)).to_have_count(0)
    expect(page.locator("#none")).to_be_visible()
    operation = own_stack.operation("import")
    expect(card(page, operation.id).locator(".status")).to_have_text("running")


def test_warnings_from_before_the_page_was_opened_are_shown(page: Page, stack: Stack) -> None:
    """Whoever opens the warnings of an operation sees each of them once and in order."""
    operation = stack.operation("import")
    for number in range(3):
        operation.warning("w", f"row {number}")
    stack.flush()
    open_live(page, stack)
    card(page, operation.id).locator("summary").click()
    for number in range(3, 6):
        operation.warning("w", f"row {number}")

    rows = card(page, operation.id).locator(".warnings li")
    expect(rows).to_have_text([f"row {number}" for number in range(6)])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_its_window_in_light_and_dark(
    context: BrowserContext, own_stack: Stack, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    """With operations of every sort nothing needs sideways scrolling, on a desk or on a phone."""
    _report_one_of_each(own_stack)
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    open_live(page, own_stack)
    expect(page.locator("li.operation")).to_have_count(7)
    page.screenshot(path=tmp_path / f"{scheme}.png")
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / f"{scheme}-phone.png")


def _report_one_of_each(stack: Stack) -> None:
    """Report operations in each state that a page may have to show."""
    failed = stack.operation("import", name="import_rows")
    failed.progress(312, 1790, "customers/2026-11.csv")
    failed.error("no_such_column", "There is no column “price” in customers/2026-11.csv, line 313.")
    stack.operation("import").error("cancelled", "The task was revoked.")
    done = stack.operation("batch")
    done.progress(1790, 1790, "zoneinfo/_zoneinfo.py")
    done.warning("unreadable_module", "lib2to3/tests/data/bom.py: SyntaxError: invalid character")
    done.complete({"totals": {"files": 1781, "lines": 812_345, "functions": 31_337, "classes": 5_120}})
    stack.operation("upload", id="an-id-of-128-characters-" + "x" * 104).progress(3.5, None, "no total")
    long = stack.operation("batch")
    long.progress(1, 3, "a/very/long/path/without/any/place/to/break/" + "module" * 40)
    waiting = stack.operation("import")
    waiting.status("waiting for the warehouse to answer, which can take a while on the first of the month")
    half = stack.operation("batch")
    half.progress(895, 1790, "multiprocessing/shared_memory.py")
    half.warning("unreadable_module", "lib2to3/tests/data/bom.py: SyntaxError: invalid character")
    stack.flush()
