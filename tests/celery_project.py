"""A Celery project that only installs Tidings, for the tests: its worker, its publisher and its service."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from redis import Redis

from tests.http_stream import get_json
from tests.stack import READ_S, ROOT, Stack
from tests.waiting import wait_until

PUBLISHER: Final = """
import sys

import proj
from celery import chain, chord, group
from tidings.process import this_process

names = vars(proj) | {"chain": chain, "group": group, "chord": chord}
for line in sys.stdin:
    print(eval(line, names), flush=this_process().reporter.flush(10))
"""


class Project:
    """A Celery project with a worker, whatever it says in files of *folder*, and its service.

    *source* is its module ``proj``, with ``app`` and its tasks.
    """

    def __init__(
        self,
        redis_url: str,
        folder: Path,
        pool: str,
        source: str,
        *,
        web: int = 1,
        worker: bool = True,
        concurrency: int = 1,
        **env: str,
    ) -> None:
        self.pool = pool
        self._has_worker = worker
        self._concurrency = concurrency
        self.folder = folder
        self.service = Stack(
            redis_url, folder, worker=False, web=web, TIDINGS_NAMESPACE=f"project-{pool}", **env
        )
        (folder / "proj.py").write_text(source)
        (folder / "publisher.py").write_text(PUBLISHER)
        self._env = os.environ | self.service.env | {"PYTHONPATH": f"{folder}:{ROOT}"}
        self._processes: list[subprocess.Popen[str]] = []
        self.worker: subprocess.Popen[str] | None = None
        self.workers: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        try:
            self.service.__enter__()
            self._publisher = self._start("publisher", sys.executable, "publisher.py")
            if self._has_worker:
                self.start_worker(concurrency=self._concurrency)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def publish(self, expression: str) -> str:
        """Have the publisher evaluate *expression*, in which the tasks and ``app`` are known."""
        assert self._publisher.stdin is not None
        assert self._publisher.stdout is not None
        self._publisher.stdin.write(f"{expression}\n")
        self._publisher.stdin.flush()
        answer = self._publisher.stdout.readline().strip()
        assert answer, (self.folder / "publisher.log").read_text()
        return answer

    def send(self, task: str, *args: object) -> str:
        """Publish a task and give its id."""
        return self.publish(f"{task}.apply_async(args={args!r}).id")

    def publish_unannounced(self, task: str, task_id: str) -> None:
        """Publish a task as a program without Tidings would."""
        broker = self.service.env["REDIS_URL"].replace("unix://", "redis+socket://")
        send = f"import celery; celery.Celery(broker={broker!r}).send_task({task!r}, task_id={task_id!r})"
        subprocess.run([sys.executable, "-c", send], check=True, timeout=READ_S)

    def events(self, operation_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Give type and data of every event of an operation, once it is over."""
        messages = self.service.history(operation_id)
        return [(message.type, json.loads(message.data)) for message in messages]

    def wait_for_status(self, operation_id: str, status: str) -> None:
        """Wait until the operation has entered *status*."""
        with self.service.stream(f"/api/events/operations/{operation_id}?history=all") as stream:
            stream.read_until(lambda message: json.loads(message.data).get("status") == status, READ_S)

    def start_worker(self, *, pool: str = "", concurrency: int = 1, **env: str) -> None:
        """Start a worker, in the place of the one before; what is sent meanwhile waits in the queue."""
        if self.worker is not None and self.worker.poll() is None:
            self.signal_worker(signal.SIGKILL)
            self.worker.wait()
        if self.worker is not None:
            self._wait_until_redis_forgets(self.worker)
        command = ["celery", "-A", "proj", "worker", "--loglevel", "INFO", "--without-mingle"]
        command += ["--pool", pool or self.pool, "--concurrency", str(concurrency)]
        self.worker = self._start("worker", *command, **env)

    def _wait_until_redis_forgets(self, worker: subprocess.Popen[str]) -> None:
        """Wait until nothing of a dead worker is connected: Redis would hand it the next message.

        Its children have its connections too, and a close is heard of in some turn of Redis' loop.
        """
        wait_until(lambda: not _is_group_alive(worker.pid), timeout_s=READ_S)
        with Redis.from_url(self.service.env["REDIS_URL"]) as redis:
            for _ in range(2):
                redis.ping()

    def add_worker(self, pool: str, concurrency: int, **env: str) -> None:
        """Start one more worker, for the queue that is named as its *pool*; it is ``<pool>@proj``."""
        command = ["celery", "-A", "proj", "worker", "--loglevel", "INFO", "--without-mingle"]
        command += ["--pool", pool, "--concurrency", str(concurrency)]
        command += ["--queues", pool, "--hostname", f"{pool}@proj"]
        self.workers[pool] = self._start(pool, *command, QUEUE=pool, **env)

    def wait_for_worker(self, pool: str) -> None:
        """Wait until the worker of that queue takes tasks."""
        output = self.folder / f"{pool}.log"
        wait_until(lambda: f"{pool}@proj ready" in output.read_text(), timeout_s=READ_S)

    def signal_worker(self, number: signal.Signals) -> None:
        """Send a signal to the worker and all its children at once, as the fate of its machine would be."""
        assert self.worker is not None
        os.killpg(self.worker.pid, number)

    def knows(self, operation_id: str) -> bool:
        """Tell whether the operation has been announced."""
        return get_json(f"{self.service.url}/api/operations/{operation_id}").status == 200

    def _start(self, name: str, *command: str, **env: str) -> subprocess.Popen[str]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*command],
                cwd=self.folder,
                env=self._env | env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == "publisher" else log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.communicate(timeout=READ_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        self.service.stop()


def statuses(events: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Give the statuses that an operation went through, but for the first where that is ``queued``.

    The announcement and the task take two ways: where the worker is quicker, ``queued`` comes too late to be
    told (LOG.md, C6). That it is told while a task waits has a test of its own.
    """
    told = [data["status"] for event_type, data in events if event_type == "status"]
    return told[1:] if told[0] == "queued" else told


def end_of(events: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Give the data of the terminal event, which is the only one and the last."""
    ends = [
        (event_type, data)
        for event_type, data in events
        if event_type == "complete" or (event_type == "error" and data.get("terminal"))
    ]
    assert len(ends) == 1, events
    assert events[-1] == ends[0]
    return events[-1][1]


def _is_group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
