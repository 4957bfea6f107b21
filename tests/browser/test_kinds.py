"""Each of the five kinds by hand: started in the page, cancelled half way, failed and understood.

In a real Chromium over the service as deployed. What is watched to its end is in test_operation_page.py, what
can be put into the forms in test_start.py.
"""

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from dev.redis_server import RedisServer
from tests.http_stream import get_json
from tests.model_provider import model_provider
from tests.stack import READ_S, Stack

MOST_BYTES: Final = 5_000_000
HALF: Final = 1_000_000
SLOW: Final = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}
"""A line that takes a while for an upload; bytes a second."""
TWO_SUMS: Final = """
steps:
  - {name: list, task: scan, params: {limit: 3}}
  - {name: count, task: analyse, needs: [list]}
  - {name: sum1, task: aggregate, needs: [count]}
  - {name: sum2, task: aggregate, needs: [count]}
  - {name: page, task: render, needs: [sum1, sum2]}
  - {name: never, task: render, needs: [sum1, page]}
"""
"""Right as it stands, but a report is of one sum."""


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Wait as long as a busy machine needs."""
    expect.set_options(timeout=READ_S * 1_000)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service whose agents think with a model that does as it is told, and whose uploads have a limit."""
    folder = tmp_path_factory.mktemp("kinds")
    with (
        RedisServer(folder / "redis") as redis,
        model_provider() as provider,
        Stack(
            redis.url,
            folder,
            web=1,
            OPENAI_API_KEY="a-key-that-is-none",
            OPENAI_BASE_URL=provider.url,
            TIDINGS_AGENT_MODEL="openai-chat:gpt-5-mini",
            TIDINGS_MAX_UPLOAD_BYTES=str(MOST_BYTES),
        ) as stack,
    ):
        yield stack


class Case(NamedTuple):
    """What a person puts into a form, and what the operation's page is then to show."""

    fill: Callable[[Locator], None]
    shows: tuple[str, ...]


def form_of(page: Page, service: Stack, kind: str) -> Locator:
    """Open the overview and the form of a kind, as a person would."""
    page.goto(service.url)
    page.get_by_role("button", name=kind.capitalize(), exact=True).click()
    form = page.get_by_role("form", name=f"Start {kind}")
    expect(form.locator(".fields").first).to_be_visible()
    return form


def start(page: Page, service: Stack, kind: str, fill: Callable[[Locator], None]) -> None:
    """Start an operation from its form, and follow the link to its page."""
    form = form_of(page, service, kind)
    fill(form)
    form.get_by_role("button", name=f"Start {kind}").click()
    form.get_by_role("status").get_by_role("link").click()
    expect(page.locator("#story")).to_be_visible()


def as_it_is(_: Locator) -> None:
    """Leave the form as it is."""


def with_prompt(prompt: str) -> Callable[[Locator], None]:
    """Ask the model something: its first word is what it does."""
    return lambda form: form.get_by_label("Prompt").fill(prompt)


def first_step(form: Locator) -> Locator:
    """Leave the first step of a browser session alone, and open it."""
    steps = form.get_by_role("group", name=re.compile(r"^Step \d$"))
    for _ in range(steps.count() - 1):
        form.get_by_role("button", name="Remove: Step 2").click()
    step = form.get_by_role("group", name="Step 1")
    step.locator("summary").click()
    return step


def waiting_for_ever(form: Locator) -> None:
    """Open a page and wait for what never comes, for as long as may be."""
    first_step(form)
    form.get_by_role("button", name="Add step").click()
    step = form.get_by_role("group", name="Step 2")
    step.get_by_label("Action").select_option("wait")
    step.get_by_label("Selector").fill("#never")
    form.get_by_label("Timeout").fill("60")


def to_another_host(form: Locator) -> None:
    """Open a page that sessions may not."""
    first_step(form).get_by_label("Url").fill("https://example.org/")


def of_a_lost_upload(form: Locator) -> None:
    """Work on a file that is not there."""
    form.get_by_label("Source").select_option("Upload source")
    form.get_by_label("Upload", exact=True).fill("gone-long-ago")


def as_text(form: Locator) -> None:
    """Run a pipeline one of whose steps fails."""
    form.get_by_label("Pipeline").select_option("YAML text")
    form.get_by_label("YAML text").fill(TWO_SUMS)


HALF_WAY: Final = {
    "batch": Case(as_it_is, ("#says", " of ")),
    "workflow": Case(as_it_is, ("#steps .step[data-status=succeeded]", "succeeded")),
    "agent": Case(with_prompt("stall for ever"), ("#transcript .text", "I begin to")),
    "browser": Case(waiting_for_ever, ("#session", "answered 200")),
}


@pytest.mark.parametrize("kind", HALF_WAY)
def test_a_kind_is_cancelled_half_way(page: Page, service: Stack, kind: str) -> None:
    """Its page says so, with what that means; it goes no further, also after a reload."""
    fill, (place, says) = HALF_WAY[kind]
    start(page, service, kind, fill)
    expect(page.locator(place).first).to_contain_text(says)
    cancelled_by_button(page, service)


def test_an_upload_is_cancelled_half_way(page: Page, service: Stack, tmp_path: Path) -> None:
    """On its own page, while another one sends it."""
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(4 * HALF))
    form = form_of(page, service, "upload")
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", SLOW)
    page.set_input_files("#files", path)
    other = page.context.new_page()
    other.goto(f"{service.url}{form.get_by_role('link').first.get_attribute('href')}")
    expect(other.locator("#says")).to_contain_text(" of 4.0 MB")
    cancelled_by_button(other, service)
    file = form.get_by_role("listitem")
    expect(file).to_have_attribute("data-state", "cancelled")
    expect(file.get_by_role("button", name="Remove")).to_be_visible()


def cancelled_by_button(page: Page, service: Stack) -> None:
    """Cancel what a page shows by its button, and read what it says then and after a reload."""
    page.get_by_role("button", name="Cancel …").click()
    page.get_by_role("button", name="Cancel it").click()
    card = page.locator("#operation")
    expect(card.locator("> .status")).to_have_text("cancelled")
    expect(page.locator("#connection")).to_have_text("over")
    shown = ends(page)
    assert "Somebody asked for it. What it had done until then may stand." in shown
    page.reload()
    expect(page.locator("#connection")).to_have_text("over")
    assert ends(page) == shown
    history = f"{service.url}/api/operations/{card.get_attribute('data-id')}/events?limit=1000"
    events = get_json(history).body["events"]
    (last,) = [number for number, event in enumerate(events) if event["data"].get("terminal")]
    assert last == len(events) - 1, "nothing follows the end"
    assert page.locator("#operation progress").evaluate("bar => bar.position") < 1


def ends(page: Page) -> str:
    """Read what a page says of the end of its operation, with how far it got."""
    expect(page.locator("#failure")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel …")).to_be_hidden()
    assert page.locator("#result").is_hidden()
    bar = page.locator("#operation progress").evaluate("bar => bar.position")
    return f"{bar} {page.locator('#says').text_content()} {page.locator('#failure').inner_text()}"


FAILING: Final = {
    "batch": Case(
        of_a_lost_upload,
        (
            "There is no upload gone-long-ago",
            "not finished, or is not kept any more",
            "Upload the file again",
        ),
    ),
    "agent": Case(
        with_prompt("refuse this"), ("openai-chat:gpt-5-mini", "401", "refused or could not be reached")
    ),
    "browser": Case(to_another_host, ("example.org", "may only visit the hosts", "TIDINGS_BROWSER_HOSTS")),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_kind_fails_and_is_understood(page: Page, service: Stack, kind: str) -> None:
    """Its page says what failed, why, and what can be done about it; also after a reload."""
    fill, says = FAILING[kind]
    start(page, service, kind, fill)
    understood(page, says)


def test_a_workflow_fails_and_is_understood(page: Page, service: Stack) -> None:
    """It says which step failed, and shows that, what was not run for it, and what stands."""
    start(page, service, "workflow", as_text)
    understood(
        page,
        ("Step page failed", "ValueError", "See the step that failed", "not done again when it is resumed"),
    )
    steps = page.get_by_role("region", name="Steps").locator(".step")
    for name, stands in [("sum1", "succeeded"), ("page", "failed"), ("never", "failed")]:
        step = steps.filter(has=page.get_by_role("link", name=name, exact=True))
        expect(step.locator(".status")).to_have_text(stands)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_an_upload_fails_and_is_understood(page: Page, service: Stack, tmp_path: Path) -> None:
    """One that came as another file than was announced, and one that is too long to begin with."""
    path = tmp_path / "poem.txt"
    path.write_text("a line")
    form = form_of(page, service, "upload")

    def announce(route: Route) -> None:
        headers = route.request.headers
        digest = base64.b64encode(b"0" * 64).decode()
        headers["upload-metadata"] += f",sha256 {digest}"
        route.continue_(headers=headers)

    page.route("**/api/uploads", announce)
    page.set_input_files("#files", path)
    file = form.get_by_role("listitem")
    expect(file).to_have_attribute("data-state", "failed")
    expect(file).to_contain_text("another SHA-256 than was announced")
    page.unroute("**/api/uploads")

    big = tmp_path / "big.bin"
    big.write_bytes(bytes(MOST_BYTES + HALF))
    page.set_input_files("#files", big)
    expect(form.get_by_role("listitem").last).to_contain_text(
        "too big: it has 6.0 MB, and 5.0 MB may be sent"
    )

    form.get_by_role("link", name="poem.txt").click()
    understood(page, ("another SHA-256", "not the one that was announced", "Upload it again"))


def understood(page: Page, says: tuple[str, ...]) -> None:
    """Read why an operation failed, before and after a reload."""
    for _ in range(2):
        expect(page.locator("#operation > .status")).to_have_text("failed")
        failure = page.get_by_role("region", name="What went wrong")
        for each in says:
            expect(failure).to_contain_text(each)
        assert page.locator("#operation progress").evaluate("bar => bar.position") < 1
        expect(page.get_by_role("button", name="Cancel …")).to_be_hidden()
        page.reload()
