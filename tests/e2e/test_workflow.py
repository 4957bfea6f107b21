"""The workflow kind on the whole stack: pipelines of real steps, and of steps whose runs can be counted.

What workers do when they are killed in the middle of one is at the end, for it has another worker.
"""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.request import urlopen
from xml.etree import ElementTree as ET

import pytest
from celery import Celery

from dev.redis_server import RedisServer
from tasks.catalog import QUEUE
from tasks.modules import count, standard_library
from tasks.pipeline import SHIPPED
from tests.e2e.test_api import assert_problem
from tests.e2e.test_canvases import is_end
from tests.http_stream import get_json, post_json
from tests.stack import READ_S, Stack
from tests.waiting import wait_until
from tidings.settings import Settings

MODULES: Final = 24
SVG: Final = "{http://www.w3.org/2000/svg}"
PAGE: Final = "{http://www.w3.org/1999/xhtml}"

Step = dict[str, Any]


class Seen(NamedTuple):
    """What a watcher of a workflow saw up to its end, by step; the workflow's own events are under ``""``."""

    events: dict[str, list[tuple[str, dict[str, Any]]]]

    @property
    def end(self) -> dict[str, Any]:
        """The workflow's last word."""
        return self.events[""][-1][1]

    def said(self, step: str) -> dict[str, Any]:
        """Give a step's last word."""
        return self.events[step][-1][1]

    def statuses(self, step: str) -> list[str]:
        """Give the statuses that a step went through."""
        return [said["status"] for what, said in self.events[step] if what == "status"]

    @property
    def bar(self) -> list[float]:
        """How far the workflow was, again and again."""
        return [said["percentage"] for what, said in self.events[""] if what == "progress"]

    def check(self) -> None:
        """Each has one end, which is its last word."""
        for name, events in self.events.items():
            assert [is_end(*event) for event in events].count(True) == 1, (name, events)
            assert is_end(*events[-1]), (name, events)


class Lines(NamedTuple):
    """A stack whose service and worker know steps that leave traces in a folder."""

    stack: Stack
    folder: Path

    def step(self, name: str, *needs: str, prefix: str, **said: Any) -> Step:
        """Describe a step that leaves its traces under *prefix*; ``waits=True``: until `open_gate`."""
        params: dict[str, Any] = {
            "file": str(self.folder / f"{prefix}-{name}"),
            "fails": said.pop("fails", 0),
        }
        if said.pop("waits", False):
            params["waits_for"] = str(self.folder / f"{prefix}-gate")
        return {"name": name, "task": "trace", "needs": list(needs), "params": params} | said

    def open_gate(self, prefix: str) -> None:
        """Let the steps that wait go on."""
        (self.folder / f"{prefix}-gate").touch()

    def runs(self, prefix: str, name: str) -> list[int]:
        """Give the process of each run that a step has had."""
        file = self.folder / f"{prefix}-{name}"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def wait_for_runs(self, prefix: str, name: str, number: int = 1) -> list[int]:
        """Wait until a step has begun that many times."""
        wait_until(lambda: len(self.runs(prefix, name)) >= number, timeout_s=READ_S)
        return self.runs(prefix, name)

    def start(self, *steps: Step, **more: Any) -> str:
        """Start a pipeline of these."""
        return self.stack.start_operation("workflow", pipeline={"steps": list(steps)}, **more)

    def seen(self, workflow: str) -> Seen:
        """Watch a workflow from its beginning to its end."""
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        with self.stack.stream(f"/api/events/workflows/{workflow}?history=all") as stream:
            for message in stream.read_until(lambda message: _ends(message, workflow), READ_S):
                if message.type in {"progress", "status", "warning", "error", "complete"}:
                    said = json.loads(message.data)
                    step = said["operationId"].removeprefix(workflow).removeprefix(".")
                    found.setdefault(step, []).append((message.type, said))
        return Seen(found)


def _ends(message: Any, workflow: str) -> bool:
    said = json.loads(message.data) if message.data else {}
    return said.get("operationId") == workflow and is_end(message.type, said)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lines]:
    """A worker with two processes on a Redis of its own: its queue is nobody else's."""
    folder = tmp_path_factory.mktemp("workflow")
    with (
        RedisServer(folder / "redis") as server,
        Stack(
            server.url,
            folder,
            web=1,
            gunicorn=["tests.traced_wsgi:app"],
            tasks="tests.traced_worker",
            TIDINGS_NAMESPACE="workflow",
            KILL=str(folder),
        ) as stack,
    ):
        yield Lines(stack, folder)


def diamond(lines: Lines, prefix: str, **of_b: Any) -> list[Step]:
    """Describe a, then b and c side by side, then d."""
    return [
        lines.step("a", prefix=prefix),
        lines.step("b", "a", prefix=prefix, **of_b),
        lines.step("c", "a", prefix=prefix),
        lines.step("d", "b", "c", prefix=prefix),
    ]


def document(lines: Lines, result: dict[str, Any], content_type: str) -> ET.Element:
    """Fetch a result as a browser would, see that it is shown in a sandbox, and read it."""
    with urlopen(f"{lines.stack.url}{result['url']}", timeout=READ_S) as answer:
        assert answer.headers["Content-Type"] == result["contentType"] == content_type
        assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
        assert answer.headers["Content-Disposition"].startswith("inline;")
        return ET.fromstring(answer.read())  # noqa: S314 - our own


def test_the_shipped_pipeline_makes_a_report(lines: Lines) -> None:
    """From the library's modules, in parallel parts, to a page and a picture that a browser may open."""
    listed = f"task: scan\n    params: {{limit: {MODULES}}}"
    workflow = lines.stack.start_operation(
        "workflow", pipeline=SHIPPED.read_text().replace("task: scan", listed)
    )
    seen = lines.seen(workflow)
    seen.check()
    parts = [f"analyse-{part}" for part in (1, 2, 3, 4)]
    assert set(seen.events) == {"", "scan", *parts, "aggregate", "report", "_end"}
    assert seen.bar == sorted(seen.bar)
    assert seen.bar[-1] == 100
    assert all("succeeded" in seen.statuses(part) for part in parts)

    results = {result["name"]: result for result in seen.end["result"]["results"]}
    assert results == {result["name"]: result for result in seen.said("report")["result"]["results"]}
    page = document(lines, results["report.html"], "text/html; charset=utf-8")
    picture = document(lines, results["report.svg"], "image/svg+xml")
    counted = sum(count(path).lines for path in standard_library()[1][:MODULES])
    assert f"{counted:,} lines" in "".join(page.itertext())
    assert len(page.findall(f".//{SVG}rect")) == len(picture.findall(f".//{SVG}rect"))
    assert len(page.findall(f".//{PAGE}tbody/{PAGE}tr")) == len(picture.findall(f".//{SVG}rect")) > 3


def test_a_diamond_runs_each_step_once_after_what_it_needs(lines: Lines) -> None:
    """And the watcher sees every step begin and end."""
    seen = lines.seen(lines.start(*diamond(lines, "diamond")))
    seen.check()
    assert seen.end["result"]["steps"] == 4
    assert [len(lines.runs("diamond", name)) for name in "abcd"] == [1, 1, 1, 1]
    assert all(seen.statuses(name)[-2:] == ["running", "succeeded"] for name in "abcd")


def test_who_is_killed_before_it_sends_the_next_level_sends_it_when_it_comes_again(lines: Lines) -> None:
    """It has counted the last part of its level, and counts it once more."""
    (lines.folder / "behind").touch()
    steps = [lines.step(name, prefix="counted") for name in "ab"]
    seen = lines.seen(lines.start(*steps, lines.step("behind", "a", "b", prefix="counted")))
    seen.check()
    assert not (lines.folder / "behind").exists()
    assert seen.end["result"]["steps"] == 3
    assert [len(lines.runs("counted", name)) for name in ("a", "b", "behind")] == [1, 1, 1]
    assert sum(seen.said(name)["result"].get("kept", False) for name in "ab") == 1


def test_the_bar_is_the_weighted_mean_of_the_steps(lines: Lines) -> None:
    """Side by side: 30 of 40 are done, and half of the 10 that wait."""
    steps = [
        lines.step("free", prefix="weights", weight=0),
        lines.step("heavy", prefix="weights", weight=30),
        lines.step("light", prefix="weights", weight=10, waits=True),
    ]
    workflow = lines.start(*steps)
    url = f"/api/events/operations/{workflow}?history=all&types=progress"
    with lines.stack.stream(url) as stream:
        stream.read_until(lambda message: '"current":35,"total":40,"percentage":87.5' in message.data, READ_S)
    lines.open_gate("weights")
    seen = lines.seen(workflow)
    seen.check()
    assert seen.bar[-1] == 100


def test_a_step_that_fails_once_is_tried_again_and_no_other(lines: Lines) -> None:
    """Its retry is told, and the rest goes on behind it."""
    seen = lines.seen(lines.start(*diamond(lines, "flaky", fails=1, retries=2)))
    seen.check()
    assert seen.end["result"]["steps"] == 4
    assert "retrying" in seen.statuses("b")
    assert [len(lines.runs("flaky", name)) for name in "abcd"] == [1, 2, 1, 1]


def test_a_step_whose_tries_are_used_up_ends_the_workflow_by_name(lines: Lines) -> None:
    """What needs it is not run, and says so; what does not is; resumed, nothing finished is done again."""
    steps = [*diamond(lines, "exhausted", fails=2, retries=1), lines.step("e", "c", prefix="exhausted")]
    workflow = lines.start(*steps)
    seen = lines.seen(workflow)
    seen.check()
    assert (seen.end["code"], seen.end["terminal"]) == ("step_failed", True)
    assert seen.end["message"] == "Step b failed: ValueError"
    assert seen.end["details"] == {"step": "b", "failed": ["b"], "notRun": ["d"]}
    assert (seen.said("b")["code"], seen.said("b")["details"]) == ("step_failed", {"step": "b", "tries": 2})
    assert (seen.said("d")["code"], seen.said("d")["details"]) == ("not_run", {"step": "d", "needs": ["b"]})
    assert [len(lines.runs("exhausted", name)) for name in "abcde"] == [1, 2, 1, 0, 1]
    assert seen.bar[-1] < 100

    again = lines.seen(lines.start(*steps, resume=workflow))
    again.check()
    assert again.end["result"]["steps"] == 5
    assert [len(lines.runs("exhausted", name)) for name in "abcde"] == [1, 3, 1, 1, 1]
    assert [again.said(name)["result"].get("kept") for name in "abcde"] == [True, None, True, None, True]


def test_what_cannot_be_resumed_ends_in_an_error_that_says_so(lines: Lines) -> None:
    """Nothing of it is run."""
    workflow = lines.start(*diamond(lines, "unknown"), resume="op_nobody.knows")
    seen = lines.seen(workflow)
    assert (seen.end["code"], set(seen.events)) == ("unknown_workflow", {""})
    assert "op_nobody.knows" in seen.end["message"]


def test_a_finished_step_whose_message_comes_again_is_not_done_again(lines: Lines) -> None:
    """As after a worker that died between its work and its acknowledgement."""
    workflow = lines.start(*diamond(lines, "twice"))
    lines.seen(workflow).check()
    broker = Settings.from_env(lines.stack.env).address.broker_url
    with Celery(broker=broker) as app:
        app.send_task("tasks.step", (workflow, "b"), task_id=f"{workflow}.b", queue=QUEUE)
    done = f"Task tasks.step[{workflow}.b] succeeded"
    wait_until(lambda: lines.stack.output("worker").count(done) == 2, timeout_s=READ_S)
    assert len(lines.runs("twice", "b")) == 1


@pytest.mark.parametrize(
    ("steps", "field", "allowed"),
    [
        ([{"name": "a", "task": "scan", "needs": ["b"]}, {"name": "b", "task": "scan", "needs": ["a"]}],
         "params.pipeline.steps[0].needs[0]", "without a circle: a → b → a"),
        ([{"name": "a", "task": "scan", "needs": ["z"]}], "params.pipeline.steps[0].needs[0]", "a step: a"),
        ([{"name": "a", "task": "scam"}], "params.pipeline.steps[0].task",
         "one of aggregate, analyse, render, scan, trace"),
        ([{"name": "a", "task": "analyse"}], "params.pipeline.steps[0].needs",
         "a step whose task is scan: analyse takes its modules"),
        ([{"name": "a", "task": "scan"}, {"name": "a", "task": "scan"}], "params.pipeline.steps[1].name",
         "its own: steps[0] has it"),
    ],
)  # fmt: skip
def test_what_could_not_run_is_refused_before_anything_is_queued(
    lines: Lines, steps: list[Step], field: str, allowed: str
) -> None:
    """The problem names the field and what is allowed, and there is no such operation."""
    params = {"pipeline": {"steps": steps}}
    asked = {"kind": "workflow", "params": params, "id": "refused"}
    reply = post_json(f"{lines.stack.url}/api/operations", asked)
    assert_problem(reply, 400, field)
    assert reply.body["allowed"] == allowed
    assert get_json(f"{lines.stack.url}/api/operations/refused").status == 404


def test_a_cancelled_workflow_ends_with_all_its_steps(lines: Lines) -> None:
    """What runs meets it, what was to follow is not sent."""
    workflow = lines.start(*diamond(lines, "cancelled", waits=True))
    lines.wait_for_runs("cancelled", "b")
    assert post_json(f"{lines.stack.url}/api/operations/{workflow}/cancel", {}).status == 202
    seen = lines.seen(workflow)
    seen.check()
    assert (seen.end["code"], seen.said("b")["code"]) == ("cancelled", "cancelled")
    assert not lines.runs("cancelled", "d")
    assert len(lines.runs("cancelled", "b")) == 1


def killed_in_b(lines: Lines, prefix: str, kill: Callable[[int], None]) -> tuple[str, Seen]:
    """Run a diamond, *kill* what runs b, let b go on in its next run, and watch the rest."""
    workflow = lines.start(*diamond(lines, prefix, waits=True))
    (pid,) = lines.wait_for_runs(prefix, "b")
    lines.wait_for_runs(prefix, "c")
    topic = f"/api/events/operations/{workflow}.c?history=all"
    with lines.stack.stream(topic) as stream:
        stream.read_until(lambda message: message.type == "complete", READ_S)
    kill(pid)
    lines.wait_for_runs(prefix, "b", 2)
    lines.open_gate(prefix)
    return workflow, lines.seen(workflow)


def test_a_child_that_is_killed_costs_only_the_step_that_it_was_at(lines: Lines) -> None:
    """Its message comes again at once; what is finished is not touched."""
    _, seen = killed_in_b(lines, "child", lambda pid: os.kill(pid, signal.SIGKILL))
    seen.check()
    assert seen.end["result"]["steps"] == 4
    assert [len(lines.runs("child", name)) for name in "abcd"] == [1, 2, 1, 1]
    assert "retrying" in seen.statuses("b")


def test_a_worker_that_is_killed_costs_only_the_steps_that_it_was_at(lines: Lines) -> None:
    """The next one is given what it had in hand; what is finished is not done again."""

    def replace_worker(_: int) -> None:
        assert lines.stack.worker is not None
        os.killpg(lines.stack.worker.pid, signal.SIGKILL)
        lines.stack.worker.wait()
        lines.stack.env["VISIBILITY_S"] = "1"
        lines.stack.start_worker()

    workflow, seen = killed_in_b(lines, "parent", replace_worker)
    seen.check()
    assert seen.end["result"]["steps"] == 4
    assert [len(lines.runs("parent", name)) for name in "ac"] == [1, 1]
    assert len(lines.runs("parent", "b")) >= 2  # a machine that stands still has it delivered once more
    shown = get_json(f"{lines.stack.url}/api/operations/{workflow}").body["operation"]
    assert shown["status"] == "succeeded"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_thirty_pipelines_whose_children_are_killed_at_any_moment_are_completed(
    lines: Lines, chance: random.Random
) -> None:
    """Each operation ends once, and no step is begun again once another has begun behind it."""
    for number in range(30):
        prefix = f"chaos{number}"
        workflow = lines.start(*diamond(lines, prefix))
        at = time.monotonic() + chance.uniform(0, 0.4)
        wait_until(partial(reached, at), timeout_s=READ_S)
        with suppress(ProcessLookupError, IndexError):
            os.kill(chance.choice(children(lines.stack)), signal.SIGKILL)
        seen = lines.seen(workflow)
        seen.check()
        assert seen.end["result"]["steps"] == 4
        assert sum(len(lines.runs(prefix, name)) for name in "abcd") <= 6


def children(stack: Stack) -> list[int]:
    """Give the worker's processes that run tasks."""
    assert stack.worker is not None
    pid = stack.worker.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def reached(at: float) -> bool:
    """Tell whether it is that late."""
    return time.monotonic() >= at
