"""The JavaScript client in a real Chromium, against the service as deployed, through whatever comes between.

What is promised is judged by warnings, since every one of them must arrive, once and in order: what a page
has heard is compared with what was reported. Firefox and WebKit are not driven: the project brings no others.
"""

import os
import re
import signal
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, Page

from dev.redis_server import RedisServer
from tests.gate import Gate
from tests.stack import READ_S, Stack
from tests.waiting import wait_until
from tidings import Operation

HEARTBEAT_S: Final = 1.0
"""A fifteenth of what it is by default, so that silence is noticed in a time that a test can wait."""

FOLLOW: Final = """
async (options) => {
  const { connect } = await import("/client/tidings.js");
  window.heard ??= [];
  window.client = connect({ heartbeatMs: 1000, ...options });
  for (const type of ["event", "reset", "state", "problem"]) {
    client.on(type, (event) => heard.push([type === "event" ? event.type : type, event]));
  }
}
"""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for these tests, to kill and to flush."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def house(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The web processes, whose heartbeats come fast."""
    folder = tmp_path_factory.mktemp("house")
    beat = str(HEARTBEAT_S)
    with Stack(redis.url, folder, worker=False, TIDINGS_HEARTBEAT_S=beat) as stack:
        yield stack


@pytest.fixture
def gate(house: Stack) -> Iterator[Gate]:
    """What stands between the browser and the service."""
    with Gate(house.port) as gate:
        yield gate


def follow(page: Page, where: str, operation: Operation, **options: Any) -> None:
    """Open a page that does nothing else, follow *operation* on it, and wait until that is live."""
    if not page.url.startswith(where):
        page.goto(f"{where}/healthz")
    page.evaluate(FOLLOW, {"topics": [f"operations:{operation.id}"], **options})
    reach(page, "live")


def reach(page: Page, state: str) -> None:
    """Wait until the client is in *state*."""
    page.wait_for_function("state => client.state === state", arg=state)


def heard(page: Page, kind: str) -> list[Any]:
    """Give what has been heard of one type of event."""
    events: list[Any] = page.evaluate(
        "kind => heard.filter(([type]) => type === kind).map(([, it]) => it)", kind
    )
    return events


def wait_heard(page: Page, kind: str, least: int = 1) -> None:
    """Wait until so many of a type of event have been heard."""
    page.wait_for_function(
        "([kind, least]) => heard.filter(([type]) => type === kind).length >= least", arg=[kind, least]
    )


def warn(stack: Stack, operation: Operation, *numbers: int) -> None:
    """Report a numbered warning each, and wait until they are in the log."""
    for number in numbers:
        operation.warning("n", str(number))
    stack.flush()


def assert_heard_once(page: Page, numbers: range) -> None:
    """Check that exactly these warnings were heard, once each and in order."""
    wait_heard(page, "warning", len(numbers))
    assert [int(event["message"]) for event in heard(page, "warning")] == list(numbers)


def cursors(gate: Gate) -> list[str]:
    """Give the cursor of each request for a stream, empty where there was none."""
    return [(re.findall(r"last_event_id=([^&\s]+)", head) or [""])[0] for head in gate.asked]


def test_nothing_is_missed_when_the_web_process_is_killed(page: Page, house: Stack, gate: Gate) -> None:
    """Killed with -9 in the middle of it, the client goes on with another process from where it was."""
    operation = house.operation()
    follow(page, gate.url, operation, share=False)
    warn(house, operation, 0, 1)
    wait_heard(page, "warning", 2)
    for pid in house.web_pids():
        os.kill(pid, signal.SIGKILL)
    warn(house, operation, 2, 3)
    reach(page, "live")
    warn(house, operation, 4)

    assert_heard_once(page, range(5))
    assert "reconnecting" in heard(page, "state")
    assert heard(page, "reset") == []


def test_a_proxy_that_dies_silently_is_noticed(page: Page, house: Stack, gate: Gate) -> None:
    """No byte and no end: after two and a half heartbeats another stream goes on from the cursor."""
    operation = house.operation()
    follow(page, gate.url, operation, share=False)
    warn(house, operation, 0)
    wait_heard(page, "warning")
    gate.fall_silent()
    warn(house, operation, 1, 2)
    reach(page, "reconnecting")
    reach(page, "live")
    warn(house, operation, 3)

    assert_heard_once(page, range(4))
    assert "silent" in heard(page, "problem")[0]["message"]


def test_a_503_in_between_does_not_end_it(page: Page, house: Stack, gate: Gate) -> None:
    """Where an EventSource is closed for ever, the client keeps asking, from its cursor."""
    operation = house.operation()
    follow(page, gate.url, operation, share=False)
    warn(house, operation, 0)
    wait_heard(page, "warning")
    gate.status = 503
    gate.cut()
    page.wait_for_function("() => heard.filter(([, it]) => it.status === 503).length >= 2")
    warn(house, operation, 1)
    gate.status = 0
    reach(page, "live")

    assert_heard_once(page, range(2))
    assert all(cursors(gate)[1:])


def test_a_refused_token_is_asked_for_anew(page: Page, house: Stack, gate: Gate) -> None:
    """A 401 asks the callback, and the stream goes on from its cursor with what that gave."""
    operation = house.operation()
    gate.token = "first"  # noqa: S105 - of this test only
    page.goto(f"{gate.url}/healthz")
    page.evaluate(
        f"""async (topics) => {{
          window.asked = [];
          const tokens = ["first", "second"];
          const token = async (why) => {{ asked.push(why.refused ?? null); return tokens.shift(); }};
          await ({FOLLOW})({{ topics, token }});
        }}""",
        [f"operations:{operation.id}"],
    )
    reach(page, "live")
    warn(house, operation, 0)
    wait_heard(page, "warning")
    gate.token = "second"  # noqa: S105
    gate.cut()
    warn(house, operation, 1)

    assert_heard_once(page, range(2))
    assert page.evaluate("asked") == [None, 401]
    assert cursors(gate)[-1]


def test_a_204_and_an_end_are_the_end(page: Page, house: Stack, gate: Gate) -> None:
    """An operation's own stream finishes with a 204; its name among the topics with its terminal event."""
    operation = house.operation()
    page.goto(f"{gate.url}/healthz")
    page.evaluate(FOLLOW, {"url": f"/api/events/operations/{operation.id}", "share": False})
    reach(page, "live")
    operation.error("row", "it failed")
    reach(page, "finished")
    wait_until(lambda: gate.streams == 0, timeout_s=READ_S)
    assert [(event["code"], event["terminal"]) for event in heard(page, "error")] == [("row", True)]
    assert len(gate.asked) == 2

    page.evaluate(FOLLOW, {"topics": f"operations:{operation.id}", "share": False})
    reach(page, "finished")
    assert len(gate.asked) == 3


def test_redis_away_and_back_is_degraded_and_then_live(page: Page, house: Stack, redis: RedisServer) -> None:
    """A Redis that is killed and started again costs nothing that was said."""
    operation = house.operation()
    follow(page, house.url, operation, share=False)
    warn(house, operation, 0)
    wait_heard(page, "warning")
    redis.kill()
    reach(page, "degraded")
    operation.warning("n", "1")
    redis.start()
    reach(page, "live")
    warn(house, operation, 2)

    assert_heard_once(page, range(3))


def test_a_lost_history_is_one_reset_with_the_new_state(page: Page, house: Stack) -> None:
    """When Redis was emptied the page is told once, with all that there is now."""
    operation = house.operation()
    page.goto(f"{house.url}/healthz")
    page.evaluate(FOLLOW, {"share": False})
    reach(page, "live")
    warn(house, operation, 0)
    wait_heard(page, "warning")
    assert house.log.redis.flushall()
    wait_heard(page, "reset")
    (reset,) = heard(page, "reset")
    assert reset["reason"] == "history_lost"
    assert operation.id not in [event["operationId"] for event in reset["events"]]
    another = house.operation()
    page.wait_for_function("id => heard.some(([, it]) => it.operationId === id)", arg=another.id)


def test_offline_and_online_miss_nothing(
    page: Page, context: BrowserContext, house: Stack, gate: Gate
) -> None:
    """As soon as the network is back so is the stream, though it had waited long."""
    operation = house.operation()
    follow(page, gate.url, operation, share=False)
    warn(house, operation, 0)
    wait_heard(page, "warning")
    context.set_offline(True)
    gate.cut()
    reach(page, "reconnecting")
    warn(house, operation, 1)
    page.wait_for_function("() => heard.filter(([type]) => type === 'problem').length >= 3")
    context.set_offline(False)

    assert_heard_once(page, range(2))
    reach(page, "live")


def test_a_frozen_page_goes_on_when_it_is_thawed(
    page: Page, context: BrowserContext, house: Stack, gate: Gate
) -> None:
    """The stream died while nothing ran on the page; thawed, it has everything."""
    operation = house.operation()
    follow(page, gate.url, operation, share=False)
    devtools = context.new_cdp_session(page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    gate.fall_silent()
    warn(house, operation, 0, 1)
    devtools.send("Page.setWebLifecycleState", {"state": "active"})

    assert_heard_once(page, range(2))
    reach(page, "live")
