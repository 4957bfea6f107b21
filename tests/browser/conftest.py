"""Fixtures of the browser tests: one Chromium, and for each a fresh page whose complaints fail it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from dev.browser import find_chromium
from tests.clients.readers import CHROMIUM_FLAGS
from tests.stack import READ_S


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium that knows nobody; it ends with these tests, because other tests run one of their own."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS) as browser,
    ):
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window of 1280 by 800 with pages of its own; whatever they complain about fails the test."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # What a test takes away or refuses on purpose is reported by Chromium itself.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(READ_S * 1_000)
        context.on("console", hear)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (it) => console.error(it.violatedDirective))"
        )
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        yield context
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty page."""
    return context.new_page()
