"""Requests that Schemathesis makes from our own description, good and bad: each is answered as described."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from dev.redis_server import RedisServer
from tests.stack import ROOT, Stack

RUN_S: Final = 100
LONG_RUN_S: Final = 1_500
FILES: Final = "^/(?!api/|healthz|readyz|metrics)"
"""Paths of the pages and what belongs to them: any text is one, and there is nothing to be said of it."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service where nothing runs of what is started, and one address may ask as often as it likes."""
    folder = tmp_path_factory.mktemp("any_requests")
    with (
        RedisServer(folder / "redis") as redis,
        Stack(redis.url, folder, web=1, worker=False, TIDINGS_REQUESTS_PER_S="0") as stack,
    ):
        over = stack.operation()
        over.progress(1, 2)
        over.complete()
        stack.operation().progress(1, 2)
        stack.flush()
        yield stack


def try_requests(service: Stack, seed: int, run_s: float, *options: str) -> None:
    """Have Schemathesis ask *service*: every answer is as described, and fits what was asked."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "tests/schemathesis.toml", "run"]
    chosen = ["--exclude-tag", "events", "--exclude-path-regex", FILES, "--seed", str(seed), *options]
    ran = subprocess.run(
        [*command, f"{service.url}/api/openapi.json", "--no-color", *chosen],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=run_s,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in service.output("web")


@pytest.mark.timeout(RUN_S * 2)
def test_any_requests_are_answered_as_described(service: Stack, pytestconfig: pytest.Config) -> None:
    """A few of each, good and bad."""
    try_requests(service, pytestconfig.option.seed, RUN_S, "--phases", "fuzzing", "-n", "5")


@pytest.mark.long
@pytest.mark.timeout(LONG_RUN_S * 2)
def test_many_requests_are_answered_as_described(service: Stack, pytestconfig: pytest.Config) -> None:
    """Every bound of every parameter, hundreds by chance, and one after another as their links go."""
    try_requests(service, pytestconfig.option.seed, LONG_RUN_S, "-n", "200", "-w", "2")
