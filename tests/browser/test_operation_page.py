"""The page of one operation, in a real Chromium over the service as deployed: watched, cancelled, failed."""

import re
from datetime import datetime
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.axe import found_by_axe
from tests.http_stream import get_json
from tests.stack import READ_S, Stack
from tests.tus_talk import create, patch
from webapp.meanings import MEANINGS
from webapp.words import duration

WAIT_MS: Final = READ_S * 1_000
HOSTILE: Final = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
SHOWN: Final = 300
"""Lines of the timeline before one asks for more."""


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Wait as long as a busy machine needs."""
    expect.set_options(timeout=WAIT_MS)


def open_page(page: Page, stack: Stack, operation_id: str) -> None:
    """Open an operation's page and wait until it has told what happened."""
    page.goto(f"{stack.url}/operations/{operation_id}")
    expect(page.locator("#story")).to_be_visible()


def status(page: Page) -> Locator:
    """Find the word for how the operation stands."""
    return page.locator("#operation > .status")


def section(page: Page, name: str) -> Locator:
    """Find a part of the page by its heading."""
    return page.get_by_role("region", name=name, exact=True)


def told(stack: Stack, operation_id: str) -> list[str]:
    """Give what the timeline is to show: each change of status, each warning and error, in order."""
    events = get_json(f"{stack.url}/api/operations/{operation_id}/events?limit=1000").body["events"]
    lines = []
    for event in events:
        data: dict[str, Any] = event["data"]
        if event["type"] == "status" and data["status"] != data.get("previousStatus"):
            lines.append(data["status"])
        elif event["type"] in {"warning", "error"}:
            lines.append(data["message"])
    return lines


def timeline(page: Page) -> list[str]:
    """Give what the timeline shows."""
    return page.locator("#timeline li :is(.status, .what)").all_text_contents()


def watched(page: Page, stack: Stack, operation_id: str) -> None:
    """Watch an operation to its end, which the timeline then has told whole, also after a reload."""
    open_page(page, stack, operation_id)
    expect(status(page)).to_have_text("succeeded")
    expect(page).to_have_title(re.compile("^succeeded · "))
    assert page.locator("#operation progress").evaluate("bar => bar.position") == 1
    expect(page.locator("#connection")).to_have_text("over")
    assert timeline(page) == told(stack, operation_id)
    page.reload()
    expect(page.locator("#connection")).to_have_text("over")
    assert timeline(page) == told(stack, operation_id)


def test_a_batch_is_watched_and_its_failed_items_done_again(page: Page, stack: Stack) -> None:
    """What failed is in a table with its reason; one press starts a batch that does it again."""
    upload = uploaded(stack, "rows.csv", b"name,born\nAda,1815\nbroken\nBob,1990\n")
    operation = stack.start_operation("batch", source={"upload": upload})
    watched(page, stack, operation)
    expect(section(page, "Failed items").get_by_role("row")).to_have_count(2)
    expect(section(page, "Failed items").get_by_role("row").last).to_contain_text("wrong_field_count")
    result = section(page, "Result")
    expect(result).to_contain_text("items.csv")
    with page.expect_popup() as popup:
        result.get_by_role("link", name="items.csv").click()
    assert popup.value.url.endswith(f"{operation}/results/items.csv") or popup.value.url in {
        "",
        "about:blank",
    }
    page.get_by_role("button", name="Do what is not done").click()
    page.wait_for_url(lambda url: "/operations/" in url and operation not in url)
    expect(status(page)).to_have_text("succeeded")


def uploaded(stack: Stack, name: str, content: bytes) -> str:
    """Upload a file; give the id of the operation."""
    location = create(stack.url, len(content), filename=name)
    patch(location, 0, content)
    return location.rpartition("/")[2]


def test_an_upload_is_watched(page: Page, stack: Stack) -> None:
    """Its bytes are said as such."""
    watched(page, stack, uploaded(stack, "poem.txt", b"x" * 2_500))
    expect(section(page, "Result")).to_contain_text("poem.txt")
    expect(section(page, "Result")).to_contain_text("2,500")


def test_a_workflow_is_watched_step_by_step(page: Page, stack: Stack) -> None:
    """Each step has its bar, its status, and a page of its own, which leads back."""
    pipeline = {
        "steps": [
            {"name": "list", "task": "scan", "params": {"limit": 12}},
            {"name": "count", "task": "analyse", "needs": ["list"]},
            {"name": "sum", "task": "aggregate", "needs": ["count"]},
        ]
    }
    operation = stack.start_operation("workflow", pipeline=pipeline)
    watched(page, stack, operation)
    steps = section(page, "Steps")
    expect(steps.locator(".step .status")).to_have_text(["succeeded"] * 3)
    state = get_json(f"{stack.url}/api/operations/{operation}").body["operation"]
    created, ended = (datetime.fromisoformat(state[name]) for name in ("createdAt", "updatedAt"))
    took_s = (ended - created).total_seconds() - state["waitedSeconds"]
    assert state["durationSeconds"] == pytest.approx(took_s, abs=0.01)
    took = page.locator(".about div").filter(has_text="Took").locator("dd")
    expect(took).to_have_text(duration(state["durationSeconds"]))
    assert steps.get_by_role("progressbar").evaluate_all("bars => bars.map(bar => bar.position)") == [1, 1, 1]
    steps.get_by_role("link", name="count").click()
    expect(page.locator("h1")).to_have_text("count")
    page.get_by_role("link", name="Workflow").click()
    expect(page.locator("#operation")).to_have_attribute("data-id", operation)


def test_an_agent_is_read_as_it_writes(page: Page, stack: Stack) -> None:
    """Its tools with what they were given and gave, and its answer, once and whole."""
    operation = stack.start_operation("agent", prompt="Where is `class Operation` defined?", offline=True)
    watched(page, stack, operation)
    transcript = section(page, "Transcript")
    answer = get_json(f"{stack.url}/api/operations/{operation}").body["operation"]["events"]["complete"][
        "result"
    ]["answer"]
    expect(transcript.locator(".message")).to_have_text(answer, use_inner_text=False)
    call = transcript.locator(".call").first
    call.locator("summary").click()
    expect(call.locator(".answer")).to_contain_text("class Operation")


def test_a_browser_session_shows_its_pictures_and_why_it_failed(page: Page, stack: Stack) -> None:
    """What the script did, step by step; the step that failed, what that means, and what can be done."""
    steps = [
        {"action": "goto", "url": "/healthz"},
        {"action": "screenshot", "name": "seen"},
        {"action": "click", "selector": "#nowhere"},
    ]
    operation = stack.start_operation("browser", steps=steps, timeout=1.0)
    open_page(page, stack, operation)
    expect(status(page)).to_have_text("failed")
    session = section(page, "Session")
    expect(session).to_contain_text("answered 200")
    picture = session.get_by_role("img", name="Screenshot")
    assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 100
    failure = section(page, "What went wrong")
    expect(failure).to_contain_text("Nothing came of it within 1 s.")
    expect(failure).to_contain_text("Give the step longer")
    expect(failure).to_contain_text("#nowhere")
    assert page.locator("#operation progress").evaluate("bar => bar.position") < 1


def test_a_workflow_is_cancelled_by_keyboard_and_resumed(page: Page, stack: Stack) -> None:
    """The dialog asks once more; who asked and why is told; what it had finished is not done again."""
    steps = [
        {"name": "list", "task": "scan"},
        *(
            {"name": f"part{n}", "task": "analyse", "needs": ["list"], "params": {"part": n, "of": 4}}
            for n in range(1, 5)
        ),
        {"name": "sum", "task": "aggregate", "needs": [f"part{n}" for n in range(1, 5)]},
    ]
    operation = stack.start_operation("workflow", pipeline={"steps": steps})
    open_page(page, stack, operation)
    page.get_by_role("button", name="Cancel …").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Let it run")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("not needed")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("cancelled")
    expect(section(page, "Cancelled")).to_be_visible()
    expect(section(page, "Timeline")).to_contain_text("asked by anonymous: not needed")
    expect(page.get_by_role("button", name="Cancel …")).to_be_hidden()
    page.get_by_role("button", name="Resume").click()
    page.wait_for_url(lambda url: operation not in url)
    expect(page.locator("#operation")).to_have_attribute("data-kind", "workflow")


def test_a_reload_in_the_middle_shows_the_present_state_first(
    page: Page, browser: Browser, stack: Stack
) -> None:
    """Also where no script runs; and nothing of what happened is missing or doubled after it."""
    operation = stack.operation("import", name="import_rows")
    operation.progress(312, 1790, "customers.csv")
    operation.warning("odd_row", "Row 17 has no name")
    open_page(page, stack, operation.id)
    expect(page.locator("#says")).to_have_text("312 of 1,790 · customers.csv")
    operation.progress(895, 1790, "more.csv")
    operation.status("closing", {"why": HOSTILE})
    stack.flush()
    with browser.new_context(java_script_enabled=False) as scriptless:
        bare = scriptless.new_page()
        bare.goto(f"{stack.url}/operations/{operation.id}")
        expect(bare.locator("#says")).to_have_text("895 of 1,790 · more.csv")
        expect(status(bare)).to_have_text("closing")
        assert bare.locator("#operation progress").get_attribute("value") == "50"
    page.reload()
    expect(page.locator("#story")).to_be_visible()
    assert timeline(page) == told(stack, operation.id) == ["running", "Row 17 has no name", "closing"]
    operation.complete()
    expect(status(page)).to_have_text("succeeded")


def test_what_events_say_is_shown_as_text(page: Page, stack: Stack) -> None:
    """Names, messages, details, results: markup is read by people, never by the browser."""
    operation = stack.operation("import", name=HOSTILE)
    open_page(page, stack, operation.id)
    operation.status(HOSTILE)
    operation.progress(1, 2, HOSTILE)
    operation.warning("w", HOSTILE, {"item": HOSTILE, "reason": HOSTILE})
    operation.complete({HOSTILE: [HOSTILE], "file": {"name": HOSTILE, "url": "javascript:alert(1)"}})
    expect(status(page)).to_have_text("succeeded")
    expect(page.locator("h1")).to_have_text(HOSTILE)
    expect(section(page, "Result")).to_contain_text(HOSTILE)
    expect(section(page, "Timeline")).to_contain_text(HOSTILE)
    for _ in range(2):
        assert (
            page.locator(
                "main :is(img, script:not([type='application/json'])), main a[href^='javascript']"
            ).count()
            == 0
        )
        assert "owned" not in page.title().replace(HOSTILE, "")
        page.reload()
        expect(page.locator("#story")).to_be_visible()


def test_a_long_history_is_shown_in_parts(page: Page, stack: Stack) -> None:
    """The newest lines; the others when they are asked for."""
    operation = stack.operation("import")
    for number in range(SHOWN + 50):
        operation.warning("w", f"row {number}")
    stack.flush()
    open_page(page, stack, operation.id)
    lines = page.locator("#timeline li")
    expect(lines.last).to_contain_text(f"row {SHOWN + 49}")
    expect(lines).to_have_count(SHOWN)
    page.get_by_role("button", name="51 earlier").click()
    expect(lines).to_have_count(SHOWN + 51)
    assert timeline(page) == told(stack, operation.id)
    operation.complete()


def test_a_page_that_was_opened_too_early_waits(page: Page, stack: Stack) -> None:
    """Nothing is kept under its id yet; it shows what is started under it, and what became of that.

    Of an error with a code of the author's own too it says what can be done, live as in the first paint.
    """
    name = "to-be-started-later"
    answer = page.goto(f"{stack.url}/operations/{name}")
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("main")).to_contain_text("yet to be started")
    expect(page.locator("#connection")).to_have_text("live")
    operation = stack.operation("import", id=name)
    operation.progress(1, 4)
    expect(page.locator("#says")).to_have_text("1 of 4")
    operation.error("no_such_column", "There is no column “price”.")
    for _ in range(2):
        failure = section(page, "What went wrong")
        expect(failure).to_contain_text("There is no column “price”.")
        expect(failure.locator(".meaning")).to_have_text(MEANINGS[""])
        page.reload()


@pytest.mark.parametrize("width", [1280, 320])
def test_the_page_fits_its_window_and_does_not_jump(
    context: BrowserContext, stack: Stack, width: int
) -> None:
    """Nothing needs sideways scrolling, and nothing moves while the page is completed."""
    operation = stack.operation("import", name="a_name_that_is_rather_long_for_a_phone" * 2)
    operation.progress(312, 1790, "a/path/without/any/place/to/break" * 5)
    for number in range(30):
        operation.warning("odd_row", f"Row {number} has no name")
    stack.flush()
    page = context.new_page()
    page.add_init_script(
        """window.shifted = 0;
        new PerformanceObserver((list) => { for (const { value } of list.getEntries()) shifted += value; })
          .observe({ type: "layout-shift", buffered: true });"""
    )
    page.set_viewport_size({"width": width, "height": 700})
    open_page(page, stack, operation.id)
    expect(page.locator("#timeline li")).to_have_count(31)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("shifted") == 0
    assert found_by_axe(page) == []
    operation.complete()
