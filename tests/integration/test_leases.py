"""Leases on a real server: who is lost, who is not, and that it is said once, whoever says it."""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dev.redis_server import RedisServer
from tests.waiting import wait_until
from tidings import log as log_module
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.events import Complete, Warning  # noqa: A004 - the wire's name
from tidings.log import Log, Run
from tidings.operation import Operation
from tidings.record import OWN, Record
from tidings.reporter import Reporter
from tidings.settings import Settings
from webapp.leases import Leases

OP = Descriptor.of("op", "batch")
LEASE_S = 10
LOOK_S = 1
DEADLINE_S = 60
SOON_S = 20.0
"""How long a test waits for what takes a few of its own short beats."""


class Clock:
    """The monotonic clock of a machine whose time the test makes."""

    def __init__(self) -> None:
        self.now = 5_000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


class Web:
    """Web processes that watch one log, each looking once a second of one clock."""

    def __init__(self, *logs: Log) -> None:
        self.log = logs[0]
        self.clock = Clock()
        self.watchers = [Leases(log, LEASE_S, self.clock) for log in logs]

    def watch(self, seconds: int, meanwhile: Callable[[int], object] = lambda _: None) -> None:
        """Watch for so long; *meanwhile* is called with the second, before each look."""
        for second in range(seconds):
            self.clock.now += LOOK_S
            meanwhile(second)
            for watcher in self.watchers:
                watcher.look()

    def pause(self, seconds: float) -> None:
        """Let time pass in which nobody looks."""
        self.clock.now += seconds

    def watch_until_due(self, seconds: int) -> int:
        """Watch for up to so long; give the second in which the operation has ended."""
        for second in range(seconds):
            self.watch(1)
            if is_over(self.log):
                return second + 1
        raise AssertionError(f"not over after {seconds} s")


class Worker:
    """A worker's reporter as the log sees it: it numbers what it says, and beats when told."""

    def __init__(self, log: Log, name: str = "worker") -> None:
        self.log = log
        self.name = name
        self.run = f"{name}.1"
        self.number = 0
        self.beats = 0

    def append(self, *records: Record) -> list[str]:
        """Append *records*; give what became of each in one word."""
        outcomes = self.log.append(self.name, self.number + 1, records)
        self.number += len(records)
        return [outcome.code for outcome in outcomes]

    def begin(self, about: Descriptor = OP, attempt: int = 1, redelivery_s: int = 0) -> list[str]:
        """Begin an operation."""
        return self.append(Record.beginning(about, self.run, attempt, redelivery_s))

    def warn(self, about: Descriptor = OP) -> list[str]:
        """Say something as the owner of the operation."""
        return self.append(Record.of(about, Warning, condition=OWN, run=self.run, code="c", message="m"))

    def complete(self, about: Descriptor = OP) -> list[str]:
        """End the operation well."""
        return self.append(Record.of(about, Complete, condition=OWN, run=self.run))

    def beat(self, second: int = 0) -> None:
        """Beat, every third second."""
        if second % 3 == 0:
            self.beats += 1
            self.log.append(self.name, 0, [], str(self.beats))


class Overtaken(Log):
    """The log as a web process sees it that is overtaken between its look and its claim."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def runs(self, reporter: str) -> tuple[int, list[Run]]:
        """Read what the reporter runs, and let the rest of the world go on before it is used."""
        found = super().runs(reporter)
        self.meanwhile()
        return found


def told(log: Log, operation_id: str = "op") -> list[tuple[str, str]]:
    """List what the log has of an operation, or of all: type, and its status or code."""
    entries, after = [], Cursor(0, 0)
    while page := log.read(after):
        entries += [entry for entry in page if entry.cursor.n and operation_id in {"", entry.operation_id}]
        after = page[-1].cursor
    said = [(entry.type, json.loads(entry.data)) for entry in entries]
    return [(event_type, event.get("status") or event.get("code") or "") for event_type, event in said]


def is_over(log: Log, operation_id: str = "op") -> bool:
    """Tell whether the operation has ended."""
    state = log.operation(operation_id)
    return state is not None and state.end is not None


def leases(log: Log) -> list[str]:
    """List what is filed as running: ``<reporter> <operation>``."""
    found: Any = log.redis.zrange(log.key("running"), 0, -1)
    return [member.decode() for member in found]


LOST = [("status", "running"), ("status", "failed"), ("error", "worker_lost")]
HANDED_ON = [("status", "running"), ("status", "retrying")]


@pytest.fixture
def web(log: Log) -> Web:
    """One web process."""
    return Web(log)


@pytest.fixture
def worker(log: Log) -> Worker:
    """One worker."""
    return Worker(log)


@pytest.fixture
def own_log(own_redis: RedisServer) -> Iterator[Log]:
    """A log on a server of the test's own."""
    log = Log(Settings(redis_url=own_redis.url))
    yield log
    log.close()


@pytest.fixture
def overtaken(settings: Settings) -> Iterator[Overtaken]:
    """The same log, for a web process that is overtaken."""
    log = Overtaken(settings)
    yield log
    log.close()


class TestSilence:
    """What is lost, and what is not."""

    def test_a_silent_worker_is_lost_within_its_bounds(self, log: Log, web: Web, worker: Worker) -> None:
        """Ten seconds after its last sign of life, not before, its operation ends once, and says why."""
        worker.begin()
        web.watch(LEASE_S)
        assert told(log) == LOST[:1]
        web.watch(2)
        assert told(log) == LOST
        web.watch(30)
        assert told(log) == LOST
        assert leases(log) == []

    def test_a_beat_keeps_a_silent_operation_alive(self, log: Log, web: Web, worker: Worker) -> None:
        """A task that says nothing for minutes runs as long as its process beats."""
        worker.begin()
        web.watch(300, worker.beat)
        assert told(log) == LOST[:1]
        web.watch(LEASE_S + 2)
        assert told(log) == LOST

    def test_one_worker_does_not_keep_another_alive(self, log: Log, web: Web, worker: Worker) -> None:
        """Each reporter is watched for itself."""
        dead = Worker(log, "dead")
        worker.begin()
        dead.begin(Descriptor.of("other", "batch"))
        web.watch(LEASE_S + 2, worker.beat)
        assert (told(log), told(log, "other")) == (LOST[:1], LOST)

    def test_late_events_of_the_dead_change_nothing(self, log: Log, web: Web, worker: Worker) -> None:
        """What was on its way when its worker died is refused."""
        worker.begin()
        web.watch(LEASE_S + 2)
        assert worker.warn() + worker.complete() + worker.begin(attempt=2) == ["over"] * 3
        assert told(log) == LOST

    def test_what_another_run_took_over_is_not_lost_with_the_first(
        self, log: Log, web: Web, worker: Worker
    ) -> None:
        """A reporter is watched for what it runs, not for what it ran."""
        worker.begin()
        another = Worker(log, "another")
        another.begin()
        assert leases(log) == ["another op"]
        web.watch(30, another.beat)
        assert told(log) == [("status", "running")] * 2

    def test_a_worker_that_waits_for_its_retry_is_not_watched(
        self, log: Log, web: Web, worker: Worker
    ) -> None:
        """An attempt that gave up by itself has nothing that could be lost."""
        worker.begin()
        worker.append(
            Record.of(OP, Warning, condition=OWN, run=worker.run, leaves=True, code="c", message="m")
        )
        web.watch(30)
        assert told(log) == [("status", "running"), ("warning", "c")]

    def test_all_operations_of_a_lost_worker_end(self, log: Log, web: Web, worker: Worker) -> None:
        """More than are read at once are lost in one go, and each once."""
        many = [Descriptor.of(f"op{n}", "batch") for n in range(log_module.PAGE_RUNS * 2 + 7)]
        worker.append(*[Record.beginning(about, worker.run, 1) for about in many])
        web.watch(LEASE_S + 2)
        assert [is_over(log, about.id) for about in many] == [True] * len(many)
        assert len(told(log, "")) == len(LOST) * len(many)

    def test_many_workers_are_watched(self, log: Log, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        """More than are looked at in one call are seen, each with its own beat."""
        monkeypatch.setattr(log_module, "PAGE_LEASES", 3)
        workers = [Worker(log, f"w{n}") for n in range(8)]
        for each in workers:
            each.begin(Descriptor.of(f"op-{each.name}", "batch"))
            each.beat()
        assert log.watch().leases == {each.name: "1:1" for each in workers}

        def all_but_one_beat(second: int) -> None:
            for each in workers[:-1]:
                each.beat(second)

        web.watch(LEASE_S + 2, all_but_one_beat)
        assert [is_over(log, f"op-{each.name}") for each in workers] == [False] * 7 + [True]

    def test_an_operation_that_expired_is_watched_no_more(self, log: Log, web: Web, worker: Worker) -> None:
        """What the log has forgotten costs no more looks."""
        worker.begin()
        log.redis.delete(log.key("op:op"))
        web.watch(LEASE_S + 2)
        assert leases(log) == []


class TestOnce:
    """Several web processes and a worker that is not dead after all: one of them counts."""

    def test_two_web_processes_say_it_once(self, log: Log, worker: Worker) -> None:
        """Both watch, both find it lost."""
        worker.begin()
        Web(log, log).watch(30)
        assert told(log) == LOST

    @pytest.mark.parametrize("redelivery_s", [0, DEADLINE_S])
    def test_a_claim_that_was_overtaken_by_the_same_claim_is_refused(
        self, log: Log, overtaken: Overtaken, worker: Worker, redelivery_s: int
    ) -> None:
        """Of two that read the same before either spoke, the first is heard."""
        worker.begin(redelivery_s=redelivery_s)
        web = Web(log, overtaken)
        other, overtaken_one = web.watchers
        web.watch(LEASE_S)
        overtaken.meanwhile = other.look
        web.clock.now += 2
        overtaken_one.look()
        assert told(log) == (HANDED_ON if redelivery_s else LOST)

    @pytest.mark.parametrize(
        ("sign", "then"),
        [
            (Worker.beat, []),
            (Worker.warn, [("warning", "c")]),
            (Worker.complete, [("complete", "")]),
            (Worker.begin, [("status", "running")]),
        ],
    )
    def test_a_claim_is_refused_if_the_worker_was_heard_since(
        self,
        log: Log,
        overtaken: Overtaken,
        worker: Worker,
        sign: Callable[[Worker], object],
        then: list[tuple[str, str]],
    ) -> None:
        """Whatever it says between the look and the claim shows that it lives."""
        worker.begin()
        overtaken.meanwhile = lambda: sign(worker)
        Web(overtaken).watch(LEASE_S + 1)
        assert told(log) == [("status", "running"), *then]

    def test_a_claim_is_refused_if_another_attempt_began_since(
        self, log: Log, overtaken: Overtaken, worker: Worker
    ) -> None:
        """An attempt that begins just then goes on."""
        worker.begin()
        another = Worker(log, "another")
        overtaken.meanwhile = lambda: another.begin(attempt=2)
        Web(overtaken).watch(LEASE_S + 1)
        assert told(log) == [("status", "running")] * 2


class TestContact:
    """An outage, a pause and a clock make nobody lost."""

    def test_a_pause_of_the_web_process_makes_nobody_lost(self, log: Log, web: Web, worker: Worker) -> None:
        """A machine that slept, workers and all, gives them a lease to wake up."""
        worker.begin()
        web.watch(LEASE_S)
        web.pause(60)
        web.watch(LEASE_S)
        assert told(log) == LOST[:1]
        worker.beat()
        web.watch(LEASE_S)
        assert told(log) == LOST[:1]
        web.watch(2)
        assert told(log) == LOST

    def test_an_outage_makes_nobody_lost(self, own_redis: RedisServer, own_log: Log) -> None:
        """Redis comes back a minute later, and the worker some seconds after it."""
        worker, web = Worker(own_log), Web(own_log)
        worker.begin()
        web.watch(LEASE_S - 1)
        wait_until(lambda: b"running" in _aof(own_redis), timeout_s=SOON_S)
        own_redis.kill()
        for _ in range(60):
            web.clock.now += 1
            with pytest.raises(LogUnavailable):
                web.watchers[0].look()
        own_redis.start()
        web.watch(LEASE_S)
        assert told(own_log) == LOST[:1]
        worker.beat()
        web.watch(LEASE_S)
        assert told(own_log) == LOST[:1]
        web.watch(2)
        assert told(own_log) == LOST

    def test_another_era_makes_nobody_lost(self, own_redis: RedisServer, own_log: Log) -> None:
        """A server that was back at once, between two looks, may have lost the last beats."""
        worker, web = Worker(own_log), Web(own_log)
        worker.begin()
        web.watch(LEASE_S)
        wait_until(lambda: b"running" in _aof(own_redis), timeout_s=SOON_S)
        own_redis.kill()
        own_redis.start()
        web.watch(LEASE_S)
        assert told(own_log) == LOST[:1]
        web.watch(2)
        assert told(own_log) == LOST

    def test_a_server_that_takes_no_writes_makes_nobody_lost(self, own_log: Log) -> None:
        """A full server answers reads but takes no beats: that is an outage too."""
        worker, web = Worker(own_log), Web(own_log)
        worker.begin()
        web.watch(LEASE_S - 1)
        own_log.redis.config_set("maxmemory", "1")
        for second in range(0, 60, 3):
            web.clock.now += 3
            with pytest.raises(LogUnavailable):
                web.watchers[0].look()
            with pytest.raises(LogUnavailable):
                worker.beat(second)
        own_log.redis.config_set("maxmemory", "0")
        web.watch(LEASE_S)
        worker.beat()
        web.watch(LEASE_S)
        assert told(own_log) == LOST[:1]

    def test_a_clock_that_is_set_forward_makes_nobody_lost(
        self, log: Log, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The time of day may run as it likes: here a lease goes by in ten looks or so."""
        worker.begin()
        wall, steps = time.time, itertools.count(step=0.25)
        monkeypatch.setattr(time, "time", lambda: wall() + next(steps))
        watcher = Leases(log, LEASE_S)
        for _ in range(20):
            watcher.look()
        assert told(log) == LOST[:1]

    def test_a_clock_that_is_set_back_does_not_hide_a_death(
        self, log: Log, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor does it keep the dead alive."""
        worker.begin()
        watcher, wall = Leases(log, 0.3), time.time
        watcher.look()
        monkeypatch.setattr(time, "time", lambda: wall() - 3_600)

        def is_told() -> bool:
            watcher.look()
            return is_over(log)

        wait_until(is_told, timeout_s=SOON_S)
        assert told(log) == LOST


class TestRedelivery:
    """A task that the broker delivers again is retrying, until it begins, or until it is too late."""

    def test_a_lost_attempt_is_handed_on_once(self, log: Log, worker: Worker) -> None:
        """It is retrying, with the reason, and owned by nobody."""
        worker.begin(redelivery_s=DEADLINE_S)
        Web(log, log).watch(30)
        assert told(log) == HANDED_ON
        state = log.operation("op")
        assert state is not None
        details = json.loads(state.events["status"])["details"]
        assert (details["reason"], details["redeliveryS"]) == ("worker_lost", DEADLINE_S)
        assert leases(log) == []

    def test_the_next_attempt_goes_on(self, log: Log, web: Web, worker: Worker) -> None:
        """The redelivered attempt runs and ends it; the deadline that was set is nothing any more."""
        worker.begin(redelivery_s=DEADLINE_S)
        web.watch(LEASE_S + 2)
        another = Worker(log, "another")
        assert another.begin(redelivery_s=DEADLINE_S) == ["stored"]
        assert worker.warn() + worker.complete() == ["stale"] * 2
        web.watch(DEADLINE_S * 3, another.beat)
        assert told(log) == [*HANDED_ON, ("status", "running")]
        assert another.complete() == ["stored"]
        web.watch(DEADLINE_S * 3)
        assert told(log) == [*HANDED_ON, ("status", "running"), ("complete", "")]

    def test_it_is_lost_for_good_when_no_attempt_begins_in_time(
        self, log: Log, web: Web, worker: Worker
    ) -> None:
        """The end comes after the deadline, within a lease and its tenth, once."""
        worker.begin(redelivery_s=DEADLINE_S)
        web.watch(LEASE_S + 2)
        assert told(log) == HANDED_ON
        assert DEADLINE_S - LEASE_S <= web.watch_until_due(DEADLINE_S * 2) <= DEADLINE_S * 1.2 + LEASE_S
        web.watch(DEADLINE_S * 2)
        assert told(log) == [*HANDED_ON, *LOST[1:]]
        assert worker.begin(attempt=2) == ["over"]
        assert log.watch().overdue == []

    def test_deadlines_outlive_web_processes(self, log: Log, worker: Worker) -> None:
        """Web processes that live for half a minute each bring it to its end all the same."""
        worker.begin(redelivery_s=DEADLINE_S)
        Web(log).watch(LEASE_S + 2)
        for _ in range(10):
            Web(log).watch(30)
        assert told(log) == [*HANDED_ON, *LOST[1:]]

    def test_many_web_processes_do_not_hasten_a_deadline(self, log: Log, worker: Worker) -> None:
        """The time that counts is moved on once, however many watch."""
        worker.begin(redelivery_s=DEADLINE_S)
        web = Web(log, log, log, log)
        web.watch(LEASE_S + 2)
        assert web.watch_until_due(DEADLINE_S * 2) >= DEADLINE_S - LEASE_S
        assert told(log) == [*HANDED_ON, *LOST[1:]]

    def test_a_deadline_does_not_pass_while_nobody_watches(self, log: Log, web: Web, worker: Worker) -> None:
        """A pause of all web processes counts for nothing."""
        worker.begin(redelivery_s=DEADLINE_S)
        web.watch(LEASE_S + 2)
        web.pause(3_600)
        web.watch(DEADLINE_S - LEASE_S)
        assert told(log) == HANDED_ON

    def test_it_goes_on_where_the_worker_was_only_paused(self, log: Log, web: Web) -> None:
        """A task that is heard again, and that no other attempt has replaced, takes its operation back."""
        reporter = Reporter(log, buffer_records=100, interval_s=0.1, lease_s=36_000)
        op = Operation("batch", "op", reporter=reporter, strict=False)
        op.redelivery_s = DEADLINE_S
        op.start()
        assert reporter.flush(5)
        web.watch(LEASE_S + 2)
        assert told(log) == HANDED_ON
        op.warning("c", "m")
        op.complete()
        assert reporter.flush(5)
        assert told(log) == [
            *HANDED_ON, ("status", "running"), ("warning", "c"), ("status", "succeeded"), ("complete", ""),
        ]  # fmt: skip
        assert log.redis.zcard(log.key("due")) == 0


class TestProcess:
    """The side of the process that does the work, with beats a few tenths of a second apart."""

    @pytest.fixture
    def busy(self, log: Log) -> Iterator[Reporter]:
        """A reporter whose lease is a second, and whose patience with a silent task a tenth."""
        reporter = Reporter(log, buffer_records=1_000, interval_s=0.01, lease_s=1, stalled_s=0.1)
        yield reporter
        reporter.flush(5)

    def test_it_beats_while_an_operation_runs_and_no_longer(self, log: Log, busy: Reporter) -> None:
        """A silent operation is kept alive from its start to its end."""
        op = Operation("batch", "op", reporter=busy, strict=False).start()
        wait_until(lambda: _beat(log, busy) >= 2, timeout_s=SOON_S)
        op.complete()
        assert busy.flush(5)
        last = _beat(log, busy)
        other = Operation("batch", "other", reporter=busy, strict=False)
        assert _beat(log, busy) <= last + 1  # one may have been under way
        other.start()
        wait_until(lambda: _beat(log, busy) >= last + 3, timeout_s=SOON_S)
        other.complete()

    def test_it_beats_again_when_redis_is_back(self, own_redis: RedisServer, own_log: Log) -> None:
        """An outage ends no beat for good."""
        reporter = Reporter(own_log, buffer_records=100, interval_s=0.1, lease_s=1)
        op = Operation("batch", "op", reporter=reporter, strict=False).start()
        wait_until(lambda: _beat(own_log, reporter) >= 1, timeout_s=SOON_S)
        own_redis.kill()
        own_redis.start()
        own_log.redis.delete(own_log.key(f"r:{reporter.id}"))
        wait_until(lambda: _beat(own_log, reporter) >= 1, timeout_s=SOON_S)
        op.complete()

    def test_a_silent_task_is_stalled_once_until_it_speaks(self, log: Log, busy: Reporter) -> None:
        """One warning per silence, from the process that runs it."""
        op = Operation("batch", "op", reporter=busy, strict=False).start()
        wait_until(lambda: ("warning", "stalled") in told(log), timeout_s=SOON_S)
        beats = _beat(log, busy)
        wait_until(lambda: _beat(log, busy) >= beats + 2, timeout_s=SOON_S)
        assert told(log) == [("status", "running"), ("warning", "stalled")]
        op.progress(1)
        wait_until(lambda: told(log).count(("warning", "stalled")) == 2, timeout_s=SOON_S)
        assert told(log)[2:] == [("progress", ""), ("warning", "stalled")]
        op.complete()

    def test_a_task_that_was_left_without_an_end_is_lost(self, log: Log, busy: Reporter) -> None:
        """Where its process goes on, nobody else could notice."""
        Operation("batch", "op", reporter=busy, strict=False).start().abandon()
        wait_until(lambda: is_over(log), timeout_s=SOON_S)
        assert told(log) == LOST

    def test_an_end_that_somebody_knows_is_better_than_a_loss(self, log: Log, busy: Reporter) -> None:
        """What was left without an end is not lost if it is ended within a beat."""
        op = Operation("batch", "op", reporter=busy, strict=False).start()
        op.abandon()
        assert busy.flush(5)
        beats = _beat(log, busy)
        Worker(log, "parent").append(Record.of(OP, Complete, condition=OWN, run=op.run))
        wait_until(lambda: _beat(log, busy) >= beats + 1, timeout_s=SOON_S)
        assert told(log) == [("status", "running"), ("complete", "")]

    def test_a_forked_child_keeps_nothing_of_its_parents_alive(self, log: Log, busy: Reporter) -> None:
        """The child of a process that works is another reporter, and beats for what itself begins."""
        op = Operation("batch", "op", reporter=busy, strict=False).start()
        assert busy.flush(5)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if not busy.lease._held and busy.id != op.run.partition(".")[0] else 1)  # noqa: SLF001
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        beats = _beat(log, busy)
        wait_until(lambda: _beat(log, busy) >= beats + 1, timeout_s=SOON_S)
        op.complete()


def _beat(log: Log, reporter: Reporter) -> int:
    """Give the last beat that the log has of a reporter."""
    beat: Any = log.redis.hget(log.key(f"r:{reporter.id}"), "beat")
    return int(beat or 0)


def _aof(server: RedisServer) -> bytes:
    """Read what the server would have again after a crash."""
    return b"".join(path.read_bytes() for path in (server.folder / "appendonlydir").iterdir())
