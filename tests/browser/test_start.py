"""How people start things on the page at ``/``, in a real Chromium over the service as deployed.

Each kind from the form that is made of its schema, with nothing stubbed; by mouse, and by keyboard alone.
"""

import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Locator, Page, expect

from tests.http_stream import post_json
from tests.stack import READ_S, Stack
from tests.tus_talk import ask, patch
from tests.uploads import end
from tests.waiting import wait_until

FILES = "#files"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Wait as long as a busy machine needs."""
    expect.set_options(timeout=READ_S * 1_000)


def open_form(page: Page, stack: Stack, kind: str) -> Locator:
    """Open the page and the form of a kind."""
    page.goto(stack.url)
    page.get_by_role("button", name=kind.capitalize(), exact=True).click()
    return page.get_by_role("form", name=f"Start {kind}")


def sent(page: Page, form: Locator, kind: str) -> dict[str, Any]:
    """Send a form; give what it sends, which starts an operation to which the form then links."""
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        form.get_by_role("button", name=f"Start {kind}").click()
    assert answer.value.status == 202
    operation_id = (answer.value.header_value("location") or "").rpartition("/")[2]
    link = form.get_by_role("status").get_by_role("link")
    expect(link).to_have_text(operation_id)
    expect(link).to_have_attribute("href", f"/operations/{operation_id}")
    body: dict[str, Any] = json.loads(answer.value.request.post_data or "")
    assert body["kind"] == kind
    params: dict[str, Any] = body["params"]
    return params


def test_a_batch_is_started_with_what_was_put_in(page: Page, stack: Stack) -> None:
    """What is optional is folded away until it is wanted; the form is ready for another one."""
    form = open_form(page, stack, "batch")
    expect(form.get_by_label("Limit")).to_be_hidden()
    form.get_by_text("More options").click()
    form.get_by_label("Limit").fill("3")
    assert sent(page, form, "batch") == {"source": "python-stdlib", "limit": 3}

    form.get_by_label("Source").select_option("Left out")
    form.get_by_label("Items").fill('[1, {"name": "Ada"}]')
    form.get_by_label("Limit").fill("")
    assert sent(page, form, "batch") == {"items": [1, {"name": "Ada"}]}


def test_a_browser_session_is_started_with_steps_that_were_changed(page: Page, stack: Stack) -> None:
    """Added, moved, removed, turned into another action; who does it by keyboard stays where they are.

    What is wrong is said in the step that it is in, which opens.
    """
    form = open_form(page, stack, "browser")
    steps = form.get_by_role("group", name=re.compile(r"^Step \d$"))
    expect(steps).to_have_count(4)
    steps.first.locator("summary").click()
    steps.first.get_by_label("Url").fill("/healthz")
    form.get_by_role("button", name="Remove: Step 3").click()
    expect(steps).to_have_count(3)
    form.get_by_role("button", name="Move up: Step 3").click()
    expect(form.get_by_role("button", name="Move up: Step 2")).to_be_focused()
    form.get_by_role("button", name="Remove: Step 3").click()
    form.get_by_role("button", name="Add step").click()
    third = form.get_by_role("group", name="Step 3")
    expect(third.get_by_label("Action")).to_be_focused()
    third.get_by_label("Action").select_option("extract")
    third.get_by_label("Selector").fill("body")
    name = third.get_by_label("Name")
    name.fill(HOSTILE)
    expect(third.locator("summary")).to_have_text(f"3: extract · body · {HOSTILE}")
    third.locator("summary").click()
    expect(name).to_be_hidden()
    form.get_by_role("button", name="Start browser").click()
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description(
        re.compile("- and _. This does not have the form that is asked for.")
    )
    name.fill("page")
    assert sent(page, form, "browser") == {
        "steps": [
            {"action": "goto", "url": "/healthz"},
            {"action": "screenshot", "name": "page"},
            {"action": "extract", "selector": "body", "name": "page"},
        ]
    }


def test_an_agent_is_asked(page: Page, stack: Stack) -> None:
    """What is asked stands there already; a person may ask something else."""
    form = open_form(page, stack, "agent")
    expect(form.get_by_label("Prompt")).not_to_have_value("")
    form.get_by_label("Prompt").fill("What is a cursor?")
    form.get_by_text("More options").click()
    form.get_by_label("Offline").check()
    form.get_by_label("Steps").fill("2")
    assert sent(page, form, "agent") == {"prompt": "What is a cursor?", "offline": True, "steps": 2}


def test_a_workflow_is_started_as_text_or_step_by_step(page: Page, stack: Stack) -> None:
    """One to write begins as the shipped one; what is wrong in it is said at its text, the nearest field."""
    form = open_form(page, stack, "workflow")
    form.get_by_label("Pipeline").select_option("YAML text")
    text = form.get_by_label("YAML text")
    expect(text).to_have_value(re.compile("^steps:$", re.MULTILINE))
    text.fill("steps: [{name: a, task: dig}]")
    form.get_by_role("button", name="Start workflow").click()
    expect(text).to_have_accessible_description(
        "Pipeline, step 1, task must be one of aggregate, analyse, render, scan, not 'dig'"
    )
    text.fill("steps: [{name: scan, task: scan, params: {limit: 1}}]")
    assert sent(page, form, "workflow") == {
        "pipeline": "steps: [{name: scan, task: scan, params: {limit: 1}}]"
    }

    form.get_by_label("Pipeline").select_option("Pipeline")
    form.get_by_label("Name").fill("scan")
    form.get_by_label("Task").fill("scan")
    form.get_by_text("More options").click()
    form.get_by_label("Params").fill('{"limit": 1}')
    assert sent(page, form, "workflow") == {
        "pipeline": {"steps": [{"name": "scan", "task": "scan", "params": {"limit": 1}}]}
    }


def test_a_refused_field_is_said_at_that_field(page: Page, stack: Stack) -> None:
    """By the service, or because it cannot be sent: in words beside it, and the focus is there."""
    form = open_form(page, stack, "batch")
    limit = form.get_by_label("Limit")
    form.get_by_text("More options").click()
    for wrong, says in [
        ("0", "This must be a whole number, at least 1."),
        ("many", "This is not a number."),
    ]:
        limit.fill(wrong)
        form.get_by_text("More options").click()
        form.get_by_role("button", name="Start batch").click()
        expect(limit).to_be_focused()
        expect(limit).to_have_attribute("aria-invalid", "true")
        expect(limit).to_have_accessible_description(f"Only the first so many. At least 1. {says}")

    limit.fill("2")
    assert sent(page, form, "batch") == {"source": "python-stdlib", "limit": 2}
    expect(limit).not_to_have_attribute("aria-invalid", "true")


def test_a_batch_is_started_by_keyboard_alone(page: Page, stack: Stack) -> None:
    """Tab to the kind, open it, and send the form from its first field."""
    page.goto(stack.url)
    batch = page.get_by_role("button", name="Batch", exact=True)
    expect(batch).to_have_attribute("aria-expanded", "false")
    for _ in range(10):
        page.keyboard.press("Tab")
        if batch.evaluate("button => button === document.activeElement"):
            break
    expect(batch).to_be_focused()
    page.keyboard.press("Enter")
    expect(batch).to_have_attribute("aria-expanded", "true")
    form = page.get_by_role("form", name="Start batch")
    expect(form.get_by_label("Source")).to_be_visible()
    for _ in range(10):
        page.keyboard.press("Tab")
        if form.get_by_text("More options").evaluate("fold => fold === document.activeElement"):
            break
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(form.get_by_label("Limit")).to_be_focused()
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(form.get_by_role("status").get_by_role("link")).to_have_count(1)


def test_forms_fit_a_narrow_phone(page: Page, stack: Stack) -> None:
    """Nothing needs sideways scrolling at 320 px, whichever form is open."""
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(stack.url)
    for kind in ("Batch", "Browser", "Agent", "Upload", "Workflow"):
        page.get_by_role("button", name=kind, exact=True).click()
        expect(page.locator("form:visible .fields").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.fixture
def line(page: Page) -> CDPSession:
    """The page's line to the service."""
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    return line


def hold_back(line: CDPSession, bytes_a_second: int) -> None:
    """Let the page send no more than so much; -1: all that it can."""
    line.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second},
    )


def row(page: Page, name: str) -> Locator:
    """Find the row of a file."""
    return page.get_by_role("list", name="Files").get_by_role("listitem").filter(has_text=name)


def upload_id(row: Locator) -> str:
    """Give the id of a file's upload, to whose operation its name links."""
    return (row.get_by_role("link").first.get_attribute("href") or "").removeprefix("/operations/")


def test_a_paused_upload_goes_on_also_after_a_reload(
    page: Page, line: CDPSession, stack: Stack, tmp_path: Path, chance: random.Random
) -> None:
    """Paused, nothing more comes; it goes on from what had come, and the whole of it is there at the end."""
    path = tmp_path / "big.bin"
    path.write_bytes(chance.randbytes(3_000_000))
    open_form(page, stack, "upload")
    hold_back(line, 600_000)
    page.set_input_files(FILES, path)
    file = row(page, "big.bin")
    expect(file.get_by_role("progressbar")).not_to_have_js_property("value", 0)
    with page.expect_event("requestfailed", lambda request: request.method == "PATCH"):
        file.get_by_role("button", name="Pause: big.bin").click()
    expect(file).to_contain_text("paused")
    url = f"{stack.url}/api/uploads/{upload_id(file)}"
    wait_until(lambda: patch(url, 3_000_000, b"").status != 423, timeout_s=READ_S)
    held = ask("HEAD", url).offset
    assert 0 < held < 3_000_000

    page.reload()
    page.get_by_role("button", name="Upload (1)").click()
    expect(file).to_contain_text("Choose the same file again to go on.")
    assert ask("HEAD", url).offset == held
    hold_back(line, -1)
    with page.expect_request(lambda request: request.method == "PATCH") as first:
        page.set_input_files(FILES, path)
    assert first.value.headers["upload-offset"] == str(held)
    expect(file).to_contain_text("done in")
    assert end(stack, upload_id(file))["result"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    file.get_by_role("button", name="Remove: big.bin").click()
    expect(file).to_have_count(0)
    assert page.evaluate("localStorage['tidings.uploads']") == "[]"


DROP = """
(target, files) => {
  const data = new DataTransfer();
  for (const [name, text] of files) data.items.add(new File([text], name));
  for (const type of ["dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}
"""


def test_dropped_files_are_sent_and_a_batch_follows(page: Page, stack: Stack) -> None:
    """Wherever on the page they are dropped; their names are shown as text; an empty one is a file too."""
    form = open_form(page, stack, "upload")
    form.get_by_label("Then").select_option("A batch over its rows")
    form.get_by_label("Limit").fill("0")
    page.locator("h2").last.evaluate(DROP, [[f"{HOSTILE}.csv", "a,b\n1,2\n"]])
    file = row(page, HOSTILE)
    expect(file).to_contain_text("What is to follow cannot be sent as it stands above.")
    expect(form.get_by_label("Limit")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Limit").fill("1")
    file.get_by_role("button", name="Try again").click()
    expect(file).to_contain_text("Followed by batch")
    batch = (file.get_by_role("link").last.get_attribute("href") or "").removeprefix("/operations/")
    assert end(stack, batch)["result"]["done"] == 1

    form.get_by_label("Then").select_option("Nothing")
    page.locator("body").evaluate(DROP, [["empty.txt", ""], ["one.txt", "1"]])
    for name in ("empty.txt", "one.txt"):
        expect(row(page, name)).to_contain_text("done in")
        assert "then" not in end(stack, upload_id(row(page, name)))["result"]


def test_an_upload_is_cancelled_on_the_page_or_elsewhere(
    page: Page, line: CDPSession, stack: Stack, tmp_path: Path
) -> None:
    """Either way its row says so, and nothing more is sent."""
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(4_000_000))
    open_form(page, stack, "upload")
    hold_back(line, 600_000)
    page.set_input_files(FILES, path)
    file = row(page, "big.bin")
    expect(file.get_by_role("progressbar")).not_to_have_js_property("value", 0)
    file.get_by_role("button", name="Cancel").click()
    expect(file).to_have_attribute("data-state", "cancelled")
    assert end(stack, upload_id(file))["code"] == "cancelled"
    file.get_by_role("button", name="Remove").click()

    page.set_input_files(FILES, path)
    expect(file.get_by_role("progressbar")).not_to_have_js_property("value", 0)
    elsewhere = post_json(f"{stack.url}/api/operations/{upload_id(file)}/cancel", {})
    assert elsewhere.status == 202
    expect(file).to_have_attribute("data-state", "cancelled")
    expect(file.get_by_role("button", name="Remove")).to_be_visible()
