"""Celery's canvases with a real worker: each shape is one workflow with one exact bar and one end.

A project that has one line for it, published to from a process of its own, read through the service.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from dev.redis_server import RedisServer
from tests.celery_project import Project, end_of
from tests.http_stream import get_json, post_json
from tests.stack import READ_S
from tests.waiting import wait_until

PROJECT: Final = """
import os
import time

from celery import Celery, chain, chord, group
from celery.result import GroupResult

import tidings.celery
from tidings import check_cancelled, current_operation, report_progress
from tidings.celery import Failed, become

url = os.environ["REDIS_URL"].replace("unix://", "redis+socket://")
app = Celery("proj", broker=url, backend=url)
queue = os.environ.get("QUEUE", "celery")
app.conf.update(
    broker_connection_retry_on_startup=True, task_routes=[lambda *args, **more: {"queue": queue}]
)
tidings.celery.install(app)


@app.task
def work(*args):
    report_progress(1, 4)
    return 1


@app.task
def looks(*args):
    report_progress(1, 4)
    while True:
        check_cancelled()
        time.sleep(0.02)


@app.task
def fails(*args):
    report_progress(1, 2)
    raise KeyError("no such row")


@app.task(bind=True, max_retries=3)
def retries_once(self, *args):
    if self.request.retries == 0:
        report_progress(1, 2)
        raise self.retry(countdown=0, exc=ValueError("not yet"))


@app.task(bind=True)
def replaced(self, by, *args):
    report_progress(1, 2)
    raise self.replace(eval(by))


@app.task(bind=True)
def cuts(self, *args):
    self.request.chain = None


PIPELINE = chain(work.si(), work.si())


@app.task
def starts(what):
    return flow_of(eval(what).apply_async())


@app.task(tidings_kind="workflow")
def becomes(what):
    become(eval(what))


@app.task
def becomes_without_kind(what):
    become(eval(what))


@app.task
def fails_alone():
    report_progress(1, 2)
    return Failed("alone", "no such row", {"row": 7})


@app.task
def speaks(code=None):
    if code:
        current_operation().error(code, "as said", speaks=True)
    else:
        current_operation().complete({"said": 1}, speaks=True)


def flow_of(result):
    while result.parent is not None:
        result = result.parent
    return result.id if isinstance(result, GroupResult) else f"wf-{result.id}"


def run(canvas, pool="celery"):
    global queue
    queue = pool
    return flow_of(canvas.apply_async())
"""

SHAPES: Final = {
    "chain": ("chain(work.si(), work.si(), work.si())", 3),
    "group": ("group(work.s(i) for i in range(5))", 5),
    "group in a group": ("group(work.si(), group(work.si(), work.si()))", 3),
    "group of chains": ("group(chain(work.si(), work.si()), chain(work.si(), work.si()))", 4),
    "chord": ("chord([work.si() for _ in range(5)], work.si())", 6),
    "group, then a task": ("chain(group(work.si(), work.si()), work.si(), work.si())", 4),
    "task, group, task": ("chain(work.si(), group(work.si(), work.si()), work.si())", 4),
    "group at the end": ("chain(work.si(), group(work.si(), work.si()))", 3),
    "nested": (
        "group(chain(work.si(), group(work.si(), work.si()), work.si()), chain(work.si(), work.si()))", 6
    ),
    "chord in a chord": ("chord([chord([work.si(), work.si()], work.si()), work.si()], work.si())", 5),
    "chord with a chain for a body": ("chord([work.si(), work.si()], chain(work.si(), work.si()))", 4),
    "chunks": ("work.chunks([(i,) for i in range(6)], 2).group()", 3),
    "map in a chain": ("chain(work.map([1, 2, 3]), work.si())", 2),
    "starmap in a chain": ("chain(work.si(), work.starmap([(1,), (2,)]))", 2),
    "retry in a group": ("group(retries_once.si(), work.si())", 2),
    "retry in a chord": ("chord([retries_once.si(), work.si()], work.si())", 3),
    "replaced in a group": ("group(replaced.si('work.si()'), work.si())", 2),
    "replaced by a group": ("group(replaced.si('group(work.si(), work.si(), work.si())'), work.si())", 5),
    "replaced by a chain": ("group(replaced.si('chain(work.si(), work.si())'), work.si())", 3),
    "replaced by a chord": ("group(replaced.si('chord([work.si(), work.si()], work.si())'), work.si())", 4),
    "replaced in a chain": ("chain(work.si(), replaced.si('group(work.si(), work.si())'), work.si())", 5),
    "replaced in a chord": ("chord([replaced.si('chain(work.si(), work.si())'), work.si()], work.si())", 4),
    "replaced twice": (
        "group(replaced.si('chain(work.si(), replaced.si(\\'chain(work.si(), work.si())\\'))'), work.si())", 4
    ),
}  # fmt: skip
"""Each shape of CELERY.md, and of how many operations it is made."""

POOLS: Final = ("threads", "gevent", "solo")
POOLED: Final = (
    "group of chains", "nested", "chord in a chord", "retry in a chord",
    "replaced by a group", "replaced in a chain", "replaced in a chord", "replaced twice",
)  # fmt: skip
"""Shapes that together send, retry and replace all that a canvas can, for the other pools than prefork."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with a prefork worker of two processes."""
    folder = tmp_path_factory.mktemp("canvases")
    with (
        RedisServer(folder / "redis") as server,
        Project(
            server.url, folder, "prefork", PROJECT, concurrency=2, TIDINGS_SHOW_EXCEPTIONS="message"
        ) as project,
    ):
        yield project


@pytest.fixture(scope="module")
def pooled(project: Project) -> dict[tuple[str, str], str]:
    """Start a worker for two tasks at a time in each other pool, and send them their shapes all at once."""
    for pool in POOLS:
        project.add_worker(pool, 2)
    return {
        (pool, shape): project.publish(f"run({SHAPES[shape][0]}, {pool!r})")
        for pool in POOLS
        for shape in POOLED
    }


class Seen(dict[str, list[tuple[str, dict[str, Any]]]]):
    """What a watcher of a whole workflow saw, by operation, up to the workflow's end."""

    def __init__(self, project: Project, flow: str) -> None:
        super().__init__()
        self.flow = flow
        topics = f"workflows:{flow},members:{flow}"
        with project.service.stream(f"/api/events/stream?topics={topics}&history=all") as stream:
            for message in stream.read_until(self._is_its_end, READ_S):
                if message.type in {"progress", "status", "warning", "error", "complete"}:
                    data = json.loads(message.data)
                    self.setdefault(data["operationId"], []).append((message.type, data))

    def _is_its_end(self, message: Any) -> bool:
        return is_end(message.type, message.data and json.loads(message.data)) and self.flow == json.loads(
            message.data
        ).get("operationId")

    @property
    def bars(self) -> list[dict[str, Any]]:
        """What was said of how far the workflow is."""
        return [data for event_type, data in self[self.flow] if event_type == "progress"]

    @property
    def end(self) -> tuple[str, dict[str, Any]]:
        """The workflow's last word."""
        return self[self.flow][-1]

    def check(self) -> None:
        """Every operation has one end, which is its last word; the bar falls only where it is given back."""
        for operation, events in self.items():
            ends = [is_end(*event) for event in events]
            assert ends.count(True) == 1, (operation, events)
            assert ends[-1], (operation, events)
        for before, after in itertools.pairwise(self.bars):
            assert after["percentage"] >= before["percentage"] or after["gaveBack"]


def is_end(event_type: str, data: Any) -> bool:
    """Tell whether an event is terminal."""
    return event_type == "complete" or (event_type == "error" and bool(data.get("terminal")))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_canvas_is_one_workflow_with_one_exact_bar(project: Project, shape: str) -> None:
    """All of its tasks are in it; 100 % comes with `complete`, behind the last of them."""
    seen = Seen(project, project.publish(f"run({SHAPES[shape][0]})"))
    check_complete(seen, SHAPES[shape][1])


@pytest.mark.parametrize("shape", POOLED)
@pytest.mark.parametrize("pool", POOLS)
def test_a_canvas_is_the_same_in_every_pool(
    project: Project, pooled: dict[tuple[str, str], str], pool: str, shape: str
) -> None:
    """Beside others, of which each says what is its own."""
    seen = Seen(project, pooled[pool, shape])
    check_complete(seen, SHAPES[shape][1])
    silent = [name for name, events in seen.items() if "progress" not in [kind for kind, _ in events]]
    assert not silent


def check_complete(seen: Seen, operations: int) -> None:
    """Check that a canvas of so many operations was shown from 0 to 100 %."""
    seen.check()
    assert seen.end[0] == "complete", seen
    assert len(seen) == operations + 1, list(seen)
    assert seen.bars[-1]["percentage"] == 100
    assert [bar["percentage"] for bar in seen.bars].count(100) == 1


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize("pool", ["celery", *POOLS])
def test_a_workflow_of_which_a_task_fails_ends_in_an_error_below_100(project: Project, pool: str) -> None:
    """What was to follow never comes; the workflow says how it ended behind all that did run."""
    seen = Seen(project, project.publish(f"run(group(chain(fails.si(), work.si()), work.si()), {pool!r})"))
    seen.check()
    event_type, said = seen.end
    assert (event_type, said["code"]) == ("error", "failed")
    assert len(seen) == 3
    assert seen.bars[-1]["percentage"] == 50  # half of the one that failed, and all of another, of three


def running_in(project: Project, flow: str) -> int:
    """Count the members of a workflow that run."""
    path = f"/api/operations?topics=members:{flow}&status=running"
    return len(get_json(f"{project.service.url}{path}").body["operations"])


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize(
    ("canvas", "announced", "pool"),
    [
        ("group(looks.si() for _ in range(6))", 6, "celery"),
        ("group(looks.si() for _ in range(6))", 6, "threads"),
        ("group(looks.si() for _ in range(6))", 6, "gevent"),
        ("chord([looks.si(), looks.si()], work.si())", 2, "celery"),
        ("chord([looks.si(), looks.si()], work.si())", 2, "threads"),
        ("chain(group(looks.si(), looks.si()), looks.si())", 2, "celery"),
        ("chain(group(looks.si(), looks.si()), looks.si())", 2, "gevent"),
    ],
)
def test_cancelling_a_workflow_cancels_all_that_it_runs_and_was_to_run(
    project: Project, canvas: str, announced: int, pool: str
) -> None:
    """Two run and stop, the others never begin, what was to follow is not sent; the workflow ends last."""
    flow = project.publish(f"run({canvas}, {pool!r})")
    wait_until(lambda: running_in(project, flow) == 2, timeout_s=READ_S)
    reply = post_json(f"{project.service.url}/api/operations/{flow}/cancel", {})
    assert (reply.status, reply.body["status"]) == (202, "cancelling")
    seen = Seen(project, flow)
    seen.check()
    assert {events[-1][1]["code"] for events in seen.values()} == {"cancelled"}
    assert len(seen) == announced + 1
    began = [any(said.get("status") == "running" for _, said in events) for events in seen.values()]
    assert sum(began) == 3  # two tasks, and the workflow


def test_a_chord_whose_header_fails_ends_too(project: Project) -> None:
    """Its body is never sent."""
    seen = Seen(project, project.publish("run(chord([fails.si(), work.si()], work.si()))"))
    seen.check()
    assert seen.end[1]["code"] == "failed"


def test_a_task_that_is_replaced_by_what_fails_fails(project: Project) -> None:
    """Nobody was left to end it."""
    flow = project.publish("run(group(replaced.si('group(fails.si(), work.si())'), work.si()))")
    seen = Seen(project, flow)
    seen.check()
    assert seen.end[1]["code"] == "failed"
    assert [events[-1][1].get("code") for events in seen.values()].count("upstream_failed") == 1


@pytest.mark.parametrize(
    "canvas",
    [
        "chain(work.si(), work.si(), work.si())",
        "group(work.si(), work.si(), work.si())",
        "chain(work.si(), group(work.si(), work.si()))",
        "chord([work.si(), work.si()], work.si())",
    ],
)
def test_a_task_may_become_the_workflow_of_a_canvas(project: Project, canvas: str) -> None:
    """It is one operation from its own beginning to the end of the last of them, and there is no other."""
    task = project.publish(f"becomes.delay({canvas!r}).id")
    seen = Seen(project, task)
    seen.check()
    assert (seen.end[0], len(seen)) == ("complete", 4)
    assert seen.bars[-1]["percentage"] == 100
    leaves = [events for operation, events in seen.items() if operation != task]
    assert {said["parentId"] for events in leaves for _, said in events} == {task}


@pytest.mark.parametrize(
    ("task", "says"),
    [("becomes", "canvas must be"), ("becomes_without_kind", "kind must be workflow")],
)
def test_what_cannot_become_a_workflow_fails(project: Project, task: str, says: str) -> None:
    """Rather than waiting for ever for an end that nobody tells."""
    operation = project.publish(f"{task}.delay('work.si()').id")
    assert says in end_of(project.events(operation))["message"]


def test_a_task_that_returns_a_failure_fails_and_its_canvas_goes_on(project: Project) -> None:
    """What follows runs; the workflow ends with the failure, and says whose."""
    seen = Seen(project, project.publish("run(chain(fails_alone.si(), work.si()))"))
    seen.check()
    ends = {operation: events[-1][1] for operation, events in seen.items()}
    (failed,) = [operation for operation, end in ends.items() if end.get("code") == "alone"]
    assert ends[failed]["details"] == {"row": 7}
    assert len(seen) == 3
    assert seen.end[1]["message"] == f"1 of 2 tasks failed, first {failed}."
    assert seen.bars[-1]["percentage"] == 75


@pytest.mark.parametrize(
    ("canvas", "end"),
    [
        ("chain(work.si(), speaks.si())", {"result": {"said": 1}}),
        ("group(speaks.si(), work.si(), work.si())", {"result": {"said": 1}}),
        ("chain(fails_alone.si(), speaks.si('named'))", {"code": "named", "message": "as said"}),
        ("chain(fails_alone.si(), speaks.si())", {"code": "failed"}),
        ("group(speaks.si(), fails.si())", {"code": "failed"}),
    ],
)  # fmt: skip
def test_a_task_may_say_what_its_workflow_ends_with(
    project: Project, canvas: str, end: dict[str, Any]
) -> None:
    """Behind all that it runs, and only if that went as was said."""
    seen = Seen(project, project.publish(f"run({canvas})"))
    seen.check()
    assert {key: seen.end[1].get(key) for key in end} == end


def test_a_retry_gives_back_what_it_had(project: Project) -> None:
    """And the workflow says which operation it was."""
    seen = Seen(project, project.publish("run(chain(retries_once.si(), work.si()))"))
    seen.check()
    (given,) = [bar for bar in seen.bars if "retried" in bar]
    assert given["gaveBack"] == 25
    assert given["retried"] in seen


def test_a_task_that_cuts_its_chain_completes_it(project: Project) -> None:
    """The rest is skipped, and said to be."""
    seen = Seen(project, project.publish("run(chain(cuts.si(), work.si()))"))
    seen.check()
    assert seen.end[1]["result"] == {"tasks": 1, "skipped": 1}


def test_a_single_task_that_is_replaced_by_a_group_becomes_a_workflow(project: Project) -> None:
    """It ends with the last of them."""
    task = project.publish("replaced.delay('group(work.si(), work.si())').id")
    events = project.events(task)
    assert [event_type for event_type, _ in events].count("complete") == 1
    flow = events[-1][1]["workflowId"]
    seen = Seen(project, flow)
    seen.check()
    assert seen.end[0] == "complete"
    assert len(seen) == 4


def test_a_single_task_that_is_replaced_by_another_goes_on_as_it(project: Project) -> None:
    """One operation, one end."""
    events = project.events(project.publish("replaced.delay('work.si()').id"))
    assert [event_type for event_type, _ in events].count("complete") == 1
    assert "workflowId" not in events[-1][1]


def test_a_canvas_that_a_task_starts_is_a_workflow_below_it(project: Project) -> None:
    """It says what started it."""
    started = project.publish("starts.delay('group(work.si(), work.si())').get(timeout=30), 'x'")
    seen = Seen(project, started.split("'")[1])
    seen.check()
    assert "parentId" in seen[seen.flow][0][1]
    assert seen.end[0] == "complete"


def test_a_map_says_how_many_of_its_items_are_done(project: Project) -> None:
    """Without a word of its own."""
    events = project.events(project.publish("work.map([1, 2, 3, 4]).delay().id"))
    assert [data for event_type, data in events if event_type == "progress"][-1]["total"] == 4


def test_a_canvas_object_that_is_sent_twice_is_two_workflows(project: Project) -> None:
    """What is published keeps nothing of ours."""
    flows = project.publish(
        "' '.join(run(c) for c in [chord([work.si(), chain(work.si(), work.si())], work.si())] * 2)"
    )
    first, second = (Seen(project, flow) for flow in flows.split())
    assert first.flow != second.flow
    for seen in (first, second):
        seen.check()
        assert seen.end[0] == "complete"


def test_a_chain_that_is_sent_again_and_again_is_complete_each_time(project: Project) -> None:
    """Though Celery gives its last task the same id (CELERY.md, 0.5)."""
    runs = [Seen(project, project.publish("run(PIPELINE)")) for _ in range(3)]
    for seen in runs:
        check_complete(seen, 2)
    assert len(set.intersection(*map(set, runs))) == 1
    assert len({seen.flow for seen in runs}) == 3
