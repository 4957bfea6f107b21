"""The servers of the model: real ones, of which one is the primary, and the roads that lead to them.

What a replica would have is copied from server to server; each is a process of its own, so that a promotion,
or a restart, is a real change of the server that answers. Nothing here knows what the keys mean.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any, Final, Self

from redis import Redis

from dev.redis_server import RedisServer

SERVERS: Final = 3
"""A primary, its copy, and one more: enough for a failover to follow a failover."""


class Servers:
    """Some servers, for a whole test session; `reset` gives them to the next run, empty."""

    def __init__(self, folder: Path) -> None:
        self._all = [RedisServer(folder / f"server{n}", persist=False) for n in range(SERVERS)]
        self._roads = Path(tempfile.mkdtemp(prefix="tidings-"))
        self.clients: list[Any] = []

    def __enter__(self) -> Self:
        for server in self._all:
            server.start()
            client = Redis.from_url(server.url)
            # Trims to the entry, not to the node of a hundred: a small log shows what a large one does.
            client.config_set("stream-node-max-entries", 1)
            self.clients.append(client)
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.close()
        for server in self._all:
            server.stop()
        shutil.rmtree(self._roads, ignore_errors=True)

    def reset(self) -> None:
        """Empty all of them."""
        for client in self.clients:
            client.config_set("maxmemory", 0)
            client.flushall()

    def copy(self, source: int, to: int) -> None:
        """Give *to* what *source* has, and nothing else."""
        keys = self.clients[source].keys("*")
        with self.clients[source].pipeline() as pipe:
            for key in keys:
                pipe.dump(key)
                pipe.pttl(key)
            found = pipe.execute()
        with self.clients[to].pipeline() as pipe:
            pipe.flushall()
            for key, value, ttl in zip(keys, found[::2], found[1::2], strict=True):
                pipe.restore(key, max(ttl, 0), value)
            pipe.execute()

    def run_id(self, server: int) -> str:
        """Give the id of a server's process."""
        run_id: str = self.clients[server].info("server")["run_id"]
        return run_id

    def road(self, name: str) -> Path:
        """Give the place of a socket that `lead` has lead to one of the servers."""
        return self._roads / f"{name}.sock"

    def lead(self, name: str, server: int | None) -> None:
        """Have a road lead to *server*, or to nowhere, for connections that are made from now on."""
        nowhere = self._roads / "nowhere"
        target = nowhere if server is None else Path(self._all[server].url.removeprefix("unix://"))
        new = self._roads / f"{name}.new"
        new.symlink_to(target)
        new.replace(self.road(name))
