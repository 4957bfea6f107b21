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


def children(project: Project) -> list[int]:
    """Give the worker's processes that run tasks."""
    assert project.worker is not None
    pid = project.worker.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def killed(project: Project, chance: random.Random) -> Seen:
    """Run the canvas once, and kill one of those who run it at some moment."""
    flow = project.publish(f"run({NESTED})")
    at = time.monotonic() + chance.uniform(0, CAME)
    wait_until(lambda: time.monotonic() >= at, timeout_s=READ_S)
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


@pytest.mark.long
def test_fifty_killed_canvases_end_once_and_exactly(project: Project, chance: random.Random) -> None:
    """The same with moments enough to meet them all."""
    ends = [killed(project, chance) for _ in range(50)]
    for seen in ends:
        check(project, seen)
    assert any(seen.end[0] == "error" for seen in ends)
