"""The mixed run of `make chaos`: everything fails, in any order, for half an hour, and nothing is lost.

Web processes, a worker, Redis, some hundred browsers and somebody who tells, under a schedule of faults that
a seed decides. Afterwards a judge compares all that each browser was told with the log, and the log with what
was reported. Prints each fault as it happens, and a table at the end.
"""

import heapq
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from dev.redis_server import RedisServer
from tests.crowd import Browser, Crowd
from tests.http_stream import get_json, post_json
from tests.judge import KINDS, Judge, Verdict, whole_history
from tests.long_run import Finding, conclude, options, say
from tests.stack import Stack
from tests.talk import Talk
from tests.waiting import wait_until
from tidings.entry import Entry
from tidings.topics import Filter

STREAM: Final = "/api/events/stream"
RATE: Final = 10.0
STREAMS: Final = 300
DELIVERIES_PER_MIN: Final = 35_000
"""A million in half an hour, with so many streams."""
PAUSE_S: Final = (2.0, 10.0)
"""Between the beginnings of two faults: many begin before the one before is over."""
RECOVERY_S: Final = 120.0
STUCK: Final = 10
OVER: Final = frozenset({"succeeded", "failed", "cancelled"})
SETTINGS: Final[dict[str, Any]] = {
    "TIDINGS_HEARTBEAT_S": "5",
    "TIDINGS_STREAM_LIFETIME_S": "180",
    "TIDINGS_LOG_EVENTS": "10000000",
    "TIDINGS_TOPIC_EVENTS": "10000000",
}
"""Nothing is trimmed: the judge needs all of the history, and no reset has an excuse."""
BATCH: Final = {"kind": "batch", "params": {"source": "python-stdlib", "limit": 30}}


@dataclass(slots=True)
class World:
    """All that can be harmed, and what has been done to it."""

    redis: RedisServer
    stack: Stack
    crowd: Crowd
    chance: random.Random
    watchers: list[Browser] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    redis_is_ill: bool = False


Step = tuple[float, Callable[[World], None]]
"""So many seconds after its fault began, what is done."""


def redis_killed(world: World) -> list[Step]:
    """Redis crashes, and is back with its data some seconds later."""
    if world.redis_is_ill:
        return []
    world.redis_is_ill = True

    def back(world: World) -> None:
        world.redis.start()
        world.redis_is_ill = False

    return [(0, lambda world: world.redis.kill()), (world.chance.uniform(0, 6), back)]


def redis_frozen(world: World) -> list[Step]:
    """Redis answers nothing for some seconds, and goes on as if nothing had been."""
    if world.redis_is_ill:
        return []
    world.redis_is_ill = True

    def thaw(world: World) -> None:
        world.redis.thaw()
        world.redis_is_ill = False

    return [
        (0, lambda world: world.redis.freeze()),
        (world.chance.choice([0.5, 2.0, 4.0, world.chance.uniform(5, 20)]), thaw),
    ]


def wakeups_killed(world: World) -> list[Step]:
    """The subscriptions of all feeds are cut, again and again."""

    def kill(world: World) -> None:
        with suppress(Exception):  # Redis may be away
            if not world.redis_is_ill:
                world.stack.log.redis.client_kill_filter(_type="pubsub")

    return [(n * 0.5, kill) for n in range(world.chance.randint(1, 8))]


def web_process(signal_number: int) -> Callable[[World], list[Step]]:
    """One web process gets a signal; the master replaces it."""

    def strike(world: World) -> None:
        with suppress(OSError, IndexError):  # the master may be gone, or have no child yet
            os.kill(world.chance.choice(world.stack.web_pids()), signal_number)

    return lambda _: [(0, strike)]


def web_renewed(_: World) -> list[Step]:
    """The master gets HUP, as in a deploy."""
    return [(0, lambda world: _signal_master(world, signal.SIGHUP))]


def web_ended(signal_number: int) -> Callable[[World], list[Step]]:
    """The master gets a signal that ends it, and is started again when it has gone."""

    def again(world: World) -> None:
        web = world.stack.web
        assert web is not None
        web.wait(30)
        world.stack.spawn_web()

    return lambda _: [(0, lambda world: _signal_master(world, signal_number)), (0.1, again)]


def _signal_master(world: World, signal_number: int) -> None:
    assert world.stack.web is not None
    world.stack.web.send_signal(signal_number)


def worker_child_killed(_: World) -> list[Step]:
    """One child of the worker is killed, with what it works on."""

    def kill(world: World) -> None:
        worker = world.stack.worker
        assert worker is not None
        with suppress(OSError, IndexError):
            path = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
            os.kill(int(world.chance.choice(path.read_text().split())), signal.SIGKILL)

    return [(0, kill)]


def worker_killed(_: World) -> list[Step]:
    """The worker is killed, with its children, and started again."""

    def kill(world: World) -> None:
        worker = world.stack.worker
        assert worker is not None
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        world.stack.start_worker()

    return [(0, kill)]


def herd(_: World) -> list[Step]:
    """All browsers lose their connections at once, and are all back at once."""
    return [(0, lambda world: world.crowd.cut(world.crowd.here))]


def stuck_readers(_: World) -> list[Step]:
    """Some browsers come who read nothing, and leave half a minute later if nobody has cut them."""
    come: list[Browser] = []

    def arrive(world: World) -> None:
        come.extend(world.crowd.open(STUCK, STREAM, pause_s=float("inf")))

    return [(0, arrive), (30, lambda world: world.crowd.leave(come, abruptly=True))]


FAULTS: Final[dict[str, tuple[int, Callable[[World], list[Step]]]]] = {
    "Redis kill -9": (3, redis_killed),
    "Redis SIGSTOP": (3, redis_frozen),
    "pub/sub killed": (3, wakeups_killed),
    "web TERM": (2, web_process(signal.SIGTERM)),
    "web kill -9": (3, web_process(signal.SIGKILL)),
    "web HUP": (2, web_renewed),
    "web restart": (1, web_ended(signal.SIGTERM)),
    "web master kill -9": (1, web_ended(signal.SIGKILL)),
    "worker child kill -9": (2, worker_child_killed),
    "worker kill -9": (1, worker_killed),
    "herd": (2, herd),
    "stuck readers": (2, stuck_readers),
}
"""How likely beside the others, and what it does."""


def harm(world: World, minutes: float) -> None:
    """Let faults happen for so long, then let all that they began come to its end."""
    clock, numbers = threading.Event(), count()
    began = time.monotonic()
    due: list[tuple[float, int, Callable[[World], None]]] = []
    next_fault = 0.0
    weights = [weight for weight, _ in FAULTS.values()]
    while (passed := time.monotonic() - began) < minutes * 60 or due:
        if passed >= next_fault and passed < minutes * 60:
            name = world.chance.choices(list(FAULTS), weights)[0]
            steps = FAULTS[name][1](world)
            if steps:
                world.done[name] += 1
                say(f"{passed:7.1f} s  {name}")
            for delay_s, step in steps:
                heapq.heappush(due, (passed + delay_s, next(numbers), step))
            next_fault = passed + world.chance.uniform(*PAUSE_S)
            _start_something(world)
        while due and due[0][0] <= passed:
            heapq.heappop(due)[2](world)
        clock.wait(0.05)


def _start_something(world: World) -> None:
    """Have the worker work, and somebody watch, if the service takes it."""
    with suppress(OSError, ValueError):
        reply = post_json(f"{world.stack.url}/api/operations", BATCH, timeout_s=5)
        if reply.status == 202:
            operation_id = str(reply.body["operationId"])
            world.started.append(operation_id)
            path = f"/api/events/operations/{operation_id}?history=all"
            world.watchers += world.crowd.open(2, path, Filter.of([f"operations:{operation_id}"]))


def open_browsers(crowd: Crowd, talk: Talk, streams: int) -> None:
    """Have a crowd of all kinds: who wants everything, some topics, some types, and who reads slowly."""
    first = [f"operations:{name}" for name in talk.operation_ids[:2]]
    kinds = [
        (STREAM, Filter.of(()), 0.0),
        (f"{STREAM}?topics={','.join(first)}", Filter.of(first), 0.0),
        (f"{STREAM}?types=warning,error,complete", Filter.of((), ["warning", "error", "complete"]), 0.0),
        (f"{STREAM}?history=none", Filter.of(()), 0.3),
    ]
    for n, (path, wanted, pause_s) in enumerate(kinds):
        crowd.open(streams * (n + 1) // 4 - streams * n // 4, path, wanted, pause_s=pause_s)


def settle(world: World, talk: Talk) -> tuple[list[Entry], Verdict]:
    """Have the telling end and everybody catch up; give the log, and what the judge says."""
    wait_until(_ready(world.stack), timeout_s=RECOVERY_S)
    talk.stop()
    assert world.stack.reporter.flush(RECOVERY_S)
    running = set(world.started)
    with suppress(AssertionError):  # what has not ended is said in the table
        wait_until(lambda: _all_over(world.stack, running), timeout_s=RECOVERY_S)
    ended: dict[str, int] = {}

    def quiet() -> bool:
        """Nothing was added to the log between two looks, and everybody has it all."""
        history = world.stack.log.hello().position.wire
        ended[history] = ended.get(history, 0) + 1
        return ended[history] > 50 and world.crowd.all_at(history)

    with suppress(AssertionError):  # who has not come so far is the judge's to say
        wait_until(quiet, timeout_s=RECOVERY_S)
    history = whole_history(world.stack.log)
    return history, Judge(history).judge(world.crowd.browsers)


def _all_over(stack: Stack, running: set[str]) -> bool:
    """Take the operations that have ended out of *running*; tell whether none is left."""
    for operation_id in list(running):
        with suppress(OSError):
            status = get_json(f"{stack.url}/api/operations/{operation_id}").body["operation"]["status"]
            running -= {operation_id} if status in OVER else set()
    return not running


def _ready(stack: Stack) -> Callable[[], bool]:
    def ready() -> bool:
        with suppress(AssertionError):
            return stack.is_ready()
        stack.spawn_web()
        return False

    return ready


def reported(history: Iterable[Entry], talk: Talk) -> Finding:
    """Compare the log with what was reported: each warning once, in order."""
    codes = {name: [] for name in talk.operation_ids}  # type: dict[str, list[str]]
    for entry in history:
        if entry.type == "warning" and entry.operation_id in codes:
            codes[entry.operation_id].append(json.loads(entry.data)["code"])
    wrong = [name for name, expected in talk.warnings().items() if codes[name] != expected]
    total = sum(map(len, codes.values()))
    return Finding(
        "reported", f"{total:,} warnings, each once and in order" if not wrong else f"{wrong}", not wrong
    )


def ended(history: Sequence[Entry], world: World) -> Finding:
    """Look at the operations that the worker had: one end each, and nothing after it."""
    last: dict[str, Entry] = {}
    ends: Counter[str] = Counter()
    begun: set[str] = set()
    for entry in history:
        if entry.operation_id:
            last[entry.operation_id] = entry
            ends[entry.operation_id] += entry.ends_operation
            if entry.type == "status" and json.loads(entry.data)["status"] == "running":
                begun.add(entry.operation_id)
    twice = [name for name in world.started if ends[name] > 1]
    beyond = [name for name in world.started if ends[name] and not last[name].ends_operation]
    never = [name for name in world.started if not ends[name] and name in begun]
    unheard = len(set(world.started) - begun)
    counts = (
        f"{len(twice)} ended twice, {len(beyond)} went on, {len(never)} begun and never ended {never[:3]}"
    )
    found = f"{len(world.started)}: {counts}; {unheard} never begun, their message lost with the broker"
    return Finding("operations", found, not twice and not beyond and not never and unheard <= _excuses(world))


def _excuses(world: World) -> int:
    """Say how many messages may be lost: kombu takes one off the queue before it notes that it has it.

    A killed worker's prefetched ones come back after the visibility timeout only, an hour.
    """
    return world.done["Redis kill -9"] + 8 * world.done["worker kill -9"]


def judged(verdict: Verdict, wanted: float) -> list[Finding]:
    """Put what the judge found into lines: a reset is a fault too, where nothing was trimmed or lost."""
    told = f"{verdict.deliveries:,} in {verdict.lives:,} connections of {verdict.browsers:,} browsers"
    found = [Finding("deliveries", told, verdict.deliveries >= wanted)]
    found += [Finding(kind, str(verdict.faults[kind]), not verdict.faults[kind]) for kind in KINDS]
    return [*found, Finding("needless resets", str(verdict.resets.total()), not verdict.resets)]


def findings(world: World, talk: Talk, wanted: float) -> list[Finding]:
    """Judge what has happened; *wanted* is the least number of deliveries that shows anything."""
    history, verdict = settle(world, talk)
    say(str(verdict))
    harmed = ", ".join(f"{name} {times}" for name, times in sorted(world.done.items()))
    return [
        Finding("harm done", harmed, bool(world.done)),
        *judged(verdict, wanted),
        reported(history, talk),
        ended(history, world),
    ]


def main() -> None:
    """Run it, print the table, and end with status 1 unless all of it held."""
    chosen = options("mixed run", minutes=30, streams=STREAMS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            RedisServer(folder / "redis") as redis,
            Stack(redis.url, folder, **SETTINGS) as stack,
            Talk(stack, rate=RATE) as talk,
            Crowd(stack.url) as crowd,
        ):
            world = World(redis, stack, crowd, random.Random(chosen.seed))  # noqa: S311 - to be repeatable
            open_browsers(crowd, talk, chosen.streams)
            wait_until(crowd.all_open, timeout_s=RECOVERY_S)
            harm(world, chosen.minutes)
            found = findings(world, talk, DELIVERIES_PER_MIN * chosen.minutes * chosen.streams / STREAMS)
        conclude(found)


if __name__ == "__main__":
    main()
