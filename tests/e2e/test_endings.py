"""Every way in which Celery lets a task end, in every pool that can have it (CELERY.md §4).

Four workers, one for each pool, on queues of their own; everything is published at once and then judged: how
its statuses went, that it ended exactly once, and how. Read through the service, as a browser would.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from dev.redis_server import RedisServer
from tests.celery_project import Project, end_of, statuses
from tests.stack import READ_S, ROOT

SOURCE: Final = ROOT / "tests" / "projects" / "endings.py"
POOLS: Final = {"prefork": 3, "threads": 4, "solo": 1, "gevent": 20}
"""And how many tasks each may have at once: in prefork and threads some wait for others to be seen."""
EVERY: Final = tuple(POOLS)
LEASE_S: Final = 5
"""A death that only the lease can tell is told within 1.2 of these."""
COMPLETE: Final = ""
CANARY: Final = "amqp://user:canary-of-an-argument@host"
"""What a task was given is in no event, nor is its exception's text."""
RETRYING: Final = "running( retrying)? running"
"""The next attempt may begin before this one has said that it is left: in another process or thread."""
LATE: Final = ("threads", "solo")
"""The pools that limit nobody's time, and end nobody from outside."""


class Ending(NamedTuple):
    """One way to end: a call that gives the id, what is to be seen, and what is done once it waits.

    *statuses* is a pattern for the statuses after ``queued``; *code* the terminal error's, or `COMPLETE`.
    In *call*, ``Q`` has the options for the pool's queue, ``NEW`` is a path that is there for nobody
    else, and ``ID`` an id that is unused.
    """

    name: str
    call: str
    statuses: str = "running succeeded"
    code: str = COMPLETE
    result: object = None
    then: str = ""
    progress: tuple[float, ...] = ()
    message: str = ""


def _send(task: str, *args: str, **options: str) -> str:
    said = "".join(f", {name}={value}" for name, value in options.items())
    return f"{task}.apply_async(args=[{', '.join(args)}], **Q{said}).id"


ALWAYS: Final = [
    Ending("return", _send("returns", "'well'"), result={"word": "well"}),
    Ending("raise", _send("raises"), "running failed", "failed", message="It failed with KeyError."),
    Ending(
        "raise for people", _send("raises_for_people", "7"), "running failed", "no_such_row",
        message="There is no row 7.",
    ),
    Ending(
        "retry and raise with an argument", _send("repeats_its_argument", repr(CANARY)),
        f"{RETRYING} failed", "failed", message="It failed with ConnectionError.",
    ),
    Ending(
        "bad arguments", "app.send_task('proj.returns', args=[1, 2, 3], **Q).id",
        "running failed", "failed",
    ),
    Ending("before_start raises", _send("starts_badly"), "running failed", "failed"),
    Ending("on_success raises", _send("ends_badly")),
    Ending("result cannot be stored", _send("returns_what_is_no_json"), "running failed", "failed"),
    Ending("result backend down", _send("returns_what_nobody_stores"), result="well"),
    Ending("result need not be stored", _send("returns_what_is_no_json_to_nobody")),
    Ending("retry", _send("retries_once"), "running retrying running succeeded", result="at last"),
    Ending("retries exhausted", _send("retries_in_vain"), f"{RETRYING} failed", "failed"),
    Ending(
        "retry without a throw, then return", _send("retries_and_returns"),
        f"{RETRYING} succeeded", result="this",
    ),
    Ending(
        "retry without a throw, then raise", _send("retries_and_raises"),
        f"{RETRYING} succeeded", result="this",
    ),
    Ending("ignore", _send("ignores"), result={"ignored": True}),
    Ending("ignore, marked as failed", _send("marks_itself", "'FAILURE'"), "running failed", "failed"),
    Ending("ignore, marked as revoked", _send("marks_itself", "'REVOKED'"), "running cancelled", "cancelled"),
    Ending(
        "replace, in a second attempt", _send("is_replaced"),
        f"{RETRYING}( queued)? running succeeded", result={"word": "instead"},
    ),
    Ending("replace by a group", _send("is_replaced_by_a_group"), "running( queued)* running succeeded"),
    Ending("reject", _send("rejects"), "running failed", "rejected"),
    Ending(
        "reject, to come again, acknowledged", _send("rejects_too_late", "NEW"), "running failed", "rejected"
    ),
    Ending(
        "reject, to come again", _send("rejects_once", "NEW"),
        f"{RETRYING} succeeded", result="taken",
    ),
    Ending("expired", _send("returns", expires="YESTERDAY"), "failed", "expired"),
    Ending("unknown task", "app.send_task('proj.nowhere', **Q).id", "failed", "unknown_task"),
    Ending("id that cannot name an operation", _send("returns", task_id="'odd/' + ID")),
    Ending("state updated", _send("updates_its_state"), result="all", progress=(1, 2, 3)),
    Ending("eager inside", _send("calls_eagerly", "'in-' + ID"), result={"word": "inner"}),
    Ending("eager with a retry inside", _send("retries_eagerly", "'in-' + ID"), result="at last"),
    Ending("eager that raises inside", _send("fails_eagerly", "'in-' + ID"), result="seen"),
]  # fmt: skip
"""In every pool."""

EXIT: Final = Ending("sys.exit", _send("exits"), "running failed", "worker_lost")
"""In every pool; solo's worker ends with it."""

REVOKED: Final = Ending(
    "revoked, then published", "app.control.revoke(ID, **AND_WAIT) and " + _send("returns", task_id="ID"),
    "cancelled", "cancelled",
)  # fmt: skip

REVOKED_BEFORE_ITS_TIME: Final = Ending(
    "revoked before its time",
    "[" + _send("returns", task_id="ID", countdown="8") + ", app.control.revoke(ID, **AND_WAIT)][0]",
    "cancelled", "cancelled",
)  # fmt: skip
"""In every pool: told when the time has come, which is long enough for a revoke to be heard before."""

LIMITED: Final = [
    Ending("hard limit", _send("overruns"), "running failed", "timeout"),
    Ending(
        "hard limit, to come again", _send("overruns_once", "NEW"),
        f"{RETRYING} succeeded", result="in time",
    ),
    Ending(
        "terminated", _send("waits", "NEW"), "running waiting cancelled", "cancelled",
        then="app.control.revoke(ID, terminate=True)",
    ),
]  # fmt: skip
"""In the pools that can end a task from outside: prefork, gevent."""

UNLIMITED: Final = [
    Ending("hard limit", _send("overruns")),
    Ending("soft limit", _send("overruns_softly")),
    Ending("soft limit, to be caught", _send("overruns_and_catches"), result="not limited"),
]
"""In the pools that cannot (the soft limit: gevent neither)."""

PREFORK: Final = [
    Ending("soft limit", _send("overruns_softly"), "running failed", "timeout"),
    Ending("soft limit, caught", _send("overruns_and_catches"), result="caught"),
    Ending(
        "soft limit, in code that catches others", _send("overruns_and_catches_other_exceptions"),
        "running failed", "timeout",
    ),
    Ending(
        "terminated with KILL", _send("waits", "NEW"), "running waiting cancelled", "cancelled",
        then="app.control.revoke(ID, terminate=True, signal='KILL')",
    ),
    # Twice: Celery hands on what a child had taken that died before its parent heard of it.
    Ending("os._exit", _send("dies"), "(running ){0,2}failed", "worker_lost"),
    Ending("kill -9, acknowledged late", _send("dies_late"), "(running )?failed", "worker_lost"),
    Ending("kill -9 behind its end, acknowledged late", _send("dies_behind_its_end"), result="well"),
    Ending(
        "kill -9, to come again", _send("dies_and_is_rejected", "NEW"),
        f"{RETRYING} succeeded", result="survived",
    ),
    Ending(
        "kill -9, sent again", _send("dies_and_is_retried", "NEW"),
        "running retrying running succeeded", result="survived",
    ),
    Ending(
        "kill -9 when the result is stored", _send("dies_when_it_is_done"), "running failed", "worker_lost"
    ),
]  # fmt: skip

TABLE: Final = [
    *((pool, REVOKED) for pool in EVERY),  # first, while a solo worker has time to listen
    *((pool, REVOKED_BEFORE_ITS_TIME) for pool in EVERY),
    *((pool, ending) for pool in EVERY for ending in ALWAYS),
    *((pool, ending) for pool in ("prefork", "gevent") for ending in LIMITED),
    *((pool, ending) for pool in LATE for ending in UNLIMITED),
    *(("gevent", ending) for ending in UNLIMITED[1:]),
    *(("prefork", ending) for ending in PREFORK),
    *((pool, EXIT) for pool in EVERY if pool != "solo"),
]


class Published(NamedTuple):
    """What was published, by pool and name of the ending."""

    project: Project
    ids: dict[tuple[str, str], str]

    def events(self, pool: str, name: str) -> list[tuple[str, dict[str, Any]]]:
        """Give all that was said of one of them, once it is over."""
        return self.project.events(operation_id(self.ids[pool, name]))


def operation_id(task_id: str) -> str:
    """Give the operation's id for a task's: the same, unless it cannot be one."""
    digest = hashlib.sha256(task_id.encode()).hexdigest()[:32]
    return task_id if re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", task_id) else f"task_{digest}"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Four workers, which have been sent everything."""
    folder = tmp_path_factory.mktemp("endings")
    source = SOURCE.read_text()
    with (
        RedisServer(tmp_path_factory.mktemp("broker")) as broker,
        Project(broker.url, folder, "prefork", source, worker=False, TIDINGS_LEASE_S=str(LEASE_S)) as project,
    ):
        for pool, concurrency in POOLS.items():
            project.add_worker(pool, concurrency)
        for pool in POOLS:
            project.wait_for_worker(pool)
        ids = {}
        for number, (pool, ending) in enumerate(TABLE):
            ids[pool, ending.name] = project.publish(_filled(project, ending.call, pool, number))
        for pool, ending in TABLE:
            if ending.then:
                task_id = ids[pool, ending.name]
                project.wait_for_status(task_id, "waiting")
                project.publish(ending.then.replace("ID", repr(task_id)))
        yield Published(project, ids)


def _filled(project: Project, call: str, pool: str, number: int) -> str:
    known = {
        "Q": {"queue": pool},
        "AND_WAIT": {"destination": [f"{pool}@proj"], "reply": True, "limit": 1, "timeout": READ_S},
        "NEW": str(project.folder / f"new-{number}"),
        "ID": f"id-{number}",
    }
    return re.sub(r"\b(Q|AND_WAIT|NEW|ID)\b", lambda found: repr(known[found[0]]), call)


@pytest.mark.parametrize(("pool", "ending"), TABLE, ids=[f"{pool}: {ending.name}" for pool, ending in TABLE])
def test_ending(published: Published, pool: str, ending: Ending) -> None:
    """It goes through its statuses, and ends exactly once, as Celery meant it."""
    events = published.events(pool, ending.name)
    end = end_of(events)

    assert re.fullmatch(ending.statuses, " ".join(statuses(events))), events
    assert end.get("code", COMPLETE) == ending.code
    if ending.result is not None:
        assert end["result"] == ending.result
    assert ending.message in end.get("message", "")
    assert "Traceback" not in str(events)
    assert CANARY not in str(events)
    counts = [data["current"] for event_type, data in events if event_type == "progress"]
    if ending.progress:
        assert counts
        assert counts[-1] == ending.progress[-1]
        assert set(counts) <= set(ending.progress)


@pytest.mark.parametrize("pool", POOLS)
def test_task_that_is_called_eagerly_ends_like_any_other(published: Published, pool: str) -> None:
    """It is an operation beside that of the task that calls it, in the same process: also where it raises."""
    expected = {
        "eager inside": "running succeeded",
        "eager with a retry inside": "running retrying running succeeded",
        "eager that raises inside": "running failed",
    }
    for number, (its_pool, ending) in enumerate(TABLE):
        if its_pool == pool and ending.name in expected:
            events = published.project.events(f"in-id-{number}")
            assert " ".join(statuses(events)) == expected[ending.name]
            assert end_of(events).get("code", "failed") == "failed"


EAGER: Final = [
    ("returns.delay('here')", "running succeeded"),
    ("returns.s('late').apply_async(countdown=60)", "running succeeded"),
    ("raises.delay()", "running failed"),
    ("retries_once.delay()", "running retrying running succeeded"),
    ("chain(returns.si('one'), returns.si('two')).delay()", "running succeeded"),
    ("chain(returns.si('one'), returns.si('two')).delay().parent", "running succeeded"),
    ("group(returns.si('one'), returns.si('two')).delay()[1]", "running succeeded"),
    ("chord([returns.si('one'), returns.si('two')], returns.si('all')).delay()", "running succeeded"),
]


@pytest.mark.parametrize(("call", "expected"), EAGER, ids=[call for call, _ in EAGER])
def test_where_all_tasks_are_eager_each_is_an_operation(
    published: Published, call: str, expected: str
) -> None:
    """Run by whoever would publish it; no workflow, for Celery sends none."""
    events = published.project.events(published.project.publish(f"eagerly(lambda: {call}).id"))

    assert " ".join(statuses(events)) == expected
    assert end_of(events).get("code", "failed") == "failed"
    assert not any("workflowId" in data for _, data in events)


def test_retried_task_says_how_long_each_attempt_took(published: Published) -> None:
    """Its attempts count, and so do their seconds."""
    events = published.events("prefork", "retry")
    (left,) = [data for _, data in events if data.get("status") == "retrying"]
    end = end_of(events)

    assert (left["attempt"], end["attempt"]) == (1, 2)
    assert min(left["durationSeconds"], end["durationSeconds"]) >= 0


def test_ignored_task_is_nobodys_business(published: Published) -> None:
    """A task that the project left out is not shown, before or after its end."""
    task_id = published.project.publish("is_nobodys_business.apply_async(queue='threads').id")
    published.project.publish(f"app.AsyncResult({task_id!r}).get(timeout=60)")

    assert not published.project.knows(task_id)


def test_parent_that_forks_has_no_thread_of_ours(published: Published) -> None:
    """A prefork worker's parent, which has told of deaths, has only the thread it began with."""
    published.events("prefork", "kill -9, acknowledged late")
    pid = published.project.workers["prefork"].pid

    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1


@pytest.mark.parametrize("pool", POOLS)
def test_last_of_a_worker(published: Published, pool: str) -> None:
    """A worker that ends in peace finishes what it runs; one whose only thread exits loses that."""
    project = published.project
    gate = project.folder / f"gate-{pool}"
    ending = (
        EXIT
        if pool == "solo"
        else Ending("warm shutdown", f"waits.apply_async(args=[{str(gate)!r}], **Q).id")
    )
    task_id = project.publish(_filled(project, ending.call, pool, 0))
    if pool != "solo":
        project.wait_for_status(task_id, "waiting")
        project.workers[pool].terminate()
        gate.touch()
    events = project.events(task_id)

    assert end_of(events).get("code", COMPLETE) == ending.code
