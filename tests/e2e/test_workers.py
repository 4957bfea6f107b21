"""Celery's side: what a project that only installs Tidings shows of each way a task can go.

A project of its own, made in a temporary folder, with a real worker of each pool, published to from a process
of its own. Read through the service, so an event counts only when a browser would have it.
"""

import json
from collections.abc import Iterator
from typing import Final

import pytest

from dev.redis_server import RedisServer
from tests.celery_project import Project, end_of, statuses
from tests.stack import READ_S, logged
from tests.waiting import wait_until

PROJECT: Final = """
import os
import signal
import threading
import time
from pathlib import Path

from celery import Celery

import tidings.celery
from tidings import report_progress, report_status, report_warning
from tidings.process import this_process

app = Celery("proj", broker=os.environ["REDIS_URL"].replace("unix://", "redis+socket://"))
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
tidings.celery.install(app)


@app.task
def ok(word="done"):
    return {"word": word}


@app.task
def fails():
    raise KeyError("no such row")


@app.task(bind=True, max_retries=3)
def retries_once(self):
    report_progress(self.request.retries, 1)
    if self.request.retries == 0:
        raise self.retry(countdown=0, exc=ValueError("not yet"))
    return "at last"


@app.task
def waits_for(path):
    report_status("waiting")
    while not Path(path).exists():
        time.sleep(0.02)


@app.task
def returns_unserialisable():
    return {"lock": threading.Lock()}


@app.task(soft_time_limit=1, time_limit=60)
def too_slow():
    while True:
        time.sleep(0.02)


@app.task(soft_time_limit=1, time_limit=60)
def too_slow_but_catches_exceptions():
    while True:
        try:
            time.sleep(0.02)
            report_progress(1, 2)
        except ValueError:
            pass


@app.task(time_limit=1)
def much_too_slow():
    while True:
        time.sleep(0.02)


@app.task
def is_killed(path):
    report_status("waiting")
    while not Path(path).exists():
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(path):
    if not Path(path).exists():
        Path(path).touch()
        this_process().reporter.flush(60)
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(acks_late=True, reject_on_worker_lost=True)
def is_rejected_when_lost(path):
    return die_once(path)


@app.task(retry_on_worker_lost=True, max_retries=1, default_retry_delay=0)
def is_retried_when_lost(path):
    return die_once(path)


@app.task
def reports_from_a_thread():
    thread = threading.Thread(target=report_progress, args=(1, 2))
    thread.start()
    thread.join()


@app.task
def reports_a_million_times():
    started = time.perf_counter()
    for number in range(1, 1_000_001):
        report_progress(number, 1_000_000)
    return {"seconds": time.perf_counter() - started}


@app.task
def odd_values():
    report_progress(float("nan"), -1, "\\ud800\\n\\u2028")
    report_warning("odd", "\\x00", {"x": object()})
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of these workers' own: what is revoked or killed here concerns nobody else."""
    with RedisServer(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module", params=["prefork", "threads"])
def project(
    broker: RedisServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """A project whose worker has one process, or one thread, for its tasks."""
    with Project(f"{broker.url}", tmp_path_factory.mktemp(request.param), request.param, PROJECT) as project:
        yield project


PREFORK: Final = pytest.mark.parametrize("project", ["prefork"], indirect=True)
"""For what Celery does only to a process: ending it from outside, and limiting its time."""


def test_task_that_returns_succeeds(project: Project) -> None:
    """A task that returns runs, succeeds and completes with its result."""
    events = project.events(project.send("ok", "well"))

    assert statuses(events) == ["running", "succeeded"]
    assert end_of(events)["result"] == {"word": "well"}
    assert {data["operationType"] for _, data in events} == {"task"}


def test_task_that_raises_fails(project: Project) -> None:
    """A task that raises ends with an error that says what it raised, and no traceback."""
    events = project.events(project.send("fails"))

    assert statuses(events) == ["running", "failed"]
    end = end_of(events)
    assert (end["code"], end["details"]) == ("failed", {"exception": "KeyError"})
    assert "no such row" in end["message"]
    assert "Traceback" not in json.dumps(events)


def test_retried_task_shows_its_second_attempt(project: Project) -> None:
    """A task that retries is retrying, then runs again as attempt 2 of the same operation."""
    events = project.events(project.send("retries_once"))

    assert statuses(events) == ["running", "retrying", "running", "succeeded"]
    assert [data["attempt"] for _, data in events][-7:] == [1, 1, 1, 2, 2, 2, 2]
    assert end_of(events)["result"] == "at last"
    (first,) = [data for _, data in events if data.get("status") == "retrying"]
    assert min(first["durationSeconds"], end_of(events)["durationSeconds"]) >= 0


def test_result_that_is_no_json_completes_all_the_same(project: Project) -> None:
    """A result that cannot be sent does not fail the task; the event says that it was left out."""
    events = project.events(project.send("returns_unserialisable"))

    assert statuses(events)[-1] == "succeeded"
    assert "omitted" in end_of(events)["result"]


def test_report_outside_any_operation_harms_nothing(project: Project) -> None:
    """A report from a thread that works for no operation is dropped, and the task goes on."""
    events = project.events(project.send("reports_from_a_thread"))

    assert statuses(events) == ["running", "succeeded"]
    assert [event_type for event_type, _ in events].count("progress") == 0
    said = "outside any operation"
    wait_until(lambda: said in (project.folder / "worker.log").read_text(), timeout_s=READ_S)


def test_odd_values_do_not_fail_a_task(project: Project) -> None:
    """What cannot be sent as it is arrives put right."""
    events = project.events(project.send("odd_values"))

    assert statuses(events) == ["running", "succeeded"]
    assert [event_type for event_type, _ in events].count("warning") == 1
    (progress,) = [data for event_type, data in events if event_type == "progress"]
    assert (progress["current"], progress["total"], progress["message"]) == (0, None, "\ufffd\n\u2028")


def test_million_reports_arrive_with_the_last_one(project: Project) -> None:
    """A task that reports a million times is not held up, and its last progress arrives."""
    events = project.events(project.send("reports_a_million_times"))
    counts = [data["current"] for event_type, data in events if event_type == "progress"]

    assert counts == sorted(set(counts))
    assert counts[-1] == 1_000_000
    assert len(counts) < 2_000
    assert statuses(events) == ["running", "succeeded"]
    assert end_of(events)["result"]["seconds"] < 60


def test_task_revoked_before_its_worker_has_it_is_cancelled(project: Project) -> None:
    """A task whose id was revoked is cancelled when its message comes, and never runs."""
    revoked = f"revoked-{project.pool}"
    project.publish(f"app.control.revoke({revoked!r}, reply=True)")
    project.publish(f"ok.apply_async(task_id={revoked!r}).id")
    events = project.events(revoked)

    assert statuses(events) == ["cancelled"]
    assert end_of(events)["code"] == "cancelled"


def test_revoked_task_that_nobody_announced_is_cancelled(project: Project) -> None:
    """A revoked task is shown as cancelled even if its worker knows of it before it was announced."""
    revoked = f"unannounced-{project.pool}"
    project.publish(f"app.control.revoke({revoked!r}, reply=True)")
    project.publish_unannounced("proj.ok", revoked)
    wait_until(lambda: project.knows(revoked), timeout_s=READ_S)
    events = project.events(revoked)

    assert statuses(events) == ["cancelled"]
    assert end_of(events)["code"] == "cancelled"


def test_task_that_nobody_announced_is_shown_from_its_start(project: Project) -> None:
    """A task sent by a program that knows nothing of Tidings is an operation as soon as it runs."""
    unannounced = f"unannounced-too-{project.pool}"
    project.publish_unannounced("proj.ok", unannounced)
    wait_until(lambda: project.knows(unannounced), timeout_s=READ_S)

    assert statuses(project.events(unannounced)) == ["running", "succeeded"]


@PREFORK
def test_task_revoked_while_it_waits_for_its_turn_is_cancelled(project: Project) -> None:
    """A task that is revoked while its worker is busy with another is cancelled and never runs."""
    gate = project.folder / "gate-of-the-revoked"
    first = project.send("waits_for", str(gate))
    project.wait_for_status(first, "waiting")
    revoked = project.send("ok")
    project.publish(f"app.control.revoke({revoked!r}, reply=True)")
    gate.touch()
    events = project.events(revoked)

    assert statuses(events) == ["cancelled"]
    assert end_of(events)["code"] == "cancelled"
    assert statuses(project.events(first))[-1] == "succeeded"


@PREFORK
def test_task_terminated_while_it_runs_is_cancelled(project: Project) -> None:
    """A running task that is revoked with ``terminate`` ends as cancelled, once."""
    running = project.send("waits_for", str(project.folder / "never"))
    project.wait_for_status(running, "waiting")
    project.publish(f"app.control.revoke({running!r}, terminate=True)")
    events = project.events(running)

    assert statuses(events) == ["running", "waiting", "cancelled"]
    assert end_of(events)["code"] == "cancelled"
    assert statuses(project.events(project.send("ok")))[-1] == "succeeded"


@PREFORK
def test_killed_worker_process_is_worker_lost(project: Project) -> None:
    """A task whose process is killed with -9 ends as failed with the code worker_lost."""
    gate = project.folder / "gate-of-the-killed"
    killed = project.send("is_killed", str(gate))
    project.wait_for_status(killed, "waiting")
    gate.touch()
    events = project.events(killed)

    assert statuses(events) == ["running", "waiting", "failed"]
    assert end_of(events)["code"] == "worker_lost"
    assert statuses(project.events(project.send("ok")))[-1] == "succeeded"


@PREFORK
def test_killed_worker_process_whose_task_is_rejected_goes_on(project: Project) -> None:
    """A task that its broker delivers again when its process is lost runs again, and ends once."""
    events = project.events(project.send("is_rejected_when_lost", str(project.folder / "died")))

    assert statuses(events) == ["running", "running", "succeeded"]
    assert end_of(events)["result"] == "survived"


@PREFORK
def test_killed_worker_process_whose_task_is_retried_is_retrying(project: Project) -> None:
    """The worker's parent sends the task again and says so, and attempt 2 succeeds."""
    events = project.events(project.send("is_retried_when_lost", str(project.folder / "died-too")))

    assert statuses(events) == ["running", "retrying", "running", "succeeded"]
    assert end_of(events)["attempt"] == 2


@PREFORK
@pytest.mark.parametrize("task", ["too_slow", "too_slow_but_catches_exceptions", "much_too_slow"])
def test_task_beyond_its_time_limit_is_a_timeout(project: Project, task: str) -> None:
    """A task that overruns its soft or hard limit, reporting or not, fails with the code timeout."""
    events = project.events(project.send(task))

    assert statuses(events) == ["running", "failed"]
    assert end_of(events)["code"] == "timeout"


def test_each_task_of_a_canvas_is_an_operation(project: Project) -> None:
    """In a chain and in a group, every task has events and an end of its own."""
    chain = project.publish(
        "(lambda last: [last.parent.id, last.id])(chain(ok.si('a'), ok.si('b')).apply_async())"
    )
    group = project.publish("[each.id for each in group(ok.si('c'), ok.si('d'), ok.si('e')).apply_async()]")
    ids = [*_ids(chain), *_ids(group)]
    # The second of a chain is published by the worker, when the first is done.
    wait_until(lambda: project.knows(ids[1]), timeout_s=READ_S)
    runs = [project.events(operation_id) for operation_id in ids]

    assert [end_of(events)["result"]["word"] for events in runs] == ["a", "b", "c", "d", "e"]
    assert all(statuses(events) == ["running", "succeeded"] for events in runs)


def _ids(answer: str) -> list[str]:
    """Read the ids that the publisher printed as a list."""
    ids: list[str] = json.loads(answer.replace("'", '"'))
    return ids


def test_task_that_was_published_without_a_worker_is_queued_until_there_is_one(project: Project) -> None:
    """A stream opened on a queued task shows it queued, and then all that follows."""
    gate = project.folder / "gate-of-the-queued"
    first = project.send("waits_for", str(gate))
    project.wait_for_status(first, "waiting")
    queued = project.send("ok")
    with project.service.stream(f"/api/events/operations/{queued}") as stream:
        (state, _) = stream.read_until(lambda message: message.type == "heartbeat", READ_S)
        gate.touch()
        rest = logged(stream.read_to_end(READ_S))

    assert json.loads(state.data)["status"] == "queued"
    assert [json.loads(event.data).get("status") for event in rest] == ["running", "succeeded", None]
