"""Set-up: a primary, its replica, and a Sentinel that makes the replica primary when the primary is gone.

Takes a folder, gives a REDIS_URL that names the Sentinel. For tests, and for whoever wants to see a failover:
nothing here is for production, where three Sentinels stand on three machines.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Self

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from dev.port import free_port
from dev.redis_server import RedisServer

DOWN_AFTER_MS: Final = 1_000
"""How long a primary is silent before it counts as gone: the least that a busy machine bears. Guessed."""


class SentinelServer(RedisServer):
    """One Sentinel that watches the primary at *primary_port* alone: what it says goes (quorum 1)."""

    def __init__(self, folder: Path, *, port: int, master: str, primary_port: int) -> None:
        super().__init__(folder, port=port)
        self._lines = (
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"sentinel monitor {master} 127.0.0.1 {primary_port} 1",
            f"sentinel down-after-milliseconds {master} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {master} {5 * DOWN_AFTER_MS}",
        )

    def _options(self) -> list[str]:
        # A Sentinel keeps what it finds out in its configuration, so that is a file of its own.
        configuration = self.folder / "sentinel.conf"
        configuration.write_text("\n".join((*self._lines, "")), encoding="utf-8")
        return [str(configuration), "--sentinel"]


class ReplicatedRedis:
    """Owns the three servers, from entering its block to leaving it. *options* go to both data servers."""

    def __init__(
        self, folder: Path, *, master: str = "mymaster", options: Mapping[str, str] | None = None
    ) -> None:
        ports = [free_port() for _ in range(3)]
        shared = {"--repl-diskless-sync-delay": "0", **(options or {})}
        self.primary = RedisServer(folder / "primary", port=ports[0], options=shared)
        follows = {"--replicaof": f"127.0.0.1 {ports[0]}"}
        self.replica = RedisServer(folder / "replica", port=ports[1], options=shared | follows)
        self.sentinel = SentinelServer(
            folder / "sentinel", port=ports[2], master=master, primary_port=ports[0]
        )
        self.url = f"sentinel://127.0.0.1:{ports[2]}/0?master_name={master}"
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for server in (self.primary, self.replica, self.sentinel):
                starting.enter_context(server)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def is_ready(self) -> bool:
        """Whether the replica has what the primary has, and the Sentinel knows of it. Asks all three."""
        with Redis.from_url(self.replica.url) as replica, Redis.from_url(self.sentinel.url) as sentinel:
            if replica.info("replication")["master_link_status"] != "up":
                return False
            masters = sentinel.sentinel_masters()
            return all(master["num-slaves"] == 1 for master in masters.values())

    @property
    def is_promoted(self) -> bool:
        """Whether the replica has become the primary. It closes its connections when it does."""
        with Redis.from_url(self.replica.url) as replica, suppress(RedisConnectionError):
            return bool(replica.info("replication")["role"] == "master")
        return False
