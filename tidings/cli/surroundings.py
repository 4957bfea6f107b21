"""What the doctor can see of this machine: versions, limits, and the Redis that the environment names."""

import platform
import resource
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tidings.cli.findings import Finding, of_descriptors
from tidings.errors import LogUnavailable, SettingsError
from tidings.log import Log
from tidings.redis_advice import Advice
from tidings.settings import Settings

SPARE_DESCRIPTORS: Final = 200
"""Beside the streams, of each web process; as webapp.worker has it (a test compares)."""
OLDEST_REDIS: Final = 7
PACKAGES: Final = ("tidings", "redis", "msgspec", "rich")


def of_versions() -> Finding:
    """Say what is installed."""
    said = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            said.append(f"{name} not installed")
    return Finding("versions", ", ".join(said), note=True)


def of_limits(max_streams: int) -> Iterator[Finding]:
    """Judge whether processes of this machine may have as many descriptors as *max_streams* streams need."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        yield from of_descriptors(hard, max_streams, SPARE_DESCRIPTORS)


def of_redis(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Judge the Redis that REDIS_URL names, if it is set. Waits for it."""
    if not environ.get("REDIS_URL"):
        return
    try:
        log = Log(Settings.from_env(environ))
    except SettingsError as error:
        yield from (Finding("settings", problem, "put the variable right") for problem in error.problems)
        return
    try:
        yield from _of_log(log)
    except LogUnavailable as error:
        yield Finding(
            "redis", f"the Redis of REDIS_URL cannot be used: {error}", "start it, or put REDIS_URL right"
        )
    finally:
        log.close()


def _of_log(log: Log) -> Iterator[Finding]:
    advice = Advice.of(log)
    said = str(log.server("server").get("redis_version", "0"))
    if int(said.partition(".")[0]) < OLDEST_REDIS:
        yield Finding(
            "redis_version", f"Redis {said} is too old", f"use Redis {OLDEST_REDIS} or later, or Valkey"
        )
    yield from (Finding("redis_setting", warning) for warning in advice.warnings)
    yield from (Finding("redis_doubt", doubt, note=True) for doubt in advice.doubts)
