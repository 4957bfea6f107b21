"""`make soak`: browsers come and go for half an hour, in all their ways; at the end nothing of them is left.

Real web processes and a worker, a thousand streams at a time. Of them some come back after a cut, some leave
properly, some do not, some are slow, some watch one operation to its end. Descriptors, greenlets, registered
streams, Redis connections and subscriptions must return to where they were after the warm-up (pools keep
what they opened, up to their bound), and memory must not grow. Prints a line every so often and a table at
the end; its exit status says whether all of it held.
"""

import random
import statistics
import tempfile
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from dev.redis_server import RedisServer
from tests.crowd import Crowd
from tests.http_stream import get_json, post_json
from tests.inside import Inside, look
from tests.long_run import Finding, conclude, options, say
from tests.stack import READ_S, Stack
from tests.talk import Talk
from tests.waiting import wait_until
from tidings.events import FINAL_STATUSES
from tidings.topics import Filter

STREAM: Final = "/api/events/stream"
WARM_UP: Final = 0.25
"""Of the whole time: rings, caches and pools fill, and are not counted as growth."""
BEAT_S: Final = 1.0
LEAVE: Final = 0.02
"""Of the streams, so many each second in each way: cut, gone properly, gone abruptly."""
SLOW_S: Final = 0.5
MOST_GROWTH: Final = 0.05
"""Of the web processes' memory over the whole time after the warm-up: bounded caches (a thousand filters)
fill for some 20 minutes, malloc keeps holes. 100 bytes lost with each connection would be 15 %. Guessed."""
POOLED: Final = 16
"""What two pools of eight connections to Redis may still open when more requests than ever meet."""
SETTINGS: Final[dict[str, Any]] = {
    "TIDINGS_HEARTBEAT_S": "5",
    "TIDINGS_STREAM_LIFETIME_S": "60",
    "TIDINGS_RING_EVENTS": "500",
    "TIDINGS_LOG_EVENTS": "5000",
    "TIDINGS_HISTORY_TTL_S": "10",
    "TIDINGS_STATE_TTL_S": "20",
}
"""So short that all of it is reached, many times over, also in a run of a minute."""
BATCH: Final = {"kind": "batch", "params": {"source": "python-stdlib", "limit": 20}}


class Churn:
    """Browsers that come and go, at most *streams* at a time."""

    def __init__(self, stack: Stack, crowd: Crowd, chance: random.Random, streams: int) -> None:
        self._stack = stack
        self._crowd = crowd
        self._chance = chance
        self._streams = streams
        self._running = ""

    def beat(self) -> None:
        """Live one second."""
        self._crowd.forget()
        some = max(int(self._streams * LEAVE), 1)
        self._crowd.cut(self._chance.sample(self._crowd.here, min(some, len(self._crowd.here))))
        for abruptly in (True, False):
            here = self._crowd.here
            self._crowd.leave(self._chance.sample(here, min(some, len(here))), abruptly=abruptly)
        with suppress(OSError):
            if not self._running or self._is_over(self._running):
                self._running = self._start_something()
                self._crowd.open(some, f"/api/events/operations/{self._running}?history=all")
        missing = self._streams - len(self._crowd.here)
        for _ in range(max(missing, 0)):
            self._open_one()
        for path in ("/api/operations", "/api/operations/nothing", "/api/events/operations/nothing", "/"):
            with suppress(OSError, ValueError):
                get_json(f"{self._stack.url}{path}")

    def _is_over(self, operation_id: str) -> bool:
        """Tell whether the next may start: what queues up on a slow machine would look like a leak."""
        reply = get_json(f"{self._stack.url}/api/operations/{operation_id}")
        if reply.status == HTTPStatus.NOT_FOUND:
            return True
        return reply.body["operation"]["status"] in FINAL_STATUSES

    def _start_something(self) -> str:
        return str(post_json(f"{self._stack.url}/api/operations", BATCH).body["operationId"])

    def _open_one(self) -> None:
        kind = self._chance.random()
        if kind < 0.1:
            self._crowd.open(1, STREAM, pause_s=SLOW_S)
        elif kind < 0.5:
            self._crowd.open(1, f"{STREAM}?types=warning", Filter.of((), ["warning"]))
        else:
            self._crowd.open(1, STREAM)


class Memory:
    """What the web processes hold over time, and how fast it grows."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int]] = []

    def note(self, at_s: float, memory_kb: int) -> None:
        """Take a sample, *at_s* since the beginning."""
        self._samples.append((at_s, memory_kb))

    @property
    def kb_per_minute(self) -> float:
        """The slope of the straight line through all samples."""
        times, sizes = zip(*self._samples, strict=True)
        return statistics.linear_regression(times, sizes).slope * 60

    @property
    def typical_kb(self) -> float:
        """The median sample."""
        return statistics.median(size for _, size in self._samples)


def soak(stack: Stack, crowd: Crowd, churn: Churn, minutes: float) -> list[Finding]:
    """Warm up, look, go on for *minutes*, and look again."""
    live(stack, churn, minutes * WARM_UP, Memory())
    before = rest(stack, crowd)
    say(f"after the warm-up: {before}")
    memory = Memory()
    live(stack, churn, minutes, memory)
    after = rest(stack, crowd)
    say(f"at the end: {after}")
    return [*compared(before, after), grown(memory, minutes)]


def live(stack: Stack, churn: Churn, minutes: float, memory: Memory) -> None:
    """Have the crowd churn for so long, and look every twentieth of it."""
    began, clock = time.monotonic(), threading.Event()
    look_at = 0.0
    while (passed := time.monotonic() - began) < minutes * 60:
        churn.beat()
        if passed >= look_at:
            inside = look(stack)
            memory.note(passed, inside.memory_kb)
            say(f"{passed:6.0f} s  {inside}")
            look_at = passed + minutes * 60 / 20
        clock.wait(BEAT_S)


def rest(stack: Stack, crowd: Crowd) -> Inside:
    """Send everybody home; wait until the processes have noticed, and look."""
    crowd.leave(crowd.here)
    wait_until(lambda: look(stack).streams == 0, timeout_s=READ_S)
    wait_until(lambda: not stack.connections(), timeout_s=READ_S)
    return look(stack)


def compared(before: Inside, after: Inside) -> list[Finding]:
    """Compare what must return to where it was."""
    exact = ("streams", "parked", "greenlets", "subscriptions")
    found = [_returned(name, getattr(before, name), getattr(after, name), 0) for name in exact]
    return [
        *found,
        _returned("redis_connections", before.redis_connections, after.redis_connections, POOLED),
        _returned("descriptors", before.descriptors, after.descriptors, POOLED),
    ]


def _returned(name: str, then: int, now: int, more: int) -> Finding:
    return Finding(
        name, f"{then} -> {now}" + (f" (pools: at most {more} more)" if more else ""), now <= then + more
    )


def grown(memory: Memory, minutes: float) -> Finding:
    """Say how fast memory grew after the warm-up."""
    slope, typical = memory.kb_per_minute, memory.typical_kb
    share = slope * minutes / typical
    found = f"{slope:+.1f} KB/min of {typical:,.0f} KB in all web processes ({share:+.2%} over the run)"
    return Finding("memory", found, share <= MOST_GROWTH)


def main() -> None:
    """Run it, print the table, and end with status 1 unless all of it held."""
    chosen = options("soak", minutes=30, streams=1_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            RedisServer(folder / "redis") as redis,
            Stack(redis.url, folder, gunicorn=["tests.counted_wsgi:app"], **SETTINGS) as stack,
            Talk(stack, rate=20) as talk,
            Crowd(stack.url) as crowd,
        ):
            churn = Churn(stack, crowd, random.Random(chosen.seed), chosen.streams)  # noqa: S311 - repeatable
            findings = soak(stack, crowd, churn, chosen.minutes)
            say(f"events told: {talk.said}")
        conclude(findings)


if __name__ == "__main__":
    main()
