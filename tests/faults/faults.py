"""The faults: each is made, lasts, and is healed, while a run goes on.

Takes a run, whose arena it breaks; leaves the arena as it was. None can pass by without effect: each waits
until it has happened.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.faults.arena import WEB
from tests.faults.cable import Way
from tests.faults.run import Run

LOST_REPLIES: Final = 10
PUBSUB_KILLS: Final = 5
PUBSUB_KILL_EVERY_S: Final = 0.5
NOISE: Final = b"x" * 4_000_000
"""More than the kernel takes for a subscriber at once, and than the limit below allows it to owe."""
OVERRUNS: Final = 3
REFUSED_S: Final = 1.0
"""How long appends are refused."""
EVICTIONS: Final = 10
HOLES: Final = 15
HOLE_EVERY_S: Final = 0.1


def killed(run: Run) -> None:
    """Redis is killed with -9, and started again when everybody knows."""
    with run.fault():
        run.arena.redis.kill()
        run.until_noticed()
        run.arena.redis.start()


def killed_without_persistence(run: Run) -> None:
    """Redis is killed with -9 and starts again empty."""
    redis = run.arena.redis
    redis.persist = False
    try:
        killed(run)
    finally:
        redis.persist = True
        run.arena.eye.config_set("appendonly", "yes")


def killed_in_mid_write(run: Run) -> None:
    """As `killed`, with a file that is written to the disk before each answer."""
    with _set(run, appendfsync="always"):
        killed(run)


def frozen(run: Run, duration_s: float = 3.0) -> None:
    """Redis keeps its connections and answers nobody (SIGSTOP)."""
    with run.fault():
        run.arena.redis.freeze()
        run.last(duration_s)
        run.arena.redis.thaw()


def cut(run: Run, way: Way = Way.BOTH, *, forget: bool = False) -> None:
    """Nothing comes through between web and Redis in one direction or both, and nobody is told."""
    with run.fault():
        run.arena.web_cable.cut(way, forget=forget)
        run.until_noticed()
        run.arena.web_cable.mend()


def replies_lost(run: Run) -> None:
    """Appends are executed, and their replies never reach their reporter, whose connection is cut."""
    cable = run.arena.authors_cable
    with run.fault():
        cable.swallow_replies(b"EVALSHA", LOST_REPLIES)
        run.wait(lambda: cable.swallowed == LOST_REPLIES)


def subscription_killed(run: Run, kills: int = PUBSUB_KILLS) -> None:
    """The connections of all subscribers to the channel are killed, again and again."""
    killed_ones = 0
    with run.fault():
        for _ in range(kills):
            killed_ones += run.arena.eye.client_kill_filter(_type="pubsub")
            run.last(PUBSUB_KILL_EVERY_S)
    assert killed_ones >= kills


def subscription_overrun(run: Run) -> None:
    """Redis owes its subscribers more than it is allowed to, and throws them out."""
    eye, channel = run.arena.eye, run.arena.key("live")

    def listeners() -> set[str]:
        return {client["id"] for client in eye.client_list(_type="pubsub")}

    def overrun_all() -> None:
        run.wait(lambda: len(listeners()) == WEB)
        before = listeners()
        # More than once: now and then the kernel takes all of it at once.
        run.wait(lambda: eye.publish(channel, NOISE) >= 0 and before.isdisjoint(listeners()))

    with _set(run, **{"client-output-buffer-limit": "pubsub 32kb 16kb 1"}), run.fault():
        for _ in range(OVERRUNS):
            overrun_all()


def memory_full(run: Run) -> None:
    """Redis has no memory left and evicts nothing: it refuses every append."""
    with run.fault(), _set(run, maxmemory="1", **{"maxmemory-policy": "noeviction"}):
        _refusing(run)


def evicted(run: Run) -> None:
    """Redis has no memory left and throws out what its policy chooses: each policy in turn."""
    for policy in ("volatile-ttl", "allkeys-lru", "allkeys-random"):
        _evicted(run, policy)


def _evicted(run: Run, policy: str) -> None:
    eye = run.arena.eye

    def count() -> int:
        return int(eye.info("stats")["evicted_keys"])

    before = count()
    room = int(eye.info("memory")["used_memory"])
    with run.fault(), _set(run, maxmemory=str(room), **{"maxmemory-policy": policy}):
        run.wait(lambda: count() >= before + EVICTIONS)


def disk_refuses(run: Run) -> None:
    """Redis cannot write to its disk, and refuses every append (MISCONF)."""
    # Where we may make no disk of our own that can be full, another way to the same answer.
    (disk_full if run.arena.redis.folder.is_mount() else save_failed)(run)


def disk_full(run: Run) -> None:
    """The disk of the append-only file is full: Redis refuses every append (MISCONF)."""
    filler = run.arena.redis.folder / "filler"
    with run.fault():
        _fill(filler)
        try:
            run.wait(lambda: not run.arena.accepts())
            _refusing(run)
        finally:
            filler.unlink()


def save_failed(run: Run) -> None:
    """A snapshot cannot be written: Redis refuses every append (MISCONF)."""
    eye, target = run.arena.eye, run.arena.redis.folder / "dump.rdb"
    target.mkdir()
    try:
        with run.fault(), _set(run, save="3600 1"):
            eye.bgsave()
            run.wait(lambda: not run.arena.accepts())
            _refusing(run)
            target.rmdir()
            eye.bgsave()
            run.wait(run.arena.accepts)
    finally:
        target.unlink()


def emptied(run: Run) -> None:
    """Somebody empties Redis, one way and then the other."""
    for command in ("FLUSHALL", "FLUSHDB"):
        with run.fault():
            run.arena.eye.execute_command(command)


def scripts_flushed(run: Run) -> None:
    """Somebody empties Redis' cache of scripts, again and again."""
    with run.fault():
        for _ in range(3):
            run.arena.eye.script_flush()
            run.hear(20)


def holes(run: Run) -> None:
    """Topic streams expire, are deleted and trimmed, so is the log."""
    with run.fault():
        for _ in range(HOLES):
            _make_hole(run)


def holes_until_told(run: Run) -> None:
    """The same again and again, until one who comes back, and is not served from memory, is told."""
    holes(run)
    run.wait(lambda: _told_after_a_hole(run))


def _told_after_a_hole(run: Run) -> bool:
    _make_hole(run)
    return run.was_told


def _make_hole(run: Run) -> None:
    eye, key = run.arena.eye, run.arena.key
    topic = key(f"t:operations:{run.random.choice(run.operations)}")
    match run.random.randrange(4):
        case 0:
            eye.delete(topic)
        case 1:
            eye.pexpire(topic, 1)
        case 2:
            eye.xtrim(topic, maxlen=1, approximate=False)
        case _:
            eye.xtrim(key("log"), maxlen=run.random.randrange(1, 10), approximate=False)
    run.last(HOLE_EVERY_S)


@contextmanager
def _set(run: Run, **settings: str) -> Iterator[None]:
    """Have Redis run with other *settings* for a while."""
    eye = run.arena.eye
    before: dict[str, str] = {name: eye.config_get(name)[name] for name in settings}
    for name, value in reversed(settings.items()):
        eye.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            eye.config_set(name, value)


def _refusing(run: Run) -> None:
    """See that nothing is appended for a while."""
    stands_at = run.arena.end_of_log()
    run.last(REFUSED_S)
    assert run.arena.end_of_log() == stands_at


def _fill(path: Path) -> None:
    """Fill the disk that *path* is on."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))
