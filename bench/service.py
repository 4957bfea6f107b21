"""Tidings as deployed: gunicorn with our worker, and a Redis of its own that keeps an append-only file."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from bench.process import BUILD
from bench.server import Server
from dev.redis_server import RedisServer

STREAMS_PER_PROCESS: Final = "19000"
"""TIDINGS_MAX_STREAMS: what 20,000 descriptors leave."""


class WithRedis(Server):
    """A server that needs a Redis beside it."""

    def __init__(self, processes: int) -> None:
        super().__init__(processes)
        BUILD.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="redis-", dir=BUILD))
        self.redis = RedisServer(self._folder)

    def __enter__(self) -> Self:
        self.redis.start()
        return super().__enter__()

    def stop(self) -> None:
        """Stop it, then its Redis; remove the data."""
        super().stop()
        self.redis.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class Tidings(WithRedis):
    """Our service."""

    name: ClassVar[str] = "tidings"
    resumes: ClassVar[bool] = True
    namespace: Final = "bench"

    def __init__(self, processes: int, heartbeat_s: float = 15.0) -> None:
        super().__init__(processes)
        self._heartbeat_s = heartbeat_s

    def launch(self) -> None:
        """Start gunicorn."""
        command = [str(Path(sys.executable).parent / "gunicorn"), "wsgi:app"]
        self.child(
            command,
            HOST="127.0.0.1",
            PORT=str(self.port),
            REDIS_URL=self.redis.url,
            WEB_CONCURRENCY=str(self.processes),
            TIDINGS_AUTH="open",
            TIDINGS_NAMESPACE=self.namespace,
            TIDINGS_MAX_STREAMS=STREAMS_PER_PROCESS,
            TIDINGS_HEARTBEAT_S=str(self._heartbeat_s),
        ).wait_for(f"http://127.0.0.1:{self.port}/readyz")

    def path(self, topic: str) -> str:
        """Give an operation's stream, without its state: that holds an event of before."""
        return f"/api/events/operations/{topic}?history=none"

    def sink(self) -> dict[str, Any]:
        """Write to the log."""
        return {"kind": "log", "redis_url": self.redis.url, "namespace": self.namespace}
