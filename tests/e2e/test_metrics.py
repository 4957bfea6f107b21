"""The numbers of two web processes, held against what browsers counted, before and after one is killed."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev.redis_server import RedisServer
from tests.crowd import Crowd
from tests.http_stream import HttpStream, get_json
from tests.long_run import Figure
from tests.stack import READ_S, Stack, logged
from tests.waiting import wait_until

STREAMS: Final = 30
EVENTS: Final = 60
MANY: Final = 10_000
SCRAPES: Final = 500
SCRAPED_EACH_S: Final = 5
WRITTEN: Final = "tidings_events_written_total"


@pytest.fixture(scope="module")
def two(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service of two web processes, with a namespace of its own."""
    folder = tmp_path_factory.mktemp("metrics")
    with Stack(
        redis_server.url,
        folder,
        worker=False,
        web=2,
        TIDINGS_NAMESPACE=folder.name,
        TIDINGS_LOG_FORMAT="json",
    ) as stack:
        yield stack


def scrape(stack: Stack) -> dict[str, float]:
    """Ask one web process, whichever takes the connection: name and label's value → number."""
    with urlopen(f"{stack.url}/metrics", timeout=READ_S) as reply:
        text = reply.read().decode()
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def only(stack: Stack, pid: int) -> Iterator[None]:
    """Have one web process take all connections: the other stands still meanwhile."""
    others = [other for other in stack.web_pids() if other != pid]
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def agree(stack: Stack, expected: Mapping[str, float]) -> None:
    """Wait until each of the processes tells what is *expected*."""
    for pid in stack.web_pids():
        found: dict[str, float] = {}

        def agrees(pid: int = pid, found: dict[str, float] = found) -> bool:
            with only(stack, pid):
                found |= scrape(stack)
            return expected.items() <= found.items()

        try:
            wait_until(agrees, timeout_s=READ_S)
        except AssertionError:
            assert {name: found.get(name) for name in expected} == expected


def test_metrics_agree_with_what_browsers_counted_also_after_a_process_was_killed(two: Stack) -> None:
    """Every stream and every event, live or replayed, once: in both processes, and when one is dead."""
    with ExitStack() as streams:
        browsers = []
        for pid in two.web_pids():
            with only(two, pid):
                for _ in range(STREAMS // 2):
                    browser = streams.enter_context(two.stream("/api/events/stream"))
                    browser.read_until(lambda message: message.type == "heartbeat", timeout_s=READ_S)
                    browsers.append(browser)
        operation = two.operation()  # it says that it runs
        for step in range(1, EVENTS):
            operation.status(f"step {step}")
        two.flush()
        for browser in browsers:
            _read_to(browser, f"step {EVENTS - 1}")
        counted = sum(len(logged(browser.messages)) for browser in browsers)
        assert counted == STREAMS * EVENTS
        everything = {
            "tidings_streams_opened_total parked": STREAMS,
            "tidings_streams_open parked": STREAMS,
            "tidings_events_read_total": 2 * EVENTS,
            f"{WRITTEN} live": counted,
            f"{WRITTEN} replay": 0,
            "tidings_report_to_write_seconds_count": counted,
            "tidings_redis_up": 1,
            "tidings_operations_running": 1,
            "tidings_web_processes": 2,
        }
        agree(two, everything)
        victim = two.web_pids()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in two.web_pids() and len(two.web_pids()) == 2, timeout_s=READ_S)
        # Those of the dead are open no more, and nobody said why: what they had written stays.
        agree(two, everything | {"tidings_streams_open parked": STREAMS // 2})
    agree(two, {"tidings_streams_open parked": 0, "tidings_streams_ended_total gone": STREAMS // 2})
    cursor = logged(browsers[0].messages)[19].last_event_id
    for times, pid in enumerate(
        two.web_pids(), start=1
    ):  # one has them in memory, its new neighbour in Redis
        with only(two, pid), two.stream("/api/events/stream", last_event_id=cursor) as again:
            again.read_until(lambda message: message.type == "heartbeat", timeout_s=READ_S)
            assert len(again.messages) - 1 == EVENTS - 20
        expected = {
            "tidings_replays_total": times,
            "tidings_streams_opened_total parked": STREAMS + times,
            f"{WRITTEN} replay": times * (EVENTS - 20),
            f"{WRITTEN} live": counted,
        }
        agree(two, expected)
    operation.complete()


def test_what_all_streams_wait_for_is_told_by_any_process(two: Stack) -> None:
    """Those of both processes, by topic; of one that hangs, that it does not answer."""
    pids = two.web_pids()
    with ExitStack() as streams:
        for pid, path in zip(pids, ("/stream?types=progress", "/stream?topics=operations:held"), strict=True):
            with only(two, pid):
                stream = streams.enter_context(two.stream(f"/api/events{path}"))
                stream.read_until(lambda message: message.type == "heartbeat", timeout_s=READ_S)
        wait_until(lambda: len(inspected(two)["streams"]) == 2, timeout_s=READ_S)
        said = inspected(two)
        assert {each["pid"] for each in said["processes"] if each["answered"]} == set(pids)
        assert {(each["process"], *each["topics"], *each["types"]) for each in said["streams"]} == {
            (pids[0], "*", "progress"),
            (pids[1], "operations:held"),
        }
        assert inspected(two, "?topic=operations:held")["found"] == 2
        assert [each["process"] for each in inspected(two, "?topic=operations:other")["streams"]] == pids[:1]
        assert (len(inspected(two, "?limit=1")["streams"]), inspected(two, "?limit=1")["found"]) == (1, 2)
        with only(two, pids[0]):
            said = inspected(two)
        assert [each["pid"] for each in said["processes"] if not each["answered"]] == pids[1:]
        assert [each["process"] for each in said["streams"]] == pids[:1]


def inspected(stack: Stack, query: str = "") -> dict[str, Any]:
    """Ask what all streams wait for."""
    reply = get_json(f"{stack.url}/api/debug/streams{query}")
    assert reply.status == 200
    body: dict[str, Any] = reply.body
    return body


def test_each_line_of_the_log_is_json_that_says_when_and_who(two: Stack) -> None:
    """A web process with `TIDINGS_LOG_FORMAT=json` says nothing else: gunicorn's lines, and the service's."""
    said = [json.loads(line) for line in two.output("web").splitlines()]
    assert {"gunicorn.error", "webapp.feed"} <= {line["logger"] for line in said}
    assert all(line.keys() >= {"time", "level", "logger", "process", "message"} for line in said)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("many_descriptors")
def test_looking_at_ten_thousand_streams_costs_next_to_nothing(
    redis_server: RedisServer, tmp_path: Path, figure: Figure
) -> None:
    """A scrape each 5 s takes less than a hundredth of a core, and no more than it takes without a stream."""
    quiet = {"TIDINGS_NAMESPACE": tmp_path.name, "TIDINGS_HEARTBEAT_S": "600"}
    with (
        Stack(redis_server.url, tmp_path, worker=False, web=2, **quiet) as stack,
        Crowd(stack.url) as crowd,
    ):
        alone_s = _cpu_of(stack, lambda: scrape(stack), times=SCRAPES)
        figure("CPU of a scrape without a stream, ms", round(alone_s * 1_000, 2))
        crowd.open(MANY, "/api/events/stream")
        wait_until(crowd.all_open, timeout_s=READ_S)
        wait_until(lambda: scrape(stack)["tidings_streams_open parked"] == MANY, timeout_s=READ_S)
        scrapes_s = _cpu_of(stack, lambda: scrape(stack), times=SCRAPES)
        figure(f"CPU of a scrape with {MANY:,} streams, ms", round(scrapes_s * 1_000, 2))
        looks_s = _cpu_of(stack, lambda: inspected(stack), times=20)
        figure("CPU of a look at all streams, ms", round(looks_s * 1_000, 1))
        assert inspected(stack)["found"] == MANY
    assert scrapes_s / SCRAPED_EACH_S < 0.01


def _cpu_of(stack: Stack, look: Callable[[], object], *, times: int) -> float:
    """Give the CPU time that the web processes take for each look, in s; what else they do is in it."""
    before = _cpu_s(stack)
    for _ in range(times):
        look()
    return (_cpu_s(stack) - before) / times


def _cpu_s(stack: Stack) -> float:
    """Give the CPU time of the web processes, to the nanosecond. Source: proc(5), schedstat."""
    texts = [Path(f"/proc/{pid}/schedstat").read_text() for pid in stack.web_pids()]
    return sum(int(text.split()[0]) for text in texts) / 1e9


def _read_to(browser: HttpStream, status: str) -> None:
    browser.read_until(lambda message: f'"status":"{status}"' in message.data, timeout_s=READ_S)
