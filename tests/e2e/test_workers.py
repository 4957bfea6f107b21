"""Celery's side: reports of tasks, and what is published unseen or has to wait, through a real worker.

A project of its own, made in a temporary folder, published to from a process of its own. Read through the
service, so an event counts only when a browser would have it. The ways to end are in test_endings.py.
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
import threading
import time
from pathlib import Path

from celery import Celery

import tidings.celery
from tidings import report_progress, report_status, report_warning

app = Celery("proj", broker=os.environ["REDIS_URL"].replace("unix://", "redis+socket://"))
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
tidings.celery.install(app)


@app.task
def ok(word="done"):
    return {"word": word}


@app.task(bind=True)
def sends_in_each_attempt(self, task_id):
    ok.apply_async(task_id=task_id)
    if self.request.retries == 0:
        raise self.retry(countdown=0)


@app.task
def waits_for(path):
    report_status("waiting")
    while not Path(path).exists():
        time.sleep(0.02)


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
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose worker has one process for its tasks, on a Redis of its own: it revokes."""
    folder = tmp_path_factory.mktemp("workers")
    with (
        RedisServer(tmp_path_factory.mktemp("broker")) as broker,
        Project(broker.url, folder, "prefork", PROJECT) as project,
    ):
        yield project


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


def test_an_id_that_is_used_again_is_a_new_operation(project: Project) -> None:
    """Queued, running and ended once more, though the same message would say nothing when it is over."""
    send = "ok.apply_async(args=[{!r}], task_id='used-again').id"
    first = project.events(project.publish(send.format("first")))
    project.publish(send.format("second"))
    both = project.events("used-again")

    assert end_of(first)["result"] == {"word": "first"}
    assert both[: len(first)] == first
    assert statuses(both[len(first) :]) == ["running", "succeeded"]
    assert end_of(both[len(first) :])["result"] == {"word": "second"}


def test_what_a_task_sends_once_more_under_one_id_is_the_same(project: Project) -> None:
    """As one that is delivered again does: what it had sent has begun or ended, and has one end."""
    project.events(project.send("sends_in_each_attempt", "sent-once-more"))
    project.events(project.send("ok"))  # which was behind it in the queue
    events = project.events("sent-once-more")

    assert statuses(events) == ["running", "succeeded"]
    end_of(events)


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
