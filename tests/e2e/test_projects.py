"""Projects in the layouts of documents that everybody follows, with one line of ours.

In one a script publishes and ends; the other is a web application, whose processes publish.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from dev.port import free_port
from dev.redis_server import RedisServer
from tests.celery_project import end_of, statuses
from tests.http_stream import get_json
from tests.stack import READ_S, ROOT, START_S, Stack
from tests.waiting import wait_until

PROJECTS: Final = ROOT / "tests" / "projects"
Events = list[tuple[str, dict[str, Any]]]


class Projects(NamedTuple):
    """Both projects, with their workers, and the service that shows them."""

    service: Stack
    scripts: dict[str, str]
    """The environment of the scripts of "Next Steps"."""
    web_url: str
    """Where the web application is."""


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projects]:
    """All of it, started at once, on a Redis of its own."""
    folder = tmp_path_factory.mktemp("projects")
    (folder / "results").mkdir()
    port = free_port()
    worker = ["celery", "-A", "proj", "worker", "--loglevel", "INFO", "--concurrency", "2"]
    flask_worker = ["celery", "-A", "make_celery", "worker", "--pool", "threads", "--concurrency", "2"]
    flask_web = ["gunicorn", "--bind", f"127.0.0.1:{port}", "--config", os.devnull, "wsgi:app"]
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis, ExitStack() as stack:
        service = Stack(redis.url, folder, web=1, worker=False)
        env = service.env | {"PYTHONPATH": str(ROOT)}
        broker = redis.url.replace("unix://", "redis+socket://") + "?virtual_host=1"  # beside Flask's
        scripts = env | {"BROKER_URL": broker, "RESULT_BACKEND": f"file://{folder}/results"}
        stack.enter_context(running(worker, PROJECTS / "next_steps", scripts, folder / "worker.log"))
        stack.enter_context(running(flask_worker, PROJECTS / "flask_app", env, folder / "flask_worker.log"))
        stack.enter_context(running(flask_web, PROJECTS / "flask_app", env, folder / "flask_web.log"))
        stack.enter_context(service)
        yield Projects(service, scripts, f"http://127.0.0.1:{port}/tasks")


@contextmanager
def running(command: Sequence[str], folder: Path, env: dict[str, str], log: Path) -> Iterator[None]:
    """Run *command* in *folder*, to its proper end."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(READ_S)
        except subprocess.TimeoutExpired:
            process.kill()


def printed_by(script: str, *args: str, env: dict[str, str]) -> str:
    """Run a script of "Next Steps" to its end; give the id that it printed."""
    return subprocess.run(
        [sys.executable, script, *args],
        cwd=PROJECTS / "next_steps", env=env, check=True, timeout=READ_S, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip


def posted(url: str, **form: int) -> str:
    """Have the web application publish; give the id that it answers."""

    def answer() -> str:
        with suppress(URLError), urlopen(Request(url, urlencode(form).encode()), timeout=READ_S) as reply:
            return str(json.load(reply)["result_id"])
        return ""  # it has only just been started

    return wait_until(answer, timeout_s=START_S)


def events_of(service: Stack, operation_id: str) -> Events:
    """Give every event of an operation that somebody is about to announce, once it is over."""
    wait_until(lambda: is_known(service, operation_id), timeout_s=READ_S)
    return [(message.type, json.loads(message.data)) for message in service.history(operation_id)]


def is_known(service: Stack, operation_id: str) -> bool:
    """Tell whether the operation has been announced."""
    return get_json(f"{service.url}/api/operations/{operation_id}").status == 200


def names(service: Stack, prefix: str) -> list[str]:
    """Give the tasks of all operations of one project, in alphabetical order."""
    found = get_json(f"{service.url}/api/operations?limit=1000").body["operations"]
    return sorted(each["name"] for each in found if each.get("name", "").startswith(prefix))


def test_script_that_ends_at_once_has_announced_its_task(projects: Projects) -> None:
    """Its task is queued, runs, is retried and succeeds."""
    events = events_of(projects.service, printed_by("publish.py", "fetch", env=projects.scripts))

    assert [status for status in statuses(events) if status != "retrying"] == [
        "running",
        "running",
        "succeeded",
    ]
    assert end_of(events)["result"] == 7


def test_broker_that_is_no_redis_makes_no_difference(projects: Projects) -> None:
    """The same over a broker in the memory of one process, that publishes, works and ends."""
    env = projects.scripts | {"BROKER_URL": "memory://"}
    events = events_of(projects.service, printed_by("alone.py", env=env))

    assert [status for status in statuses(events) if status != "retrying"] == [
        "running",
        "running",
        "succeeded",
    ]
    assert end_of(events)["result"] == 7


def bar_of(service: Stack, workflow: str) -> list[float]:
    """Give how the bar of a workflow rose to its end."""
    events = events_of(service, workflow)
    assert events[-1][0] == "complete"
    assert end_of(events)["operationType"] == "workflow"
    return [data["percentage"] for kind, data in events if kind == "progress"]


def test_canvas_of_a_script_is_one_workflow(projects: Projects) -> None:
    """A group of three chains has one bar, which each of the six tasks moves."""
    workflow = printed_by("publish.py", "rows", env=projects.scripts)

    assert bar_of(projects.service, workflow) == [16.6, 33.3, 50, 66.6, 83.3, 100]


def test_every_task_of_a_chord_that_is_polled_for_is_an_operation(projects: Projects) -> None:
    """Three chains and what sums them up are seven operations; what polls for the sum is none."""
    service = projects.service
    before = names(service, "proj.")
    body = printed_by("publish.py", "table", env=projects.scripts)

    assert end_of(events_of(service, body))["result"] == (2 + 4 + 6) * 10
    expected = ["proj.tasks.add"] * 3 + ["proj.tasks.mul"] * 3 + ["proj.tasks.xsum"]
    assert names(service, "proj.") == sorted(before + expected)
    assert names(service, "celery.") == []


def test_web_process_announces_what_it_publishes(projects: Projects) -> None:
    """Its task shows the progress that it keeps in its state, and succeeds in its context."""
    url, service = projects.web_url, projects.service
    events = events_of(service, posted(f"{url}/process", total=3))

    assert statuses(events) == ["running", "succeeded"]
    assert [(data["current"], data["total"]) for kind, data in events if kind == "progress"][-1] == (3, 3)
    assert end_of(events)["result"] == {"app": "task_app", "current": 3, "total": 3}
    assert end_of(events_of(service, posted(f"{url}/add", a=1, b=2)))["result"] == 3


def test_canvas_of_a_web_process_ends_with_its_body(projects: Projects) -> None:
    """Each of its tasks, and what collects them, is an operation; all of them make one bar."""
    body = posted(f"{projects.web_url}/report")
    end = end_of(events_of(projects.service, body))
    bar = bar_of(projects.service, end["workflowId"])

    assert end["result"] == 2
    assert bar == sorted(bar)
    assert bar[-1] == 100
    assert names(projects.service, "task_app.tasks.collect") == ["task_app.tasks.collect"]
