"""The browser kind on the whole stack: a real Chromium, pages that behave and pages that do not.

All sessions of the file are sent at once, and two run at a time: a start of Chromium takes a second.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

import pytest

from dev.redis_server import RedisServer
from tests.http_stream import post_json
from tests.odd_pages import OddPages, odd_pages
from tests.processes import below, with_word
from tests.stack import READ_S, Stack
from tests.waiting import wait_until

TYPED: Final = "canary-of-what-is-typed"
SCRIPTS: Final[dict[str, list[dict[str, Any]]]] = {
    "shop": [
        {"action": "goto", "url": "/shop?token=canary-of-a-query"},
        {"action": "fill", "selector": "#who", "text": TYPED},
        {"action": "click", "selector": "text=Greet"},
        {"action": "wait", "selector": "#out"},
        {"action": "extract", "selector": "h1", "name": "heading"},
        {"action": "extract", "selector": "#link", "name": "link", "attribute": "href"},
        {"action": "screenshot", "name": "shop"},
    ],
    "itself": [{"action": "goto", "url": "{service}/healthz"}],
    "hang": [{"action": "goto", "url": "/hang"}],
    "missing": [{"action": "goto", "url": "/shop"}, {"action": "click", "selector": "#nobody"}],
    "redirect": [{"action": "goto", "url": "/redirect"}],
    "redirect port": [{"action": "goto", "url": "/redirect-port"}],
    "elsewhere": [{"action": "goto", "url": "http://elsewhere.example/"}],
    "link": [
        {"action": "goto", "url": "/leave"},
        {"action": "click", "selector": "#away"},
        {"action": "wait", "selector": "#nobody"},
    ],
    "dialog": [
        {"action": "goto", "url": "/dialog"},
        {"action": "click", "selector": "button"},
        {"action": "extract", "selector": "button", "name": "answer"},
    ],
    "download": [{"action": "goto", "url": "/download"}],
    "flood": [{"action": "goto", "url": "/flood"}, {"action": "wait", "selector": "#end"}],
}  # fmt: skip
ENDLESS: Final = [{"action": "goto", "url": "/shop"}, {"action": "wait", "selector": "#nobody"}]


class Site(NamedTuple):
    """A stack whose sessions may visit it and a server of odd pages."""

    stack: Stack
    pages: OddPages
    sessions: dict[str, str]


class Told(NamedTuple):
    """All that was told of one session."""

    events: list[tuple[str, dict[str, Any]]]

    def of(self, event_type: str) -> list[dict[str, Any]]:
        """Give the events of one type."""
        return [data for found, data in self.events if found == event_type]

    @property
    def end(self) -> dict[str, Any]:
        """The terminal event, the last."""
        return self.events[-1][1]

    @property
    def warnings(self) -> list[str]:
        """The codes of the warnings."""
        return [warning["code"] for warning in self.of("warning")]


@pytest.fixture(scope="module")
def site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The stack with all sessions on their way; at the end nothing of Chromium is left."""
    with odd_pages() as pages, odd_pages() as other:
        pages.other_port = other.server_address[1]
        folder = tmp_path_factory.mktemp("browser")
        stack = Stack(redis_server.url, folder, web=1, TIDINGS_NAMESPACE="browser")
        stack.env["TIDINGS_BROWSER_HOSTS"] = f"{pages.place}, 127.0.0.1:{stack.port}"
        with stack:
            text = json.dumps(SCRIPTS).replace("{service}", stack.url)
            sessions = {
                name: stack.start_operation(
                    "browser", steps=steps, timeout=3 if name in {"hang", "missing"} else 30
                )
                for name, steps in json.loads(text).items()
            }
            yield Site(stack, pages, sessions)
        assert other.asked == []


def told(site: Site, name: str) -> Told:
    """Give what was told of a session, once it is over."""
    messages = site.stack.history(site.sessions.get(name, name))
    return Told([(message.type, json.loads(message.data)) for message in messages])


def test_a_session_tells_what_it_does_and_keeps_what_it_found(site: Site) -> None:
    """Each step, each navigation and what the page complains of are events; texts and pictures are kept."""
    shop = told(site, "shop")
    done = [event["details"] for event in shop.of("status") if event["status"].endswith(" done")]

    assert [details["action"] for details in done] == [step["action"] for step in SCRIPTS["shop"]]
    assert done[0]["httpStatus"] == 200
    assert done[1]["chars"] == len(TYPED)
    assert {event["status"] for event in shop.of("status")} >= {"browser started", "navigated"}
    assert shop.of("progress")[-1]["percentage"] == 100
    assert shop.end["result"]["title"] == "Shop"
    assert shop.end["result"]["extracted"] == {"heading": "Shop", "link": "/shop"}
    assert set(shop.warnings) >= {"console_error", "request_failed", "host_refused"}
    assert "the cart is broken" in [event["message"] for event in shop.of("warning")]
    assert "canary" not in json.dumps(shop.events)


def test_a_screenshot_is_handed_out_by_the_service(site: Site) -> None:
    """The event has its place, not its bytes."""
    (picture,) = told(site, "shop").end["result"]["screenshots"]
    with site.stack.stream(picture["url"]) as answer:
        assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    assert picture["bytes"] < 60_000


def test_the_service_itself_may_be_visited(site: Site) -> None:
    """It is the place that is allowed unless others are named."""
    assert told(site, "itself").of("complete")


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("hang", "step_timeout", "within 3 s"),
        ("missing", "step_timeout", "within 3 s"),
        ("redirect", "host_refused", "A redirect to elsewhere.example"),
        ("redirect port", "host_refused", "A redirect to 127.0.0.1:"),
        ("elsewhere", "host_refused", "elsewhere.example"),
        ("link", "host_refused", "elsewhere.example"),
        ("download", "download", "Download"),
    ],
)
def test_what_a_session_cannot_go_on_from_is_its_one_end(site: Site, name: str, code: str, says: str) -> None:
    """The error names what happened and in which step."""
    session = told(site, name)
    (error,) = session.of("error")

    assert (error["code"], error["terminal"]) == (code, True)
    assert says in error["message"]
    step = SCRIPTS[name][error["details"]["step"] - 1]
    assert error["details"]["action"] == step["action"]
    assert not session.of("complete")


def test_a_dialog_is_dismissed_and_told(site: Site) -> None:
    """Nobody sits there who could answer, and the page goes on."""
    dialog = told(site, "dialog")
    (warning,) = dialog.of("warning")
    assert (warning["code"], warning["message"]) == ("dialog", "Really?")
    assert dialog.end["result"]["extracted"] == {"answer": "no"}


def test_a_page_that_complains_without_end_is_cut_short(site: Site) -> None:
    """The log is not its to fill."""
    warnings = told(site, "flood").warnings
    assert len(warnings) == 50
    assert warnings[-1] == "more_warnings"


def waiting(site: Site) -> str:
    """Start a session that waits without end, and give its id once it does."""
    session = site.stack.start_operation("browser", steps=ENDLESS, timeout=60)
    with site.stack.stream(f"/api/events/operations/{session}?history=all") as stream:
        stream.read_until(lambda message: '"goto done"' in message.data, READ_S)
    return session


def chromium(site: Site) -> dict[int, str]:
    """Give the processes of Chromium below the worker."""
    assert site.stack.worker is not None
    return {
        pid: said
        for pid, said in below(site.stack.worker.pid).items()
        if "--host-resolver-rules" in said or "--type=" in said
    }


def test_a_crashed_page_is_told(site: Site) -> None:
    """The session ends with it."""
    session = waiting(site)
    for pid, said in chromium(site).items():
        if "--type=renderer" in said:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert told(site, session).end["code"] == "page_crashed"


def test_a_cancelled_session_ends_in_the_middle_of_a_step(site: Site) -> None:
    """It does not wait for the minute that its step has."""
    session = waiting(site)
    assert post_json(f"{site.stack.url}/api/operations/{session}/cancel", {}).status == 202
    assert told(site, session).end["code"] == "cancelled"


def test_no_chromium_is_left(site: Site) -> None:
    """Neither below the worker nor given to anybody else."""
    for name in site.sessions:
        told(site, name)
    wait_until(lambda: not chromium(site), timeout_s=READ_S)
    wait_until(lambda: not with_word(f"EXCLUDE {site.pages.place.partition(':')[0]}"), timeout_s=READ_S)
    output = site.stack.output("worker")
    assert "never retrieved" not in output
    assert "said after its end" not in output


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_sessions_leave_no_chromium(site: Site) -> None:
    """However they end."""
    names = list(SCRIPTS)
    steps = {
        name: json.loads(json.dumps(SCRIPTS[name]).replace("{service}", site.stack.url)) for name in names
    }
    started = [
        site.stack.start_operation("browser", steps=steps[names[number % len(names)]], timeout=3)
        for number in range(100)
    ]
    for session in started:
        told(site, session)
    wait_until(lambda: not chromium(site), timeout_s=READ_S)
