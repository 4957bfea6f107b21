"""Batches whose worker is killed: a child of it, then all of it, in one batch of a real worker.

The batch is ours as deployed, but that each row leaves a trace when it is done, and that some rows wait at a
gate, so that there is a moment at which it is known what is finished.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest

from dev.redis_server import RedisServer
from tests.celery_project import Project, end_of, statuses
from tests.e2e.test_batch import table_of
from tests.http_stream import get_json, post_json
from tests.processes import below
from tests.stack import READ_S
from tests.waiting import wait_until

ROWS: Final = 3_000
FIRST_GATE: Final = 1_000
SECOND_GATE: Final = 2_000
THREADS: Final = 4
"""As many rows a batch has in work unless told otherwise."""
WINDOW_S: Final = 5
"""The visibility timeout of the last worker: it comes after the kill by so much, and its work takes less."""

PROJECT: Final = """
import os
import time
from pathlib import Path

from tasks import rows
from tasks.celery import app
from tasks.uploaded import About, keep

FOLDER = Path(os.environ["TRACES"])
app.conf.update(
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("VISIBILITY_S", "300")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
)
check = rows.CsvRows.work


def trace(what, number):
    file = os.open(FOLDER / what, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{number}\\n".encode())
    os.close(file)


def traced(self, value):
    number = int(value.cells[0])
    trace("begun", number)
    for gate in (1_000, 2_000):
        while number > gate and not (FOLDER / f"gate-{gate}").exists():
            time.sleep(0.02)
    found = check(self, value)
    trace("done", number)
    return found


rows.CsvRows.work = traced


def give(path):
    keep("numbers", Path(path), About(name="numbers.csv", bytes=0, sha256="", media_type="text/csv"))
"""


@pytest.fixture
def project(own_redis: RedisServer, tmp_path: Path) -> Iterator[Project]:
    """A worker with one process, and leases of two seconds."""
    traces = str(tmp_path)
    with Project(own_redis.url, tmp_path, "prefork", PROJECT, TRACES=traces, TIDINGS_LEASE_S="2") as project:
        yield project
        project.signal_worker(signal.SIGKILL)


def traces(project: Project, what: str) -> Counter[int]:
    """Give how often each row was ``begun`` or ``done``."""
    file = project.folder / what
    return Counter(int(line) for line in file.read_text().split()) if file.exists() else Counter()


def document(project: Project, batch: str) -> Any:
    """Give what the service says of the batch."""
    return get_json(f"{project.service.url}/api/operations/{batch}").body["operation"]


def wait_at(project: Project, batch: str, gate: int) -> None:
    """Wait until all rows before the gate are finished, for all to see, and rows behind it are begun."""

    def has_come() -> bool:
        shown = document(project, batch)["events"].get("progress", {}).get("current", 0)
        return bool(shown == gate and max(traces(project, "begun")) > gate)

    wait_until(has_come, timeout_s=READ_S)


def test_a_killed_batch_goes_on_from_its_last_finished_row(project: Project) -> None:
    """Neither its process' death nor the worker's has a finished row done again; the table is whole."""
    content = "number,square\n" + "".join(f"{number},{number**2}\n" for number in range(1, ROWS + 1))
    (project.folder / "numbers.csv").write_text(content)
    project.publish(f"give({str(project.folder / 'numbers.csv')!r}) or 'given'")
    body = {"kind": "batch", "params": {"source": {"upload": "numbers"}}}
    batch = post_json(f"{project.service.url}/api/operations", body).body["operationId"]

    wait_at(project, batch, FIRST_GATE)
    assert project.worker is not None
    (child,) = below(project.worker.pid)
    os.kill(child, signal.SIGKILL)
    (project.folder / f"gate-{FIRST_GATE}").touch()
    wait_at(project, batch, SECOND_GATE)
    project.signal_worker(signal.SIGKILL)
    wait_until(lambda: document(project, batch)["status"] == "retrying", timeout_s=READ_S)
    (project.folder / f"gate-{SECOND_GATE}").touch()
    project.start_worker(VISIBILITY_S=str(WINDOW_S))
    events = project.events(batch)

    end = end_of(events)
    first, again = ["running", "reading", "checking"], ["retrying", "running", "checking"]
    assert statuses(events) == [*first, *again, *again, "succeeded"]
    assert traces(project, "done") == dict.fromkeys(range(1, ROWS + 1), 1)
    twice = {row for row, times in traces(project, "begun").items() if times > 1}
    assert twice <= {gate + row for gate in (FIRST_GATE, SECOND_GATE) for row in range(1, THREADS + 1)}
    bars = bars_of(events)
    assert [bar[-1] for bar in bars] == [1_000, 2_000, 3_000]
    whole = list(chain.from_iterable(bars))
    assert whole == sorted(whole), "no attempt begins below where the one before it was"
    assert end["attempt"] == 2, "the process' death is counted, so that it cannot go on for ever"
    assert end["result"]["done"] == ROWS
    assert [row["item"] for row in table_of(project.service, end["result"])] == [
        f"line {row + 1}" for row in range(1, ROWS + 1)
    ]


def bars_of(events: list[tuple[str, dict[str, Any]]]) -> list[list[int]]:
    """Give what each attempt showed of how far it was."""
    bars: list[list[int]] = []
    for event_type, data in events:
        if data.get("status") == "running":
            bars.append([])
        if event_type == "progress":
            bars[-1].append(data["current"])
    return bars
