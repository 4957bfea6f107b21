"""The command line on streams that break: what `watch` does, and what `doctor` finds."""

import os
import signal
import uuid
from collections.abc import Iterator

import pytest

from dev.redis_server import RedisServer
from tests.cli import CommandLine
from tests.stack import READ_S, Stack
from tidings.cli.exits import Exit

HEARTBEAT_S = 1.0


@pytest.fixture(scope="module")
def brisk(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with one web process whose heart beats fast, and which may be killed."""
    stack = Stack(
        redis_server.url,
        tmp_path_factory.mktemp("brisk"),
        web=1,
        worker=False,
        TIDINGS_NAMESPACE=f"cli{uuid.uuid4().hex[:8]}",
        TIDINGS_HEARTBEAT_S=str(HEARTBEAT_S),
    )
    with stack:
        yield stack
        kill_web(stack)


@pytest.fixture
def tidings(brisk: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line beside that service."""
    return CommandLine({**brisk.env, "TIDINGS_URL": brisk.url}, monkeypatch, capsys)


def kill_web(stack: Stack) -> None:
    """Kill the service with all of its processes."""
    assert stack.web is not None
    os.killpg(stack.web.pid, signal.SIGKILL)
    stack.web.wait()


def test_watch_goes_on_behind_a_restart_of_the_service(brisk: Stack, tidings: CommandLine) -> None:
    """It says that it comes back, misses nothing, and prints nothing twice."""
    operation = brisk.operation("cli")
    process = tidings.start("watch")
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"state running" in process.stdout.readline()
    operation.warning("n", "1")
    brisk.flush()
    assert b"warning n: 1" in process.stdout.readline()
    kill_web(brisk)
    assert b"reconnecting" in process.stderr.readline()
    operation.warning("n", "2")
    brisk.flush()
    brisk.start_web()
    operation.warning("n", "3")
    operation.complete()
    brisk.flush()
    out, err = process.communicate(timeout=READ_S)
    assert process.returncode == Exit.OK
    said = [line.split(b" ", 3)[3] for line in out.splitlines()]
    assert [line[:12] for line in said] == [
        b"warning n: 2",
        b"warning n: 3",
        b"status succe",
        b"complete suc",
    ]
    assert b"connected again" in err
