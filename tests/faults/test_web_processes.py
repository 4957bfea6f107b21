"""What streams live through when web processes end: told to, renewed, or killed, under many streams.

Real gunicorn with two processes, a crowd of browsers that come back as browsers do, and somebody who goes on
telling all the while; a judge compares what each browser had with the log. ``--chaos`` has 10,000 browsers.
"""

import os
import random
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from dev.redis_server import RedisServer
from tests.crowd import Browser, Crowd, Life, peak_second
from tests.http_stream import BodyEnd
from tests.judge import Judge, Verdict, whole_history
from tests.long_run import Figure
from tests.stack import READ_S, Stack
from tests.talk import Talk
from tests.waiting import wait_until
from tidings.topics import Filter

pytestmark = pytest.mark.usefixtures("many_descriptors")

STREAM: Final = "/api/events/stream"
GONE_S: Final = 20.0
"""Promised: a process is gone this long after SIGTERM (DESIGN.md, 5.8)."""
BACK_S: Final = 2.0
"""Promised: so long after its process was killed a stream is back on another."""
SLACK: Final = 4.0
"""A machine that also does other things may take so many times longer."""
MANY: Final = 1_000


@dataclass(slots=True)
class Scene:
    """A service, the crowd that watches it, and somebody who tells."""

    stack: Stack
    crowd: Crowd
    talk: Talk

    @property
    def pids(self) -> list[int]:
        """The web processes of now."""
        return self.stack.web_pids()

    def settle(self) -> Verdict:
        """Have the telling end, wait until every browser has all of it, and judge."""
        self.talk.stop()
        self.stack.flush()
        history = whole_history(self.stack.log)
        last = history[-1].cursor.wire
        wait_until(lambda: self.crowd.all_at(last), timeout_s=READ_S)
        verdict = Judge(history).judge(self.crowd.browsers)
        assert verdict.deliveries > 0
        return verdict


@dataclass(frozen=True, slots=True)
class Size:
    """How many browsers, and how much is told."""

    browsers: int
    rate: float
    drain_s: float
    lifetime_s: float


@pytest.fixture
def size(*, chaos: bool) -> Size:
    """Some hundreds of browsers, or ten thousand."""
    return Size(10_000, 0.5, 5, 30) if chaos else Size(300, 20, 2, 2)


@contextmanager
def scene(redis: RedisServer, folder: Path, size: Size, *gunicorn: str, **env: str) -> Iterator[Scene]:
    """Have a crowd watch a service of the test's own."""
    env = {"TIDINGS_DRAIN_S": str(size.drain_s)} | env
    with served(redis, folder, *gunicorn, **env) as stack, watched(stack, size) as here:
        yield here


@contextmanager
def served(redis: RedisServer, folder: Path, *gunicorn: str, **env: str) -> Iterator[Stack]:
    """Run two web processes, in a namespace of their own."""
    env = {"TIDINGS_HEARTBEAT_S": "2", "TIDINGS_MAX_STREAMS": "15000"} | env
    env |= {"TIDINGS_NAMESPACE": folder.name}
    with Stack(redis.url, folder, worker=False, web=2, gunicorn=gunicorn, **env) as stack:
        yield stack


@contextmanager
def watched(stack: Stack, size: Size) -> Iterator[Scene]:
    """Have a crowd open its streams, half of them narrowed to one operation, while somebody tells."""
    with Talk(stack, rate=size.rate) as talk, Crowd(stack.url) as crowd:
        crowd.open(size.browsers // 2, STREAM)
        topic = f"operations:{talk.operation_ids[0]}"
        crowd.open(size.browsers // 2, f"{STREAM}?topics={topic}", Filter.of([topic]))
        wait_until(crowd.all_open, timeout_s=READ_S)
        crowd.at_once = size.browsers  # whoever comes back from now on waits for nobody
        yield Scene(stack, crowd, talk)


@pytest.fixture(scope="module")
def service(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service that outlives what is done to it, for several tests."""
    with served(redis_server, tmp_path_factory.mktemp("faults")) as stack:
        yield stack


@pytest.fixture(params=["parked", pytest.param("generator", marks=pytest.mark.long)])
def gear(request: pytest.FixtureRequest, size: Size) -> tuple[Size, list[str]]:
    """Streams that are parked, or as many as two processes take of those that cannot be."""
    if request.param == "parked":
        return size, []
    return replace(size, browsers=min(size.browsers, 2_000)), ["tests.encoded_wsgi:app"]


def firsts(browsers: Iterable[Browser]) -> list[Life]:
    """Give the first connection of each browser."""
    return [browser.lives[0] for browser in browsers]


def assert_handed_over(lives: Sequence[Life]) -> None:
    """Each body ended as HTTP asks, and each browser was told anew when to come back."""
    assert {life.end for life in lives} == {BodyEnd.COMPLETE}
    assert {life.retries for life in lives} == {2}


def assert_spread(times: Sequence[float], *, drain_s: float) -> None:
    """No second has more than twice its share of *times*, were they even; late ones make no share smaller."""
    share = len(times) / (drain_s + 1)
    assert max(times) - min(times) > drain_s / 2
    assert peak_second(times) <= 2 * share, (peak_second(times), share)


def test_term_hands_every_stream_over(
    own_redis: RedisServer, tmp_path: Path, gear: tuple[Size, list[str]], figure: Figure
) -> None:
    """On SIGTERM streams are told and ended, the processes go in time, and new ones leave nothing out."""
    size, app = gear
    with scene(own_redis, tmp_path, size, *app) as here:
        assert here.stack.web is not None
        told_at = time.monotonic()
        here.stack.web.send_signal(signal.SIGTERM)
        assert here.stack.web.wait(GONE_S) == 0
        figure("gone after", f"{time.monotonic() - told_at:.1f} s")
        assert_handed_over(firsts(here.crowd.browsers))
        assert_spread([life.ended_at for life in firsts(here.crowd.browsers)], drain_s=size.drain_s)
        here.stack.start_web()
        wait_until(here.crowd.all_open, timeout_s=READ_S)

        assert not here.settle().faults
        assert "Traceback" not in here.stack.output("web")


def test_hup_moves_every_stream_to_new_processes(service: Stack, size: Size, figure: Figure) -> None:
    """On SIGHUP streams are told and ended; they return spread, find new processes, and miss nothing."""
    with watched(service, size) as here:
        old = set(here.pids)
        assert here.stack.web is not None
        told_at = time.monotonic()
        here.stack.web.send_signal(signal.SIGHUP)
        wait_until(lambda: not old & set(here.pids), timeout_s=GONE_S)
        figure("old processes gone after", f"{time.monotonic() - told_at:.1f} s")
        assert time.monotonic() - told_at < GONE_S
        wait_until(here.crowd.all_open, timeout_s=READ_S)
        verdict = here.settle()

        assert_handed_over(firsts(here.crowd.browsers))
        returning = [browser.lives[1].began_at for browser in here.crowd.browsers]
        figure("returns in the fullest second", f"{peak_second(returning)} of {len(returning)}")
        assert_spread(returning, drain_s=5)
        assert {len(browser.lives) for browser in here.crowd.browsers} == {2}
        assert sum(browser.refused for browser in here.crowd.browsers) == 0
        assert not verdict.faults


def test_streams_of_a_killed_process_are_back_on_the_other(
    service: Stack, size: Size, chance: random.Random, figure: Figure
) -> None:
    """After kill -9 of a web process its streams are back elsewhere in two seconds, with nothing missing."""
    with watched(service, size) as here:
        killed_at = time.monotonic()
        os.kill(chance.choice(here.pids), signal.SIGKILL)
        wait_until(lambda: any(len(browser.lives) > 1 for browser in here.crowd.browsers), timeout_s=READ_S)
        wait_until(here.crowd.all_open, timeout_s=READ_S)
        verdict = here.settle()

        moved = [browser for browser in here.crowd.browsers if len(browser.lives) > 1]
        assert size.browsers / 10 < len(moved) < size.browsers
        assert {life.end for life in firsts(moved)} <= {BodyEnd.CUT, BodyEnd.RESET}
        back = sorted(browser.lives[1].opened_at - killed_at for browser in moved)
        figure(
            "back after kill -9", f"{len(back)}, median {back[len(back) // 2]:.2f} s, last {back[-1]:.2f} s"
        )
        # Ten thousand that come back within a second are more than two cores open in one: only said then.
        assert back[-1] < BACK_S * SLACK or size.browsers > MANY
        assert not verdict.faults


def test_lost_master_has_its_processes_drain(own_redis: RedisServer, tmp_path: Path, size: Size) -> None:
    """When the master is killed its processes hand over and go; under a new master nothing is missing."""
    with scene(own_redis, tmp_path, size) as here:
        pids = here.pids
        assert here.stack.web is not None
        here.stack.web.kill()
        here.stack.web.wait()
        killed_at = time.monotonic()
        here.stack.start_web()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), timeout_s=GONE_S)
        assert time.monotonic() - killed_at < GONE_S
        wait_until(here.crowd.all_open, timeout_s=READ_S)

        assert_handed_over(firsts(here.crowd.browsers))
        assert here.stack.output("web").count("Parent changed") == len(pids)
        assert not here.settle().faults


def test_herd_comes_back_with_nothing_missing(service: Stack, size: Size, chance: random.Random) -> None:
    """When all streams are cut at once and all come back at once, each gets what it missed, once."""
    with watched(service, size) as here:
        for share in (1, 2, 1):
            some = chance.sample(here.crowd.browsers, size.browsers // share)
            before = {browser: len(browser.lives) for browser in some}
            here.crowd.cut(some)
            wait_until(
                lambda before=before: all(len(one.lives) > lives for one, lives in before.items()),  # type: ignore[misc]
                timeout_s=READ_S,
            )
            wait_until(here.crowd.all_open, timeout_s=READ_S)

        assert not here.settle().faults


def test_streams_end_after_their_lifetime_and_go_on(
    own_redis: RedisServer, tmp_path: Path, gear: tuple[Size, list[str]]
) -> None:
    """A stream that has been open for its lifetime ends properly, is not told to wait, and misses nothing."""
    size, app = gear
    lifetime_s, beat_s = size.lifetime_s, size.lifetime_s / 4
    env = {"TIDINGS_STREAM_LIFETIME_S": str(lifetime_s), "TIDINGS_HEARTBEAT_S": str(beat_s)}
    with scene(own_redis, tmp_path, size, *app, **env) as here:
        wait_until(
            lambda: all(len(browser.lives) > 1 for browser in here.crowd.browsers),
            timeout_s=lifetime_s + READ_S,
        )
        lives = [life for browser in here.crowd.browsers for life in browser.lives[:-1]]
        ages = [life.ended_at - life.opened_at for life in lives]

        assert {life.end for life in lives} == {BodyEnd.COMPLETE}
        assert {life.retries for life in lives} == {1}
        assert min(ages) > 0.8 * lifetime_s - 0.1
        assert sorted(ages)[len(ages) // 2] < (lifetime_s + beat_s) * SLACK
        assert not here.settle().faults
