"""The reporter on a real server that goes away, forgets, or answers into a cut cable."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from dev.port import free_port
from dev.redis_server import RedisServer
from tests.listener import Listener
from tests.waiting import wait_until
from tidings.cursor import Cursor
from tidings.log import Log
from tidings.operation import Operation
from tidings.reporter import Reporter
from tidings.settings import Settings

OUTAGE_S = 30.0


def said(log: Log, operation_id: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Read all that the log has, of one operation or of all."""
    entries, after = [], Cursor(0, 0)
    while page := log.read(after):
        entries += page
        after = page[-1].cursor
    return [
        (entry.type, json.loads(entry.data))
        for entry in entries
        if entry.cursor.n and operation_id in {"", entry.operation_id}
    ]


def codes(log: Log, operation_id: str = "") -> list[str]:
    """List the codes of the warnings in the log."""
    return [event["code"] for event_type, event in said(log, operation_id) if event_type == "warning"]


@pytest.fixture
def own_log(own_redis: RedisServer) -> Iterator[Log]:
    """A log on a server of the test's own."""
    log = Log(Settings(redis_url=own_redis.url))
    yield log
    log.close()


@pytest.fixture
def own_reporter(own_log: Log) -> Iterator[Reporter]:
    """A reporter into that log."""
    reporter = Reporter(own_log, buffer_records=1_000, interval_s=0.1)
    yield reporter
    reporter.flush(1)


def test_an_operation_arrives_as_it_was_told(log: Log, reporter: Reporter) -> None:
    """Status, progress, warning and end are in the log in their order, the last progress included."""
    with Operation("batch", "op", reporter=reporter, strict=False) as op:
        op.progress(1, 2)
        op.warning("c", "m")
        op.status("phase")
        op.progress(2, 2)
    assert reporter.flush(5)
    types = [event_type for event_type, _ in said(log)]
    assert [event_type for event_type in types if event_type != "progress"] == [
        "status", "warning", "status", "status", "complete",
    ]  # fmt: skip
    assert types[-3:] == ["progress", "status", "complete"]
    assert [event.get("previousStatus") for event_type, event in said(log) if event_type == "status"] == [
        None,
        "running",
        "phase",
    ]


def test_what_is_said_in_an_outage_arrives_in_order_and_once(
    own_redis: RedisServer, own_log: Log, own_reporter: Reporter
) -> None:
    """Every durable event is kept while Redis is away, and of each operation's progress the newest."""
    ops = [Operation("batch", name, reporter=own_reporter, strict=False).start() for name in ("a", "b")]
    assert own_reporter.flush(5)
    own_redis.kill()
    for n in range(300):
        for op in ops:
            op.progress(n, 300)
            if n % 10 == 0:
                op.warning(f"w{n}", "m")
    assert not own_reporter.flush(0.2)
    for op in ops:
        op.complete()
    own_redis.start()
    assert own_reporter.flush(OUTAGE_S)
    for op in ops:
        mine = said(own_log, op.id)
        assert codes(own_log, op.id) == [f"w{n}" for n in range(0, 300, 10)]
        assert [event_type for event_type, _ in mine][-3:] == ["progress", "status", "complete"]
        counts = [event["current"] for event_type, event in mine if event_type == "progress"]
        assert counts == sorted(counts)
        assert counts[-1] == 299
        assert len(counts) < 10


def test_a_frozen_server_delays_and_doubles_nothing(
    own_redis: RedisServer, own_log: Log, own_reporter: Reporter
) -> None:
    """An append that times out, and is carried out when the server thaws, is stored once."""
    op = Operation("batch", "op", reporter=own_reporter, strict=False).start()
    assert own_reporter.flush(5)
    own_redis.freeze()
    for n in range(20):
        op.warning(f"w{n}", "m")
    assert not own_reporter.flush(3.5)  # longer than the reporter's patience with one append
    own_redis.thaw()
    assert own_reporter.flush(OUTAGE_S)
    assert codes(own_log) == [f"w{n}" for n in range(20)]


def test_an_operation_that_was_flushed_away_is_announced_again(own_log: Log, own_reporter: Reporter) -> None:
    """After FLUSHALL the next report of a living run brings the operation back, and its end arrives (C11)."""
    op = Operation("batch", "op", name="Named", owner="me", reporter=own_reporter, strict=False).start()
    op.warning("before", "m")
    assert own_reporter.flush(5)
    own_log.redis.flushall()
    op.warning("after", "m")
    op.complete({"n": 1})
    assert own_reporter.flush(5)
    assert [event_type for event_type, _ in said(own_log)] == ["status", "warning", "status", "complete"]
    state = own_log.operation("op")
    assert state is not None
    assert (state.status, state.descriptor) == ("succeeded", op.descriptor)


def test_an_operation_that_ended_before_a_flush_stays_away(own_log: Log, own_reporter: Reporter) -> None:
    """What is said after the end does not bring a forgotten operation back as a running one."""
    op = Operation("batch", "op", reporter=own_reporter, strict=False).start()
    assert own_reporter.flush(5)
    op.progress(1)
    op.progress(2)
    op.complete()
    assert own_reporter.flush(5)
    own_log.redis.flushall()
    op.progress(3)
    op.warning("c", "m")
    assert own_reporter.flush(5)
    assert said(own_log) == []


def test_a_restarted_server_goes_on_where_it_was(
    own_redis: RedisServer, own_log: Log, own_reporter: Reporter
) -> None:
    """With its data kept the operation is still known, so it is not announced again."""
    op = Operation("batch", "op", reporter=own_reporter, strict=False).start()
    assert own_reporter.flush(5)
    own_redis.stop()
    own_redis.start()
    op.complete()
    assert own_reporter.flush(OUTAGE_S)
    assert [event_type for event_type, _ in said(own_log)] == ["status", "status", "complete"]


def test_a_full_server_delays_and_loses_nothing(own_log: Log, own_reporter: Reporter) -> None:
    """While Redis takes no writes events wait, and they arrive in order when it does again."""
    op = Operation("batch", "op", reporter=own_reporter, strict=False).start()
    assert own_reporter.flush(5)
    own_log.redis.config_set("maxmemory", 1)
    for n in range(100):
        op.warning(f"w{n}", "m")
    assert not own_reporter.flush(0.3)
    own_log.redis.config_set("maxmemory", 0)
    op.complete()
    assert own_reporter.flush(OUTAGE_S)
    assert codes(own_log) == [f"w{n}" for n in range(100)]


def test_a_million_reports_end_with_the_last(log: Log, reporter: Reporter) -> None:
    """However often progress is said, the newest value arrives, and the log is not flooded."""
    with Operation("batch", "op", reporter=reporter, strict=False) as op:
        for n in range(1_000_000):
            op.progress(n, 1_000_000)
    assert reporter.flush(10)
    counts = [event["current"] for event_type, event in said(log) if event_type == "progress"]
    assert counts[-1] == 999_999
    assert counts == sorted(set(counts))
    assert len(counts) < 1_000


class CableCutter(Listener):
    """A TCP proxy before a server that, when told to, loses the replies to appends; ends with its ``with``.

    ``losing`` is how many more replies it takes and cuts the connection instead.
    """

    def __init__(self, server_port: int) -> None:
        super().__init__()
        self._server = ("127.0.0.1", server_port)
        self.losing = 0
        self.lost = 0

    def serve(self, client: socket.socket) -> None:
        """Carry requests and their replies; the client waits for each reply before it asks again."""
        with client, socket.create_connection(self._server) as server:
            while request := client.recv(1 << 20):
                server.sendall(request)
                reply = server.recv(1 << 20)
                if b"EVALSHA" in request and self.losing:
                    self.losing -= 1
                    self.lost += 1
                    return
                client.sendall(reply)


@pytest.mark.parametrize("losing", [1, 3])
def test_an_append_whose_reply_is_lost_is_stored_once(tmp_path: Path, losing: int) -> None:
    """The same batch with the same numbers is sent again, and the log knows that it has it."""
    port = free_port()
    with RedisServer(tmp_path / "redis", port=port) as server, CableCutter(port) as cable:
        log = Log(Settings(redis_url=f"redis://127.0.0.1:{cable.port}/0"))
        reporter = Reporter(log, buffer_records=1_000, interval_s=0.1)
        op = Operation("batch", "op", reporter=reporter, strict=False).start()
        assert reporter.flush(5)
        cable.losing = losing
        for n in range(5):
            op.warning(f"w{n}", "m")
        op.complete()
        assert reporter.flush(OUTAGE_S)
        wait_until(lambda: cable.lost == losing, timeout_s=5)
        directly = Log(Settings(redis_url=server.url))
        assert codes(directly) == [f"w{n}" for n in range(5)]
        assert [event_type for event_type, _ in said(directly)][-2:] == ["status", "complete"]
        log.close()
        directly.close()


ENDING: Final = """
import os, sys
from tidings import Operation
operation = Operation("batch", "op").start()
if os.fork() == 0:
    sys.exit(0)  # a child has nothing of its parent's to lose
os.wait()
for n in range(3):
    operation.warning("c", "m")
"""
"""A process that ends while what it has said is still waiting for Redis."""


def test_a_process_that_ends_in_an_outage_says_how_much_is_lost(own_redis: RedisServer) -> None:
    """Loudly, with the number, within some seconds; its forked child says nothing."""
    own_redis.kill()
    environ = os.environ | {"REDIS_URL": own_redis.url}
    ended = subprocess.run(
        [sys.executable, "-c", ENDING],
        env=environ,
        capture_output=True,
        text=True,
        timeout=OUTAGE_S,
        check=True,
    )
    lines = [line for line in ended.stderr.splitlines() if "lost" in line]
    assert lines == ["this process ends before Redis has taken its last 4 events: they are lost"]
