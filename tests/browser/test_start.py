"""How people start things on the page at ``/``, in a real Chromium over the service as deployed.

Each kind from the form that is made of its schema, with nothing stubbed; by mouse, and by keyboard alone.
"""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stack import READ_S, Stack

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
    """Added, moved, removed, turned into another action; who does it by keyboard stays where they are."""
    form = open_form(page, stack, "browser")
    steps = form.get_by_role("group", name=re.compile(r"^Step \d$"))
    expect(steps).to_have_count(4)
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
    third.get_by_label("Name").fill("page")
    assert sent(page, form, "browser") == {
        "steps": [
            {"action": "goto", "url": "/"},
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
    """The shipped pipeline; one to write, which begins as the shipped one; one put together from steps."""
    form = open_form(page, stack, "workflow")
    form.get_by_label("Pipeline").select_option("YAML text")
    text = form.get_by_label("YAML text")
    expect(text).to_have_value(re.compile("^steps:$", re.MULTILINE))
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
        ("0", "limit must be integer from 1 or null (expected `int` >= 1)"),
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


def test_a_refused_field_in_a_list_is_said_at_that_field(page: Page, stack: Stack) -> None:
    """Whatever was put in, it is shown as text."""
    form = open_form(page, stack, "browser")
    name = form.get_by_role("group", name="Step 4").get_by_label("Name")
    name.fill(HOSTILE)
    form.get_by_role("button", name="Start browser").click()
    expect(name).to_be_focused()
    expect(form.get_by_role("group", name="Step 4").locator(".problem:not(:empty)")).to_contain_text(
        "steps[3].name"
    )


def test_a_wrong_line_of_a_pipeline_is_said_at_its_text(page: Page, stack: Stack) -> None:
    """What has no field of its own is said at the nearest one."""
    form = open_form(page, stack, "workflow")
    form.get_by_label("Pipeline").select_option("YAML text")
    text = form.get_by_label("YAML text")
    text.fill("steps: [{name: a, task: dig}]")
    form.get_by_role("button", name="Start workflow").click()
    expect(text).to_have_accessible_description(
        "pipeline.steps[0].task must be one of aggregate, analyse, render, scan, not 'dig'"
    )


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
    for kind in ("Batch", "Browser", "Agent", "Workflow"):
        page.get_by_role("button", name=kind, exact=True).click()
        expect(page.locator("form:visible .field").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
