"""A process that works on operations and reports them: ``python -m tests.faults.author``.

It is told what to do on stdin, a line of JSON each: ``{"begin": [operation, …], "workflow": …, "seed": …}``
has it start operations and work on them, ``{"end": true}`` end them all. Its answers, a line on stdout each,
say that all it said has reached the log; the second has the number of each operation's last durable report.
"""

import json
import os
import queue
import random
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from tests.faults.transcript import ROW
from tests.stack import ROOT
from tidings import Operation
from tidings.process import this_process

TICK_S: Final = 0.01
FLUSH_S: Final = 100.0
DURABLE: Final = 0.3
"""Share of what is said that is no progress."""


class Work:
    """One operation and what is said about it: durable reports numbered from 1, progress from 0."""

    def __init__(self, operation: str, workflow: str, seed: str) -> None:
        self._random = random.Random(f"{seed}/{operation}")  # noqa: S311 - to be replayed
        self._operation = Operation("import", id=operation, workflow=workflow).start()
        self._current = 0
        self.rows = 0
        self.over = False
        # The first one of each process lives until it is told to end, some of the others do not.
        self._last = 0 if operation.endswith("0") else self._random.choice([0, 0, 15, 40])

    def go_on(self) -> None:
        """Say one thing more, unless it is over."""
        if self.over:
            return
        if self._random.random() > DURABLE:
            self._current += 1
            self._operation.progress(self._current, message="row by row")
            return
        if self._last and self.rows >= self._last:
            self.end()
            return
        self.rows += 1
        match self._random.randrange(3):
            case 0:
                self._operation.status(f"phase {self.rows}", self._numbered())
            case 1:
                self._operation.warning("row", "a row", self._numbered())
            case _:
                self._operation.error("row", "a row", self._numbered(), terminal=False)

    def end(self) -> None:
        """Say the last thing, once."""
        if self.over:
            return
        self.over = True
        self.rows += 1
        if self._random.random() < 0.5:
            self._operation.complete(self._numbered())
        else:
            self._operation.error("failed", "it went wrong", self._numbered())

    def _numbered(self) -> dict[str, int]:
        return {ROW: self.rows}


class Author:
    """Such a process as a test holds it; leave the ``with`` to end it."""

    def __init__(self, redis_url: str, **env: str) -> None:
        self._env = os.environ | {"REDIS_URL": redis_url, "PYTHONPATH": str(ROOT)} | env
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.author"],
            cwd=ROOT, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._running
        process.kill()
        process.communicate()

    def begin(self, operations: list[str], workflow: str, seed: str) -> None:
        """Have it start *operations*; `answer` says when the log has them."""
        self._tell({"begin": operations, "workflow": workflow, "seed": seed})

    def end(self) -> None:
        """Have it end its operations; `answer` gives how many durable reports each of them had."""
        self._tell({"end": True})

    def answer(self) -> Any:
        """Wait for the answer to what it was told last."""
        assert self._running.stdout is not None
        return json.loads(self._running.stdout.readline())

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def _tell(self, order: Mapping[str, Any]) -> None:
        assert self._running.stdin is not None
        self._running.stdin.write(json.dumps(order) + "\n")
        self._running.stdin.flush()


def _work(orders: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Do as told, for ever: between two orders something is said at each tick."""
    works: dict[str, Work] = {}
    choice = random.Random(0)  # noqa: S311 - to be replayed
    while True:
        with suppress(queue.Empty):
            order = orders.get(timeout=TICK_S if works else None)
            if "begin" in order:
                choice = random.Random(order["seed"])  # noqa: S311 - to be replayed
                works = {each: Work(each, order["workflow"], order["seed"]) for each in order["begin"]}
                _answer({"begun": this_process().reporter.flush(FLUSH_S)})
            else:
                for work in works.values():
                    work.end()
                flushed = this_process().reporter.flush(FLUSH_S)
                _answer({"flushed": flushed, "said": {each: work.rows for each, work in works.items()}})
                works = {}
        if works:
            works[choice.choice(sorted(works))].go_on()


def _answer(said: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read orders until there are no more."""
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_work, args=(orders,), daemon=True).start()
    for line in sys.stdin:
        orders.put(json.loads(line))


if __name__ == "__main__":
    main()
