"""The embedded server: one real server per test, in a folder of its own."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from dev.errors import ServerStartError, SetUpError
from dev.redis_server import RedisServer, find_server
from tests.waiting import wait_until

OWNER = """
import sys
from pathlib import Path
from dev.redis_server import RedisServer
server = RedisServer(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""
"""A process that owns a server and then waits for as long as it may."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a running server that keeps its data."""
    with RedisServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def port() -> int:
    """Give a TCP port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def write(server: RedisServer, value: bytes) -> None:
    """Write *value* where :func:`read` finds it."""
    with Redis.from_url(server.url) as client:
        client.set("key", value)


def read(server: RedisServer) -> object:
    """Return what :func:`write` wrote, None if the server does not have it."""
    with Redis.from_url(server.url) as client:
        return client.get("key")


def socket_folder(server: RedisServer) -> Path:
    """Return the folder of the server's socket."""
    return Path(server.url.removeprefix("unix://")).parent


def exists(pid: int) -> bool:
    """Tell whether there is a process *pid* that still runs."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def test_answers_once_started(server: RedisServer) -> None:
    """A server that was started answers at its URL at once."""
    write(server, b"value")

    assert read(server) == b"value"


def test_refuses_to_evict(server: RedisServer) -> None:
    """A full server refuses writes instead of dropping entries of the log."""
    with Redis.from_url(server.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_only_its_user_can_reach_it(server: RedisServer) -> None:
    """The socket lies in a folder that other users cannot enter."""
    assert stat.S_IMODE(socket_folder(server).stat().st_mode) == 0o700


def test_starts_in_a_deep_folder_with_spaces(tmp_path: Path) -> None:
    """A data folder may lie deeper than a unix socket's path may be long, and have spaces in its name."""
    with RedisServer(tmp_path / ("a long name " * 10) / "data") as server:
        write(server, b"value")

        assert read(server) == b"value"


def test_keeps_its_url_and_data_over_a_crash(server: RedisServer) -> None:
    """After SIGKILL and a start, clients find the same data at the same URL."""
    url = server.url
    write(server, b"kept")

    server.kill()
    server.start()

    assert server.url == url
    assert read(server) == b"kept"


def test_keeps_its_url_and_data_over_a_stop(server: RedisServer) -> None:
    """After an orderly stop and a start, clients find the same data at the same URL."""
    url = server.url
    write(server, b"kept")

    server.stop()
    server.start()

    assert server.url == url
    assert read(server) == b"kept"


def test_forgets_without_persistence(tmp_path: Path) -> None:
    """A server that is not to persist starts empty, and writes nothing but its log."""
    with RedisServer(tmp_path, persist=False) as server:
        write(server, b"lost")
        server.stop()
        server.start()

        assert read(server) is None
    assert [path.name for path in tmp_path.iterdir()] == ["server.log"]


def test_frozen_server_is_silent_until_thawed(server: RedisServer) -> None:
    """A frozen server accepts connections and answers nothing; thawed, it goes on with its data."""
    write(server, b"value")

    server.freeze()
    with Redis.from_url(server.url, socket_timeout=0.2) as client, pytest.raises(RedisTimeoutError):
        client.get("key")
    server.thaw()

    assert read(server) == b"value"


def test_stop_leaves_nothing(server: RedisServer) -> None:
    """A stop, even of a frozen server, leaves neither the process nor its socket's folder."""
    folder, pid = socket_folder(server), server.pid

    server.freeze()
    server.stop()

    assert not server.alive
    assert not exists(pid)
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_dies_with_its_owner(tmp_path: Path) -> None:
    """A server whose owner is killed by SIGKILL is gone too."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert exists(pid)

        os.kill(owner.pid, signal.SIGKILL)

        wait_until(lambda: not exists(pid), timeout_s=5)


def test_listens_on_loopback_only_when_given_a_port(tmp_path: Path, port: int) -> None:
    """A TCP port, if asked for, is in the URL and open on 127.0.0.1 alone."""
    with RedisServer(tmp_path, port=port) as server, Redis.from_url(server.url) as client:
        assert server.url == f"redis://127.0.0.1:{port}/0"
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_busy_port_is_an_error_with_the_servers_own_words(tmp_path: Path, port: int) -> None:
    """A server that cannot start says so with its last log lines, and leaves no process."""
    server = RedisServer(tmp_path, port=port)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServerStartError) as caught:
        server.start()

    assert "Address already in use" in str(caught.value)
    assert not server.alive


def test_never_takes_another_server_for_its_own(tmp_path: Path, port: int) -> None:
    """Somebody else's server on the wanted port is not mistaken for the one that could not start."""
    with RedisServer(tmp_path / "theirs", port=port), pytest.raises(ServerStartError):
        RedisServer(tmp_path / "ours", port=port).start()


def test_named_server_that_cannot_run_is_an_error() -> None:
    """A wrong TIDINGS_REDIS_SERVER is named, not passed over for another server."""
    with pytest.raises(SetUpError, match="TIDINGS_REDIS_SERVER=/no/such/server"):
        find_server({"TIDINGS_REDIS_SERVER": "/no/such/server"})
