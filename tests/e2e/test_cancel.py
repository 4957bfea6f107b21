"""Cancelling as people do it: over HTTP, of tasks of a project that only installs Tidings."""

import json
import signal
from collections.abc import Iterator
from typing import Any, Final

import pytest

from dev.redis_server import RedisServer
from tests.celery_project import Project, end_of, statuses
from tests.e2e.test_api import assert_problem, finished
from tests.http_stream import JsonReply, post_json
from tests.stack import READ_S, Stack, logged
from tests.waiting import wait_until

PROJECT: Final = """
import os
import time
from pathlib import Path

from celery import Celery, Task

import tidings.celery
from tidings import check_cancelled, report_status, track

broker = os.environ["REDIS_URL"].replace("unix://", "redis+socket://")
app = Celery("proj", broker=broker, backend=broker)
app.conf.update(broker_connection_retry_on_startup=True)
tidings.celery.install(app)


@app.task
def ok():
    return "ok"


@app.task(autoretry_for=(Exception,), max_retries=3, default_retry_delay=0)
def checks_in_silence(path):
    report_status("waiting")
    while True:
        try:
            check_cancelled()
        finally:
            Path(path).touch()
        time.sleep(0.02)


@app.task
def tracks():
    for _ in track(range(10**9)):
        report_status("waiting")
        time.sleep(0.02)


class SaysNothingAbove(Task):
    def before_start(self, task_id, args, kwargs):
        pass


@app.task
def touches(path):
    Path(path).touch()


@app.task(base=SaysNothingAbove)
def prepares_and_touches(path):
    Path(path).touch()


@app.task
def waits_for(path):
    report_status("waiting")
    while not Path(path).exists():
        time.sleep(0.02)
"""


def cancel(stack: Stack, operation_id: str, **said: Any) -> JsonReply:
    """Ask for an operation to be cancelled."""
    return post_json(f"{stack.url}/api/operations/{operation_id}/cancel", said)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of these workers' own."""
    with RedisServer(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module", params=["prefork", "threads"])
def project(
    broker: RedisServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """A project whose worker has one process, or one thread, for its tasks."""
    folder = tmp_path_factory.mktemp(f"cancel-{request.param}")
    with Project(broker.url, folder, request.param, PROJECT) as project:
        # Of the first cancel for a day a process may hear 50 ms late: that is behind these tests.
        first = project.service.operation()
        cancel(project.service, first.id)
        first.complete()
        yield project


def result_state(project: Project, task_id: str) -> str:
    """Give what Celery's result backend says of a task."""
    return project.publish(f"app.AsyncResult({task_id!r}).state")


@pytest.mark.parametrize("task", ["checks_in_silence", "tracks"])
def test_a_running_task_meets_its_cancelling(project: Project, task: str) -> None:
    """At its next check, its clean-up done; the rest of its chain never runs, and Celery has it revoked."""
    trace = project.folder / f"{task}-cleaned-up"
    args = repr([str(trace)] if task == "checks_in_silence" else [])
    ids = project.publish(
        f"(lambda last: last.parent.id + ' ' + last.id)(chain({task}.si(*{args}), ok.si()).apply_async())"
    )
    first, last = ids.split()
    project.wait_for_status(first, "waiting")
    reply = cancel(project.service, first, reason="enough")
    events = project.events(first)

    assert (reply.status, reply.body["status"]) == (202, "cancelling")
    assert statuses(events)[-2:] == ["cancelling", "cancelled"] or task == "tracks"
    (asked,) = [data for _, data in events if data.get("status") == "cancelling"]
    assert asked["details"] == {"askedBy": "anonymous", "reason": "enough"}
    assert end_of(events)["code"] == "cancelled"
    assert end_of(events)["attempt"] == 1
    assert trace.exists() or task == "tracks"
    wait_until(lambda: result_state(project, last) == "REVOKED", timeout_s=READ_S)
    assert result_state(project, first) == "REVOKED"
    assert not project.knows(last)


@pytest.mark.parametrize("task", ["touches", "prepares_and_touches"])
def test_a_queued_task_is_cancelled_at_once(project: Project, task: str) -> None:
    """Its worker drops it when its turn comes; a thread pool has it already: it does not begin."""
    gate, trace = project.folder / f"{task}-gate", project.folder / f"{task}-ran"
    busy = project.send("waits_for", str(gate))
    project.wait_for_status(busy, "waiting")
    queued = project.send(task, str(trace))
    wait_until(lambda: project.knows(queued), timeout_s=READ_S)
    reply = cancel(project.service, queued)
    events = project.events(queued)
    gate.touch()
    behind = project.events(project.send("ok"))

    assert (reply.status, reply.body["status"]) == (202, "cancelled")
    assert statuses(events) == ["cancelling", "cancelled"]
    assert end_of(events)["details"] == {"askedBy": "anonymous"}
    assert statuses(behind)[-1] == "succeeded"
    assert project.events(queued) == events
    assert result_state(project, queued) == "REVOKED"
    assert not trace.exists()


@pytest.mark.parametrize("restarted", [0, 1])
def test_what_was_cancelled_while_no_worker_was_up_does_not_begin(project: Project, restarted: int) -> None:
    """None has heard of a revoke: the log keeps it. In every pool."""
    pool = {"prefork": ("prefork", "solo"), "threads": ("threads", "gevent")}[project.pool][restarted]
    assert project.worker is not None
    project.signal_worker(signal.SIGKILL)
    project.worker.wait()
    traces = {task: project.folder / f"{pool}-{task}" for task in ("touches", "prepares_and_touches")}
    queued = [project.send(task, str(trace)) for task, trace in traces.items()]
    wait_until(lambda: all(map(project.knows, queued)), timeout_s=READ_S)
    assert [cancel(project.service, task).body["status"] for task in queued] == ["cancelled"] * 2
    project.start_worker(pool=pool)
    assert statuses(project.events(project.send("ok")))[-1] == "succeeded"
    wait_until(lambda: {result_state(project, task) for task in queued} == {"REVOKED"}, timeout_s=READ_S)
    assert not any(trace.exists() for trace in traces.values())


def test_asking_again_or_too_late_changes_nothing(stack: Stack) -> None:
    """Twice is as good as once; what is over is a conflict that says how it ended."""
    operation = stack.operation()
    first, second = cancel(stack, operation.id), cancel(stack, operation.id, reason="again")
    assert (first.status, first.body) == (second.status, second.body)
    assert first.body == {
        "operationId": operation.id,
        "status": "cancelling",
        "eventsUrl": f"/api/events/operations/{operation.id}",
    }
    operation.complete()
    stack.flush()
    reply = cancel(stack, operation.id)
    assert_problem(reply, 409)
    assert reply.body["operationStatus"] == "succeeded"
    said = [json.loads(event.data).get("status") for event in stack.history(operation.id)]
    assert said == ["running", "cancelling", "succeeded", None]


def test_what_cannot_be_cancelled_is_refused_by_name(stack: Stack) -> None:
    """An unknown operation, another attempt, and every way to ask wrongly."""
    operation = stack.operation()
    assert_problem(cancel(stack, "nobody"), 404)
    reply = cancel(stack, operation.id, attempt=2)
    assert_problem(reply, 409)
    assert reply.body["field"] == "attempt"
    assert_problem(cancel(stack, "a%20b"), 400, "id")
    assert_problem(cancel(stack, operation.id, attempt=0), 400, "attempt")
    assert_problem(cancel(stack, operation.id, reason="x" * 1_001), 400, "reason")
    assert_problem(cancel(stack, operation.id, by="me"), 400, "by")
    assert_problem(cancel(stack, finished(stack).id, attempt=1), 409)
    operation.complete()
    stack.flush()
    assert len(stack.history(operation.id)) == 3


def test_a_batch_of_our_own_is_cancelled_between_two_files(stack: Stack) -> None:
    """What it had done by then is said, and nothing after its end."""
    before = len(stack.output("worker"))
    batch = stack.start_operation(source="python-stdlib")
    with stack.stream(f"/api/events/operations/{batch}") as stream:
        stream.read_until(lambda message: message.type == "progress", READ_S)
        reply = cancel(stack, batch)
        said = [(message.type, json.loads(message.data)) for message in logged(stream.read_to_end(READ_S))]

    assert (reply.status, reply.body["status"]) == (202, "cancelling")
    assert end_of(said)["code"] == "cancelled"
    counts = [data for event_type, data in said if event_type == "progress"]
    assert counts[-1]["current"] < counts[-1]["total"]
    assert "Traceback" not in stack.output("worker")[before:]
