"""What becomes of tasks whose worker dies, is only cut off, or does not answer: on real workers.

Everything here has a lease of two seconds, so that a death is told after some two and a half.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from dev.redis_server import RedisServer
from tests.celery_project import Project, end_of, statuses
from tests.http_stream import get_json
from tests.stack import READ_S
from tests.waiting import wait_until

LEASE_S: Final = 2
TOLD_S: Final = 0.7 * LEASE_S + READ_S
"""A death is told within 1.2 leases; the rest is for a machine that does much else."""
AGAIN: Final = "running waiting (retrying )?running waiting succeeded"
"""The next run may begin before anybody has noticed the end of the one before."""

PROJECT: Final = """
import os
import sys
import time
from pathlib import Path

from celery import Celery

import tidings.celery
from tidings import report_status

app = Celery("proj", broker=os.environ["REDIS_URL"].replace("unix://", "redis+socket://"))
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss="CANCELS" in os.environ,
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("VISIBILITY_S", "300")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
)
tidings.celery.install(app)


@app.task
def waits_for(path):
    report_status("waiting")
    while not Path(path).exists():
        time.sleep(0.02)


@app.task(acks_late=True)
def waits_and_comes_again(path):
    report_status("waiting")
    while not Path(path).exists():
        time.sleep(0.02)


@app.task
def computes(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@app.task
def exits():
    sys.exit(1)
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of these workers' own, to freeze."""
    with RedisServer(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module")
def project(broker: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with one prefork worker of two processes, watched by two web processes."""
    folder = tmp_path_factory.mktemp("leases")
    with Project(broker.url, folder, "prefork", PROJECT, web=2, TIDINGS_LEASE_S=str(LEASE_S)) as project:
        yield project
        project.signal_worker(signal.SIGKILL)  # it would first wait for the tasks that were left


def running(project: Project, task: str, gate: Path) -> str:
    """Send a task that waits for *gate*; give its id once it does."""
    operation_id = project.send(task, str(gate))
    project.wait_for_status(operation_id, "waiting")
    return operation_id


def wait_until_it_waits_again(project: Project, operation_id: str) -> None:
    """Wait until a second run of the operation has said that it waits."""
    with project.service.stream(f"/api/events/operations/{operation_id}?history=all") as stream:
        for _ in range(2):
            stream.read_until(lambda message: '"status":"waiting"' in message.data, READ_S)


def let_pass(seconds: float) -> None:
    """Wait until so much time has passed: for what must not happen in it."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, timeout_s=seconds + READ_S)


def status_of(project: Project, operation_id: str) -> Any:
    """Give the status that the service says the operation has."""
    return get_json(f"{project.service.url}/api/operations/{operation_id}").body["operation"]["status"]


def test_frozen_redis_makes_nobody_lost(project: Project, broker: RedisServer, tmp_path: Path) -> None:
    """Redis is silent for two leases while a task runs; the task goes on, and so does its operation."""
    gate = tmp_path / "gate"
    operation_id = running(project, "waits_for", gate)
    broker.freeze()
    let_pass(1.3 * LEASE_S)
    broker.thaw()
    let_pass(1.1 * LEASE_S)
    gate.touch()

    assert statuses(project.events(operation_id)) == ["running", "waiting", "succeeded"]


def test_machine_that_slept_loses_nobody(project: Project, tmp_path: Path) -> None:
    """Web processes wake up before the worker does, and give it a lease to be heard."""
    gate = tmp_path / "gate"
    operation_id = running(project, "waits_for", gate)
    web = project.service.web_pids()
    project.signal_worker(signal.SIGSTOP)
    for pid in web:
        os.kill(pid, signal.SIGSTOP)
    let_pass(1.3 * LEASE_S)
    for pid in web:
        os.kill(pid, signal.SIGCONT)
    let_pass(0.3 * LEASE_S)
    project.signal_worker(signal.SIGCONT)
    let_pass(1.1 * LEASE_S)
    gate.touch()

    assert statuses(project.events(operation_id)) == ["running", "waiting", "succeeded"]


def test_lost_machine_ends_or_hands_on_what_it_ran(project: Project, tmp_path: Path) -> None:
    """A task that was acknowledged is lost; one that was not is retrying until it runs elsewhere."""
    gate, never = tmp_path / "gate", tmp_path / "never"
    project.start_worker(concurrency=2)
    early, late = running(project, "waits_for", never), running(project, "waits_and_comes_again", gate)
    project.signal_worker(signal.SIGKILL)
    died_at = time.monotonic()
    events = project.events(early)

    assert time.monotonic() - died_at < TOLD_S
    assert statuses(events) == ["running", "waiting", "failed"]
    assert end_of(events)["code"] == "worker_lost"
    project.wait_for_status(late, "retrying")

    gate.touch()
    project.start_worker(VISIBILITY_S="1")
    events = project.events(late)
    assert statuses(events) == ["running", "waiting", "retrying", "running", "waiting", "succeeded"]
    details = [data["details"] for _, data in events if data.get("status") == "retrying"]
    assert [(each["reason"], each["redeliveryS"]) for each in details] == [("worker_lost", 300 + 1)]
    end_of(events)

    doomed = running(project, "waits_and_comes_again", never)
    project.signal_worker(signal.SIGKILL)
    events = project.events(doomed)
    assert statuses(events) == ["running", "waiting", "retrying", "failed"]
    assert end_of(events)["code"] == "worker_lost"
    never.touch()  # its message comes again, and would hold up the tests that follow


def test_worker_told_to_quit_loses_what_it_runs_or_hands_it_on(project: Project, tmp_path: Path) -> None:
    """It says of both that they are retried; only that which it has not acknowledged is."""
    gate, never = tmp_path / "gate", tmp_path / "never"
    project.start_worker(concurrency=2)
    early, late = running(project, "waits_for", never), running(project, "waits_and_comes_again", gate)
    assert project.worker is not None
    project.worker.send_signal(signal.SIGQUIT)
    project.worker.wait(timeout=READ_S)
    events = project.events(early)
    assert statuses(events) == ["running", "waiting", "failed"]
    assert end_of(events)["code"] == "worker_lost"

    gate.touch()
    project.start_worker()
    events = project.events(late)
    assert re.fullmatch(AGAIN, " ".join(statuses(events)))
    end_of(events)


def test_task_that_is_delivered_again_while_it_runs_ends_once(project: Project, tmp_path: Path) -> None:
    """Its visibility timeout has passed: two runs of it at once, and the later one's is the operation."""
    gate = tmp_path / "gate"
    project.start_worker(concurrency=2, VISIBILITY_S="1")
    twin = project.send("waits_and_comes_again", str(gate))
    wait_until_it_waits_again(project, twin)
    gate.touch()
    events = project.events(twin)

    assert statuses(events) == ["running", "waiting", "running", "waiting", "succeeded"]
    end_of(events)


def test_task_that_a_lost_connection_cancels_runs_again(
    project: Project, broker: RedisServer, tmp_path: Path
) -> None:
    """Where the project says so, and its message is not acknowledged, which comes again; the others go on."""
    gate = tmp_path / "gate"
    project.start_worker(concurrency=2, CANCELS="1")
    early, late = running(project, "waits_for", gate), running(project, "waits_and_comes_again", gate)
    with Redis.from_url(broker.url) as redis:
        redis.client_kill_filter(_type="normal", skipme=True)
        redis.client_kill_filter(_type="pubsub", skipme=True)
    wait_until_it_waits_again(project, late)
    gate.touch()

    assert statuses(project.events(early)) == ["running", "waiting", "succeeded"]
    events = project.events(late)
    assert re.fullmatch(AGAIN, " ".join(statuses(events)))
    end_of(events)


def test_gevent_worker_beats_while_a_greenlet_computes(project: Project) -> None:
    """A task that never gives way is alive; one that leaves its greenlet is lost, and its process lives."""
    project.start_worker(pool="gevent")
    events = project.events(project.send("computes", 1.8 * LEASE_S))
    assert statuses(events) == ["running", "succeeded"]

    events = project.events(project.send("exits"))
    assert statuses(events) == ["running", "failed"]
    assert end_of(events)["code"] == "worker_lost"
