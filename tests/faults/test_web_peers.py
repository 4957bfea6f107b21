"""Peers that are there no more, or do not read, and never say so: cut within ten seconds, at nobody's cost.

A private network in which the route to some browsers goes away: no FIN, no RST, no ACK. And readers on a unix
socket, where the kernel's own time-out (TCP_USER_TIMEOUT) does not do our work for us.
"""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest

from dev.redis_server import RedisServer
from tests.crowd import Crowd
from tests.judge import Judge, whole_history
from tests.long_run import Figure
from tests.private_network import private_network, silenced
from tests.relay import Relay
from tests.stack import READ_S, Stack
from tests.talk import Talk
from tests.waiting import wait_until
from tidings.topics import Filter
from webapp.parking import STUCK_S

pytestmark = pytest.mark.usefixtures("many_descriptors")

STREAM: Final = "/api/events/stream"
NOWHERE: Final = "127.0.0.99"
CUT_S: Final = 10.0
"""Promised: a reader that takes nothing is cut by then (DESIGN.md, 5.6)."""
SLACK_S: Final = 10.0
"""A machine that also does other things may take so much longer."""
NOBODY: Final = Filter.of(["operations:nobody"])


@pytest.fixture
def network() -> Iterator[None]:
    """A network of the test's own."""
    with private_network():
        yield


def test_peers_that_fell_silent_are_cut(
    network: None, own_redis: RedisServer, tmp_path: Path, figure: Figure, *, chaos: bool
) -> None:
    """Half-open streams are cut, talking or quiet; nobody misses anything, once the lost have returned."""
    count = 1_000 if chaos else 50
    with (
        Stack(own_redis.url, tmp_path, worker=False, web=1, TIDINGS_HEARTBEAT_S="1") as stack,
        Talk(stack, rate=20) as talk,
        Crowd(stack.url, source=NOWHERE) as lost,
        Crowd(stack.url) as others,
    ):
        for crowd in (lost, others):
            crowd.open(count, STREAM)
            crowd.open(count, f"{STREAM}?topics=operations:nobody", NOBODY)
            wait_until(crowd.all_open, timeout_s=READ_S)
        with silenced(NOWHERE):
            silent_at = time.monotonic()
            wait_until(lambda: len(stack.connections()) == 2 * count, timeout_s=CUT_S + 1 + SLACK_S)
            took_s = time.monotonic() - silent_at
            assert all(browser.opened for browser in lost.browsers)  # they know of nothing
        lost.cut(lost.browsers)
        wait_until(lambda: all(len(browser.lives) == 2 for browser in lost.browsers), timeout_s=READ_S)
        talk.stop()
        stack.flush()
        history = whole_history(stack.log)
        for crowd in (lost, others):
            wait_until(lambda crowd=crowd: crowd.all_at(history[-1].cursor.wire), timeout_s=READ_S)  # type: ignore[misc]
            assert not Judge(history).judge(crowd.browsers).faults
        assert {len(browser.lives) for browser in others.browsers} == {1}
        figure("half-open streams cut after", f"{took_s:.1f} s")
        assert took_s < (CUT_S + 1 if chaos else CUT_S + 1 + SLACK_S)


def test_stuck_readers_are_cut_where_the_kernel_does_not(own_redis: RedisServer, tmp_path: Path) -> None:
    """On a unix socket a reader that takes nothing is cut by us, within ten seconds; who reads is not."""
    path = tmp_path / "web.sock"
    with ExitStack() as opened:
        stack = Stack(own_redis.url, tmp_path, worker=False, web=1, gunicorn=["--bind", f"unix:{path}"])
        stack.url = opened.enter_context(Relay(lambda: _connected(path))).url
        opened.enter_context(stack)
        stuck = [opened.enter_context(_parked_on(path)) for _ in range(20)]
        readers = [opened.enter_context(_parked_on(path)) for _ in range(5)]
        operation = stack.operation()
        for n in range(200):
            operation.warning(f"w{n}", "x" * 1_500)
        stack.flush()
        full_at = time.monotonic()
        said = [b""] * len(readers)

        def all_cut() -> bool:
            for n, reader in enumerate(readers):
                with suppress(TimeoutError, BlockingIOError):
                    reader.settimeout(0)
                    said[n] += reader.recv(65_536)
            return _hung_up(stuck) == len(stuck)

        wait_until(all_cut, timeout_s=CUT_S + SLACK_S)

        assert time.monotonic() - full_at > STUCK_S / 2  # not before they had their time
        assert _hung_up(readers) == 0
        assert all(body.count(b"event: warning") == 200 for body in said)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _parked_on(path: Path) -> socket.socket:
    """Open a stream over the unix socket *path*, and read its opening."""
    connection = _connected(path)
    connection.settimeout(READ_S)
    connection.sendall(f"GET {STREAM}?history=none HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    received = b""
    while b"event: heartbeat" not in received:
        received += connection.recv(4_096)
    return connection


def _hung_up(connections: list[socket.socket]) -> int:
    """Count those whose other end is closed; reads nothing."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, 0)
    return sum(bool(event & select.POLLHUP) for _, event in poll.poll(0))
