"""Children of concurrent.futures and multiprocessing that report into their parent's operation."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.stack import READ_S, ROOT
from tests.waiting import wait_until
from tidings.cancel import cancelling
from tidings.cursor import Cursor
from tidings.log import Log
from tidings.settings import Settings
from tidings.writer import Writer

SCRIPT: Final = """
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from tidings import Cancelled, Operation, check_cancelled, report_progress, report_warning, track
from tidings.adapters.futures import carry
from tidings.process import configure
from tidings.settings import Settings


def work(number):
    report_warning("child", str(number))
    return number


def work_until_cancelled():
    for number in range(10**9):
        report_progress(number)
        check_cancelled()


class OurCancelled(Cancelled):
    pass


def be_cancelled(context):
    with Operation("batch", "asked") as op:
        op.cancelled_error = OurCancelled
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            pool.submit(carry(work_until_cancelled)).result()


def report(context):
    with Operation("batch", "op"):
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            futures = [pool.submit(carry(work), number) for number in range(4)]
            assert sorted(future.result() for future in track(as_completed(futures), 4)) == [0, 1, 2, 3]
        child = context.Process(target=carry(work), args=(4,))
        child.start()
        child.join()
        assert child.exitcode == 0


if __name__ == "__main__":
    what, way, url, namespace = sys.argv[1:]
    configure(Settings(redis_url=url, namespace=namespace))
    globals()[what](multiprocessing.get_context(way))
"""


@contextmanager
def started(tmp_path: Path, settings: Settings, what: str, way: str) -> Iterator[subprocess.Popen[str]]:
    """Start the script; it has no children any more when this is left."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    command = [sys.executable, str(script), what, way, settings.redis_url, settings.namespace]
    with subprocess.Popen(
        command,
        env=env | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_children_report_into_their_parents_operation(
    log: Log, settings: Settings, tmp_path: Path, way: str
) -> None:
    """All that they say is in the log before its end, and is its only attempt's."""
    with started(tmp_path, settings, "report", way) as process:
        _, errors = process.communicate(timeout=READ_S)
        assert process.returncode == 0, errors
    said = [(entry.type, json.loads(entry.data)) for entry in log.read(Cursor(0, 0)) if entry.cursor.n]

    assert sorted(data["message"] for kind, data in said if kind == "warning") == ["0", "1", "2", "3", "4"]
    assert [data["status"] for kind, data in said if kind == "status"] == ["running", "succeeded"]
    assert said[-1][0] == "complete"
    assert [data["current"] for kind, data in said if kind == "progress"][-1] == 4


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_child_that_reports_hears_that_its_parents_operation_is_cancelled(
    log: Log, settings: Settings, tmp_path: Path, way: str
) -> None:
    """It raises what the parent would, which passes through the future and ends the operation."""
    with started(tmp_path, settings, "be_cancelled", way) as process:
        wait_until(lambda: "progress" in [entry.type for entry in log.read(Cursor(0, 0))], timeout_s=READ_S)
        state = log.operation("asked")
        assert state is not None
        Writer(log).append_all(cancelling(state, "me"))
        _, errors = process.communicate(timeout=READ_S)
    assert "OurCancelled: operation asked was asked to be cancelled" in errors
    state = log.operation("asked")
    assert state is not None
    assert state.status == "cancelled"
