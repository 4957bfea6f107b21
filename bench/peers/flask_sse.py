"""flask-sse under gunicorn with gevent: one Redis subscription, so one connection to Redis, per stream."""

import time
from typing import Any, ClassVar, Final

from redis import Redis

from bench import supplies
from bench.errors import NotMeasured
from bench.load import OPEN_S
from bench.process import APPS
from bench.service import WithRedis

PACKAGES: Final = ("flask-sse==1.0.0", "gunicorn[gevent]==27.0.*", "redis[hiredis]==8.1.*")


class FlaskSse(WithRedis):
    """gunicorn workers as many as asked for. Redis takes 10,000 connections by default."""

    name: ClassVar[str] = "flask-sse"
    late_head: ClassVar[bool] = True
    most_streams: ClassVar[int | None] = 9_000
    most_because: ClassVar[str] = "each is a connection to Redis, which takes 10,000 unless told otherwise"

    @classmethod
    def needs(cls) -> None:
        """Bring its packages."""
        supplies.python_with(*PACKAGES)

    def launch(self) -> None:
        """Start gunicorn."""
        python = supplies.python_with(*PACKAGES)
        command = [
            str(python), "-m", "gunicorn", "flask_sse_app:app", "--chdir", str(APPS),
            "--config", "/dev/null", "--bind", f"127.0.0.1:{self.port}", "--workers", str(self.processes),
            "--worker-class", "gevent", "--worker-connections", "19000", "--backlog", "4096",
            "--graceful-timeout", "1", "--no-control-socket",
        ]  # fmt: skip
        self.child(command, REDIS_URL=self.redis.url).wait_for(f"http://127.0.0.1:{self.port}/healthz")

    def wait_until_open(self, streams: int) -> None:
        """Wait until Redis has a subscription for each stream."""
        deadline = time.monotonic() + OPEN_S
        with Redis.from_url(self.redis.url) as client:
            while int(client.info("clients")["pubsub_clients"]) < streams:
                if time.monotonic() > deadline:
                    raise NotMeasured(f"{streams:,} streams were not open after {OPEN_S:.0f} s")
                time.sleep(0.1)

    def path(self, topic: str) -> str:
        """Give a channel's stream."""
        return f"/stream?channel={topic}"

    def sink(self) -> dict[str, Any]:
        """PUBLISH what flask-sse's own `publish` would."""
        return {"kind": "redis", "redis_url": self.redis.url, "wrap": True}
