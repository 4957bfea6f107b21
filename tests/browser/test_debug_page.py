"""The operator's page in a real Chromium over the service as deployed: who waits, what is and was said."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Locator, Page, expect

from dev.redis_server import RedisServer
from tests.browser.axe import found_by_axe
from tests.forged_tokens import HOUR_S, SECRET
from tests.stack import READ_S, Stack
from tidings.tokens import Keys

HOSTILE: Final = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Wait as long as a busy machine needs."""
    expect.set_options(timeout=READ_S * 1_000)


def section(page: Page, name: str) -> Locator:
    """Find a part of the page by its heading."""
    return page.get_by_role("region", name=name, exact=True)


def tail(page: Page, stack: Stack, topics: str) -> Locator:
    """Open the page and follow *topics*; give the lines."""
    page.goto(f"{stack.url}/debug")
    expect(page.locator("#connection")).to_have_text("live")
    part = section(page, "Live tail")
    part.get_by_label("Topics").fill(topics)
    part.get_by_label("Topics").press("Enter")
    expect(part.locator("li")).to_have_count(0)
    expect(page.locator("#connection")).to_have_text("live")
    return part.locator("li")


def test_what_is_said_on_a_topic_is_shown_as_text_and_can_be_held(page: Page, stack: Stack) -> None:
    """Each event as it comes, whatever is in it; what is said while it is held comes when it goes on."""
    operation = stack.operation("debugged", id="debugged-1")
    lines = tail(page, stack, "operations:debugged-1, agents:none")
    operation.warning("first", HOSTILE)
    stack.flush()
    expect(lines).to_have_count(1)
    expect(lines.first).to_contain_text(json.dumps(HOSTILE))
    part = section(page, "Live tail")
    part.get_by_role("button", name="Pause").click()
    operation.warning("second", "while it was held")
    stack.flush()
    expect(lines).to_have_count(1)
    part.get_by_role("button", name="Go on").click()
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("while it was held")
    part.get_by_label("Type").select_option("status")
    part.get_by_role("button", name="Follow").click()
    expect(page.locator("#connection")).to_have_text("live")
    operation.warning("third", "not asked for")
    operation.complete()
    stack.flush()
    expect(lines).to_have_count(1)
    expect(lines.first).to_contain_text('"status":"succeeded"')
    part.get_by_label("Topics").fill("operation:wrong")
    part.get_by_role("button", name="Follow").click()
    expect(part.get_by_role("alert")).to_contain_text("topics must be operations:<id>")
    assert page.title() == "Debug · Tidings"


def test_who_waits_is_shown_and_found_by_topic(page: Page, stack: Stack) -> None:
    """The page's own streams are among them; the table is asked for anew by itself."""
    page.goto(f"{stack.url}/debug")
    part = section(page, "Streams")
    expect(part.locator(".sum")).to_contain_text("in 2 processes of this host")
    with stack.stream("/api/events/stream?topics=operations:waited-for&types=complete") as stream:
        stream.read_until(lambda message: message.type == "heartbeat", READ_S)
        rows = part.locator("tbody tr")
        expect(rows.filter(has_text="operations:waited-for · complete")).to_have_count(1)  # by itself
        part.get_by_label("Waiting for").fill("operations:waited-for")
        part.get_by_role("button", name="Show").click()
        expect(rows.filter(has_text="operations:waited-for · complete")).to_have_count(1)
        expect(rows.filter(has_text="everything")).not_to_have_count(0)
    part.get_by_label("Waiting for").fill("nonsense")
    part.get_by_role("button", name="Show").click()
    expect(part.get_by_role("alert")).to_contain_text("topic must be")


def test_an_operation_is_replayed_by_keyboard(page: Page, stack: Stack) -> None:
    """At any speed, and event by event: each shows how it stood then."""
    operation = stack.operation("replayed", id="replayed-1")
    for done in range(1, 4):
        operation.progress(done, 4, HOSTILE if done == 2 else "more")
        stack.flush()
    operation.warning("odd", HOSTILE)
    operation.complete({"rows": 4})
    stack.flush()
    page.goto(f"{stack.url}/debug")
    part = section(page, "Replay")
    part.get_by_label("Operation").focus()
    page.keyboard.type("replayed-1")
    page.keyboard.press("Enter")
    total = len(stack.history("replayed-1"))
    count, stage, event = part.locator(".sum"), part.locator(".stage"), part.locator(".event")
    expect(count).to_contain_text(f"1 of {total} · 0 s after the first")
    expect(stage.locator(".status")).to_have_text("running")
    part.get_by_role("button", name="Step", exact=True).focus()
    page.keyboard.press("Enter")
    expect(stage.locator(".says")).to_have_text("1 of 4 · more")
    assert stage.get_by_role("progressbar").evaluate("bar => bar.value") == 25
    page.keyboard.press("Enter")
    expect(stage.locator(".says")).to_have_text(f"2 of 4 · {HOSTILE}")
    part.get_by_role("button", name="Step back").press("Enter")
    expect(stage.locator(".says")).to_have_text("1 of 4 · more")
    slider = part.get_by_label("Event", exact=True)
    slider.press("End")
    expect(stage.locator(".status")).to_have_text("succeeded")
    expect(event).to_contain_text('"rows": 4')
    slider.press("Home")
    expect(stage.locator(".status")).to_have_text("running")
    part.get_by_label("Speed").select_option("1000")
    part.get_by_role("button", name="Play").press("Enter")
    expect(count).to_contain_text(f"{total} of {total} ·")
    expect(part.get_by_role("button", name="Play")).to_be_visible()
    assert page.title() == "Debug · Tidings"
    part.get_by_label("Operation").fill("nobody")
    part.get_by_role("button", name="Load").click()
    expect(part.get_by_role("alert")).to_contain_text("there is no operation nobody")
    expect(count).to_be_hidden()


def test_the_page_is_readable(page: Page, stack: Stack) -> None:
    """In light and dark, on a desk and on a phone, with something in each of its parts."""
    lines = tail(page, stack, "")
    operation = stack.operation("read", id="read-1")
    operation.warning("odd", "a/path/without/any/place/to/break" * 5)
    stack.flush()
    expect(lines.filter(has_text="read-1")).not_to_have_count(0)
    part = section(page, "Replay")
    part.get_by_label("Operation").fill("read-1")
    part.get_by_role("button", name="Load").click()
    expect(part.locator(".event")).to_be_visible()
    expect(section(page, "Streams").locator("tbody tr")).not_to_have_count(0)
    assert found_by_axe(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert found_by_axe(page) == []
    operation.complete()


@pytest.fixture
def closed(redis_server: RedisServer, tmp_path: Path) -> Iterator[Stack]:
    """A service that asks for tokens."""
    env = {"TIDINGS_AUTH": "required", "TIDINGS_SECRET_KEY": SECRET, "TIDINGS_NAMESPACE": "debugclosed"}
    env |= {"TIDINGS_DRAIN_S": "0.1"}
    with Stack(redis_server.url, tmp_path, worker=False, web=1, **env) as stack:
        yield stack


def test_an_operator_signs_in_with_a_token(page: Page, closed: Stack) -> None:
    """It becomes a cookie; who is signed in and no operator is asked for another token."""
    keys = Keys.parse(SECRET)
    page.goto(f"{closed.url}/debug")
    assert found_by_axe(page) == []
    for token, says in (
        ("nonsense", "This token is not good."),
        (keys.sign("ann", HOUR_S, topics=["*"]), "does not say operator"),
        (keys.sign("olga", HOUR_S, topics=["*"], operator=True), "in 1 process of this host"),
    ):
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Begin a session").click()
        expect(page.locator("main")).to_contain_text(says)
    expect(section(page, "Streams").locator("tbody tr")).to_contain_text("olga")
