"""The README's pictures: the pages with an ordinary day's operations. With ``--pictures``."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from dev.redis_server import RedisServer
from tests.browser.scenes import an_ordinary_day
from tests.stack import READ_S, ROOT, Stack

PICTURES: Final = ROOT / "docs" / "pictures"
MOST_BYTES: Final = 150_000
DESK: Final[dict[str, Any]] = {"viewport": {"width": 1100, "height": 720}}
LIVE: Final = re.compile("live|over")
PHONE: Final[dict[str, Any]] = {"viewport": {"width": 360, "height": 720}, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, dict[str, str]]]:
    """A service with an ordinary day's operations, and the paths of its pages."""
    folder = tmp_path_factory.mktemp("day")
    with (
        RedisServer(folder / "redis") as redis,
        Stack(redis.url, folder, worker=False, web=1) as stack,
    ):
        shown = {name: f"/operations/{operation.id}" for name, operation in an_ordinary_day(stack).items()}
        yield stack, {"overview": "/"} | shown


@pytest.mark.pictures
@pytest.mark.parametrize(
    ("name", "path", "scheme", "window"),
    [
        ("overview", "overview", "light", DESK),
        ("overview-phone", "overview", "dark", PHONE),
        ("workflow", "nightly", "light", DESK),
        ("failed", "failed", "dark", DESK),
    ],
)
def test_picture(  # noqa: PLR0917 - what a picture is of
    browser: Browser,
    day: tuple[Stack, dict[str, str]],
    name: str,
    path: str,
    scheme: str,
    window: dict[str, Any],
) -> None:
    """Each is of a page that is live, and small enough for a README, which shows it."""
    stack, paths = day
    options: Any = window | {"color_scheme": scheme, "reduced_motion": "reduce", "locale": "en-GB"}
    with browser.new_context(**options) as context:
        context.set_default_timeout(READ_S * 1_000)
        page = context.new_page()
        page.goto(f"{stack.url}{paths[path]}")
        _settle(page)
        page.screenshot(path=PICTURES / f"{name}.png")
    assert (PICTURES / f"{name}.png").stat().st_size < MOST_BYTES
    assert f"docs/pictures/{name}.png" in (ROOT / "README.md").read_text(encoding="utf-8")


def _settle(page: Page) -> None:
    """Wait until the page has all that it is going to show."""
    expect(page.locator("#connection")).to_have_text(LIVE, timeout=READ_S * 1_000)
    page.evaluate("document.fonts.ready")
