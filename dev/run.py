"""Set-up: ``make run``, the launcher: checks the surroundings, starts what is missing and keeps it together.

Takes its settings from the environment and the Procfile of the project; gives the Procfile's processes a
Redis and an address, and says when they are ready. Guarantee: however it ends, what it started ends too. It
is not for production, where the host runs the Procfile.
"""

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TextIO

from dev.errors import SetUpError
from dev.given_redis import GivenRedis
from dev.launch_settings import LaunchSettings
from dev.port import check_free
from dev.procfile import Crew, read_procfile
from dev.redis_server import RedisServer
from dev.stop_request import StopRequest

TICK_S = 0.1
"""Pause between two looks at the processes and the signals: not felt by a person, and no load. Guessed."""

READY_S = 60.0
"""After this long without readiness the launcher says so, once, and waits on. Some 3 s are usual. Guessed."""

PROBE_S = 1.0
"""Bound of each step of ``GET /readyz``: the launcher acts on no signal meanwhile. Guessed."""


def main() -> int:
    """Run the launcher as a command; return its exit status: 0 if a person ended it, else 1."""
    parser = argparse.ArgumentParser(prog="python -m dev.run", description="Start Tidings on this machine.")
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent, help="project folder")
    stop_request = StopRequest()
    try:
        launch(parser.parse_args().root.resolve(), os.environ, stop_request)
    except SetUpError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def launch(root: Path, environ: Mapping[str, str], stop_request: StopRequest) -> None:
    """Run the project in *root* until a stop is asked for; blocks as long.

    Raises: SetUpError if it cannot start, or when one of its processes ends by itself.
    """
    settings = LaunchSettings.from_env(environ)
    lines = read_procfile(root / "Procfile")
    with nullcontext() if settings.redis_url else hold(root / "var"):
        check_free(settings.host, settings.port)
        with redis_for(settings, root) as redis:
            environ = settings.environ_for_children(environ, redis.url)
            with crew_of(lines, root, environ) as crew:
                Watch(crew, redis, settings).until(stop_request)


def redis_for(settings: LaunchSettings, root: Path) -> GivenRedis | RedisServer:
    """Return the Redis to use, not entered yet: the one that REDIS_URL names, else an embedded one."""
    return GivenRedis(settings.redis_url) if settings.redis_url else RedisServer(root / "var" / "redis")


def hold(var: Path) -> TextIO:
    """Hold *var* for this launcher alone until the returned file is closed, or this process has ended.

    Raises: SetUpError if another launcher holds it, or if it cannot be written.
    """
    try:
        var.mkdir(exist_ok=True)
        lock = (var / "run.lock").open("w", encoding="utf-8")
    except OSError as error:
        raise SetUpError(f"Cannot write {var}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise SetUpError(
            f"Another `make run` of this checkout is using {var / 'redis'}; "
            "stop it, or give this one a REDIS_URL and a PORT of its own"
        ) from error
    return lock


@contextmanager
def crew_of(lines: Mapping[str, str], folder: Path, environ: Mapping[str, str]) -> Iterator[Crew]:
    """Start *lines* and stop them at the end of the block, saying who had to be killed."""
    crew = Crew()
    try:
        crew.start(lines, folder=folder, environ=environ)
        yield crew
    finally:
        for name in crew.stop():
            print(f"{name} did not stop in time and was killed", file=sys.stderr, flush=True)


class Watch:
    """Looks after a started crew, in the launcher's main thread, until there is a reason to stop it."""

    def __init__(self, crew: Crew, redis: GivenRedis | RedisServer, settings: LaunchSettings) -> None:
        self._crew = crew
        self._redis = redis
        self._settings = settings
        self._ready = False
        self._complained = False
        self._ready_by = time.monotonic() + READY_S

    def until(self, stop_request: StopRequest) -> None:
        """Block until *stop_request* is made; say meanwhile when the service is ready.

        Raises: SetUpError as soon as a process has ended by itself.
        """
        while not stop_request.made:
            self._check_alive()
            if not self._ready:
                self._look_for_readiness()
            time.sleep(TICK_S)

    def _check_alive(self) -> None:
        if not self._redis.alive:
            raise SetUpError("The embedded Redis server ended by itself; stopped the rest")
        for member in self._crew.ended():
            raise SetUpError(f"{member.name} {member.ending}; stopped the rest")

    def _look_for_readiness(self) -> None:
        answer = readiness(self._settings.reachable_host, self._settings.port)
        self._ready = answer == "200"
        if self._ready:
            print(f"Tidings is at {self._settings.address}", flush=True)
        elif not self._complained and time.monotonic() > self._ready_by:
            self._complained = True
            print(f"Not ready after {READY_S:.0f} s (/readyz: {answer}); waiting on", flush=True)


def readiness(host: str, port: int) -> str:
    """Return the status of ``GET /readyz``, or why there was none; waits up to 1 s for each of its steps."""
    connection = HTTPConnection(host, port, timeout=PROBE_S)
    try:
        connection.request("GET", "/readyz")
        return str(connection.getresponse().status)
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
