"""Children of concurrent.futures and multiprocessing that report into their parent's operation."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.stack import READ_S, ROOT
from tidings.cursor import Cursor
from tidings.log import Log
from tidings.settings import Settings

SCRIPT: Final = """
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from tidings import Operation, report_warning, track
from tidings.adapters.futures import carry
from tidings.process import configure
from tidings.settings import Settings


def work(number):
    report_warning("child", str(number))
    return number


if __name__ == "__main__":
    way, url, namespace = sys.argv[1:]
    configure(Settings(redis_url=url, namespace=namespace))
    context = multiprocessing.get_context(way)
    with Operation("batch", "op") as op:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            futures = [pool.submit(carry(work), number) for number in range(4)]
            assert sorted(future.result() for future in track(as_completed(futures), 4)) == [0, 1, 2, 3]
        child = context.Process(target=carry(work), args=(4,))
        child.start()
        child.join()
        assert child.exitcode == 0
"""


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_children_report_into_their_parents_operation(
    log: Log, settings: Settings, tmp_path: Path, way: str
) -> None:
    """All that they say is in the log before its end, and is its only attempt's."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    command = [sys.executable, str(script), way, settings.redis_url, settings.namespace]
    subprocess.run(command, env=env | {"PYTHONPATH": str(ROOT)}, check=True, timeout=READ_S)
    said = [(entry.type, json.loads(entry.data)) for entry in log.read(Cursor(0, 0)) if entry.cursor.n]

    assert sorted(data["message"] for kind, data in said if kind == "warning") == ["0", "1", "2", "3", "4"]
    assert [data["status"] for kind, data in said if kind == "status"] == ["running", "succeeded"]
    assert said[-1][0] == "complete"
    assert [data["current"] for kind, data in said if kind == "progress"][-1] == 4
