"""Workers killed at random moments of nested canvases: each end is told once, and bars stay exact."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from dev.redis_server import RedisServer
from tests.celery_project import Project
from tests.e2e.test_canvases import PROJECT, Seen
from tests.stack import READ_S
from tests.waiting import wait_until
from tidings.log import Log
from tidings.settings import Settings

LEASE_S: Final = 2
SLOW: Final = PROJECT.replace("report_progress(1, 4)", "report_progress(1, 4); import time; time.sleep(0.05)")
NESTED: Final = (
    "group(chain(work.si(), group(work.si(), retries_once.si()), work.si()),"
    " chain(replaced.si('chain(work.si(), work.si())'), work.si()),"
    " replaced.si('group(work.si(), work.si())'), *[work.si() for _ in range(4)])"
)
LATE: Final = (
    SLOW.replace(
        "app.conf.update(",
        """app.conf.update(
    task_acks_late=True,
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("VISIBILITY_S", "300")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },""",
    )
    + """

@app.task
def ends_its_worker(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getppid(), 9)
        time.sleep(60)
"""
)
"""Whatever is lost comes again, within five minutes as its worker says, and soon if the next one says so."""
CAME: Final = 0.6
"""Seconds within which the kill falls: a quiet run of the canvas takes about as long."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose deaths are told after some two seconds.

    It has done something: a worker gives up if a process is killed before it is ready (CELERY.md, 3).
    """
    folder = tmp_path_factory.mktemp("killed")
    with (
        RedisServer(folder / "redis") as server,
        Project(server.url, folder, "prefork", SLOW, concurrency=2, TIDINGS_LEASE_S=str(LEASE_S)) as project,
    ):
        Seen(project, project.publish("run(group(work.si(), work.si()))")).check()
        yield project


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose tasks are not acknowledged before they are done."""
    folder = tmp_path_factory.mktemp("late")
    with (
        RedisServer(folder / "redis") as server,
        Project(server.url, folder, "prefork", LATE, concurrency=2, TIDINGS_LEASE_S=str(LEASE_S)) as project,
    ):
        yield project


def let_pass(seconds: float) -> None:
    """Wait for a moment at which something is to be killed."""
    at = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= at, timeout_s=READ_S)


def children(project: Project) -> list[int]:
    """Give the worker's processes that run tasks."""
    assert project.worker is not None
    pid = project.worker.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def killed(project: Project, chance: random.Random) -> Seen:
    """Run the canvas once, and kill one of those who run it at some moment."""
    flow = project.publish(f"run({NESTED})")
    let_pass(chance.uniform(0, CAME))
    victims = children(project)
    if victims:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(victims), signal.SIGKILL)
    return Seen(project, flow)


def check(project: Project, seen: Seen) -> None:
    """Check the ends, and the bar against the plain sum of what its leaves had in the log."""
    seen.check()
    log = Log(
        Settings(
            redis_url=project.service.env["REDIS_URL"], namespace=project.service.env["TIDINGS_NAMESPACE"]
        )
    )
    try:
        raw: Any = log.redis.hgetall(log.key(f"wf:{seen.flow}"))
    finally:
        log.close()
    counts = {field.decode(): value.decode() for field, value in raw.items()}
    top = [value.split()[1] for field, value in counts.items() if field.startswith("l:/")]
    assert int(counts["done"]) == sum(map(int, top))
    complete = seen.end[0] == "complete"
    assert complete == (counts["done"] == counts["whole"]), counts
    assert complete == (seen.bars[-1]["percentage"] == 100)


def test_a_canvas_whose_worker_is_killed_ends_once_and_exactly(
    project: Project, chance: random.Random
) -> None:
    """Each operation has one end, the workflow's is the last, and its bar is the sum of its leaves."""
    for _ in range(2):
        check(project, killed(project, chance))


def test_a_canvas_whose_worker_dies_whole_is_completed_by_the_next(late: Project) -> None:
    """A task in the middle kills the parent, which takes all with it; what it had fetched comes again.

    At a moment when nobody sends anything: kombu loses a message that Redis hands out as its worker dies.
    """
    assert late.worker is not None
    ends = f"ends_its_worker.si({str(late.folder / 'died')!r})"
    rest = "replaced.si('group(work.si(), work.si())'), group(work.si(), retries_once.si()), work.si()"
    flow = late.publish(f"run(group(chain(work.si(), {ends}, {rest}), *[work.si() for _ in range(5)]))")
    late.worker.wait(timeout=READ_S)
    late.start_worker(concurrency=2, VISIBILITY_S="1")
    seen = Seen(late, flow)
    check(late, seen)
    assert seen.end[0] == "complete"
    began = [
        [data["attempt"] for _, data in events if data.get("status") == "running"] for events in seen.values()
    ]
    assert [1, 1] in began  # the one that killed its worker


@pytest.mark.long
def test_fifty_killed_canvases_end_once_and_exactly(project: Project, chance: random.Random) -> None:
    """The same with moments enough to meet them all."""
    ends = [killed(project, chance) for _ in range(50)]
    for seen in ends:
        check(project, seen)
    assert any(seen.end[0] == "error" for seen in ends)
