"""Tests: uploads as a stack has them, the client that goes on, and the end of those that receive."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from dev.node import CLIENTS, bring, find_node
from tests.stack import READ_S, Stack
from tests.waiting import wait_until


def events(stack: Stack, upload_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Give all that was said of an upload that ends."""
    return [(event.type, json.loads(event.data)) for event in stack.history(upload_id)]


def end(stack: Stack, upload_id: str) -> dict[str, Any]:
    """Give the last that was said of an upload that ends."""
    return events(stack, upload_id)[-1][1]


def progress(said: list[tuple[str, dict[str, Any]]]) -> list[int]:
    """Give the bytes that were said to be there."""
    return [event["current"] for kind, event in said if kind == "progress"]


def files_of(stack: Stack, upload_id: str) -> list[Path]:
    """Give what lies in the folder of uploads that has come in for one."""
    return [path for path in (stack.folder / "uploads").rglob("*") if upload_id in str(path)]


def tus_js(path: Path, endpoint: str, url: str = "", **options: object) -> subprocess.Popen[bytes]:
    """Start tus-js-client on a file: for a new upload at *endpoint*, or to go on with that at *url*."""
    bring(CLIENTS)
    command = [str(find_node()), str(CLIENTS / "tus.mjs"), str(path), endpoint, url, json.dumps(options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(client: subprocess.Popen[bytes]) -> str:
    """Wait for tus-js-client; give the upload's URL."""
    said, error = client.communicate(timeout=READ_S)
    assert client.returncode == 0, error.decode()
    return said.decode().split("\n")[0]


def kill_at(stack: Stack, upload_id: str, size: int) -> int:
    """Kill all web processes with -9 once so many bytes are on disk; give how many the dead leave there."""
    content = next(path for path in files_of(stack, upload_id) if path.name == "content")
    pids = stack.web_pids()
    deadline = time.monotonic() + READ_S
    while content.stat().st_size < size:
        assert time.monotonic() < deadline
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(pids) & set(stack.web_pids()), timeout_s=READ_S)
    return content.stat().st_size
