"""sse-starlette under uvicorn with uvloop, Redis pub/sub behind its workers, as its users set it up."""

from typing import Any, ClassVar, Final

from bench import supplies
from bench.process import APPS
from bench.service import WithRedis

PACKAGES: Final = ("sse-starlette==3.7.0", "uvicorn[standard]==0.54.*", "redis[hiredis]==8.1.*")


class SseStarlette(WithRedis):
    """uvicorn workers as many as asked for."""

    name: ClassVar[str] = "sse-starlette"

    @classmethod
    def needs(cls) -> None:
        """Bring its packages."""
        supplies.python_with(*PACKAGES)

    def launch(self) -> None:
        """Start uvicorn."""
        python = supplies.python_with(*PACKAGES)
        command = [
            str(python), "-m", "uvicorn", "starlette_app:app", "--app-dir", str(APPS),
            "--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self.processes),
            "--loop", "uvloop", "--http", "httptools", "--backlog", "4096", "--no-access-log",
            "--log-level", "warning", "--timeout-graceful-shutdown", "1",
        ]  # fmt: skip
        self.child(command, REDIS_URL=self.redis.url).wait_for(f"http://127.0.0.1:{self.port}/healthz")

    def path(self, topic: str) -> str:
        """Give a topic's stream."""
        return f"/stream?topic={topic}"

    def sink(self) -> dict[str, Any]:
        """PUBLISH to the topic's channel."""
        return {"kind": "redis", "redis_url": self.redis.url, "wrap": False}
