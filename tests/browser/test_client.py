"""The JavaScript client in a real Chromium, against the service as deployed, through whatever comes between.

What is promised is judged by warnings, since every one of them must arrive, once and in order: what a page
has heard is compared with what was reported. What needs no more than a page also runs in other browsers
(test_client_engines.py).
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from dev.browser import find_chromium
from dev.redis_server import RedisServer
from tests.clients.readers import CHROMIUM_FLAGS
from tests.gate import Gate
from tests.long_run import Figure
from tests.stack import READ_S, Stack
from tests.waiting import wait_until
from tidings import Operation

HEARTBEAT_S: Final = 1.0
"""A fifteenth of what it is by default, so that silence is noticed in a time that a test can wait."""

WATCHED_S: Final = 120
"""How long many operations are followed. Asked for."""

FOLLOW: Final = """
async (options) => {
  const { connect } = await import("/client/tidings.js");
  window.heard ??= [];
  window.client = connect({ heartbeatMs: 1000, ...options });
  for (const type of ["event", "reset", "state", "problem"]) {
    client.on(type, (event) => heard.push([type === "event" ? event.type : type, event, performance.now()]));
  }
}
"""

AWAY_MS: Final = """() => {
  const at = (state, from) =>
    heard.findIndex(([type, it], place) => type === "state" && it === state && place > from);
  const lost = at("reconnecting", -1);
  return Math.round(heard[at("live", lost)][2] - heard[lost][2]);
}"""
"""Between the stream's loss and the next one's first heartbeat."""


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


def test_nothing_is_missed_when_the_web_process_is_killed(
    page: Page, house: Stack, gate: Gate, figure: Figure
) -> None:
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
    figure("live again after kill -9 of all web processes, ms", page.evaluate(AWAY_MS))


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
    page.wait_for_function("() => heard.filter(([, it]) => it.status === 503).length >= 1")
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


def test_twelve_tabs_share_one_stream_and_hand_it_on(
    context: BrowserContext, house: Stack, gate: Gate
) -> None:
    """With HTTP/1.1's six connections all are live; when the tab that holds the stream goes, another does."""
    shared, own = house.operation(), house.operation()
    pages = [context.new_page() for _ in range(12)]
    for page in pages:
        follow(page, gate.url, shared)
    wait_until(lambda: gate.streams == 1, timeout_s=READ_S)
    page.evaluate(FOLLOW, {"topics": [f"operations:{own.id}"]})
    warn(house, shared, 0, 1)
    for page in pages:
        wait_heard(page, "warning", 2)
    assert gate.streams == 1

    for number in range(2, 6):
        leader = wait_until(lambda: leader_of(pages), timeout_s=READ_S)
        warn(house, shared, number)
        leader.close()
        pages.remove(leader)
    warn(house, shared, 6)
    warn(house, own, 100)
    for page in pages:
        wait_heard(page, "warning", 7)
    wait_until(lambda: gate.streams == 1, timeout_s=READ_S)
    messages = [[int(event["message"]) for event in heard(page, "warning")] for page in pages]
    rest = [[number for number in numbers if number < 100] for numbers in messages]
    assert rest == [list(range(7))] * 8
    wait_heard(pages[-1], "warning", 8)
    assert all(heard(page, "reset") == [] for page in pages)


def leads(page: Page) -> bool:
    """Tell whether it is this page that holds the stream: it, and its lock."""
    held: bool = page.evaluate(
        """() => navigator.locks.request("mine", async () => {
          const { held } = await navigator.locks.query();
          const { clientId } = held.find(({ name }) => name === "mine");
          return held.some((lock) => lock.name.startsWith("tidings") && lock.clientId === clientId);
        })"""
    )
    return held


def leader_of(pages: list[Page]) -> Page | None:
    """Give the page that holds the stream of them all."""
    return next(filter(leads, pages), None)


def test_a_page_that_is_kept_for_the_way_back_goes_on(browser: Browser, house: Stack, gate: Gate) -> None:
    """Neither stream nor lock keeps it from being kept; brought back, it has what happened meanwhile."""
    operation = house.operation()
    with browser.browser_type.launch(
        executable_path=find_chromium(),
        args=CHROMIUM_FLAGS,
        ignore_default_args=["--disable-back-forward-cache"],
    ) as keeping:
        page = keeping.new_page()
        page.goto(f"{gate.url}/client/page.js")  # what says no-store is never kept
        follow(page, gate.url, operation)
        wait_until(lambda: gate.streams == 1, timeout_s=READ_S)
        page.evaluate("addEventListener('pageshow', ({persisted}) => { window.kept = persisted; })")
        page.goto(f"{gate.url}/client/parse.js")
        wait_until(lambda: gate.streams == 0, timeout_s=READ_S)
        warn(house, operation, 0, 1)
        page.evaluate("history.back()")
        page.wait_for_function("() => window.kept")

        assert_heard_once(page, range(2))
        assert heard(page, "reset") == []


@pytest.mark.long
def test_a_tab_that_hangs_loses_the_stream_to_another(
    context: BrowserContext, house: Stack, gate: Gate
) -> None:
    """Its lock is stolen; when it runs again it follows the other, and neither has missed anything."""
    operation = house.operation()
    pages = [context.new_page() for _ in range(2)]
    for page in pages:
        follow(page, gate.url, operation)
    leader, other = sorted(pages, key=leads, reverse=True)
    warn(house, operation, 0)
    wait_heard(other, "warning")
    hang = "() => { setTimeout(() => { for (const end = Date.now() + 15_000; Date.now() < end; ); }) }"
    leader.evaluate(hang)
    warn(house, operation, *range(1, 50))
    wait_until(lambda: leads(other), timeout_s=READ_S)
    warn(house, operation, 50)
    for page in (other, leader):
        assert_heard_once(page, range(51))
    wait_until(lambda: gate.streams == 1, timeout_s=READ_S)
    assert not leads(leader)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_two_minutes_of_many_events_cost_little_time_and_no_memory(
    page: Page, context: BrowserContext, house: Stack, figure: Figure
) -> None:
    """20 operations, 10 events a second each: as much memory at the end as after a quarter of it.

    The longest task is a figure and no assertion: on a machine with other work it is that work's.
    """
    operations = [house.operation() for _ in range(20)]
    page.goto(f"{house.url}/healthz")
    page.evaluate("""() => {
      window.longest = 0; window.drawn = 0; window.heard = [];
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
      }).observe({ type: "longtask" });
    }""")
    script = (
        f"async (topics) => {{ await ({FOLLOW})({{ topics }}); heard = {{ push: () => (drawn += 1) }}; }}"
    )
    page.evaluate(script, [f"operations:{operation.id}" for operation in operations])
    reach(page, "live")
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable")
    sizes = []
    for second in range(WATCHED_S):
        began = time.monotonic()
        for number in range(10):
            for operation in operations:
                operation.progress(second * 10 + number, 1_200)
            wait_until(lambda: time.monotonic() >= began + (number + 1) / 10, timeout_s=READ_S)  # noqa: B023
        if second % (WATCHED_S // 4) == WATCHED_S // 4 - 1:
            devtools.send("HeapProfiler.collectGarbage")
            sizes.append(devtools.send("Runtime.getHeapUsage")["usedSize"])
    longest, drawn = page.evaluate("[longest, drawn]")
    metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    figure("our script, s", metrics["ScriptDuration"])
    figure("longest task (0: none of 50), ms", longest)
    figure("heap, bytes", sizes)
    figure("events drawn", drawn)

    assert drawn > 1_000
    assert sizes[-1] < sizes[0] + 50_000
    assert metrics["ScriptDuration"] < 0.1 * WATCHED_S
