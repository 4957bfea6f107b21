"""The writer on a real server: one record, its outcome known, stored once whatever becomes of the reply."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.redis_server import RedisServer
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.events import QUEUED, Status
from tidings.log import Log, Outcome
from tidings.record import NEW, Record
from tidings.settings import Settings
from tidings.writer import Writer


class LosesReplies(Log):
    """A log whose next ``losing`` appends are carried out, and not answered."""

    losing = 0

    def append(self, reporter: str, first: int, records: Sequence[Record], beat: str = "") -> list[Outcome]:
        """Append, and lose the answer while there are answers to lose."""
        outcomes = super().append(reporter, first, records, beat)
        if self.losing:
            self.losing -= 1
            raise LogUnavailable("the reply was lost")
        return outcomes


def announced(operation_id: str) -> Record:
    """Make the record with which a dispatcher announces an operation."""
    return Record.of(Descriptor.of(operation_id, "batch"), Status, condition=NEW, status=QUEUED)


def test_the_outcome_is_known_when_it_returns(log: Log) -> None:
    """What was stored has its place, and what was refused its reason."""
    writer = Writer(log)
    first = writer.append(announced("op"))
    assert (first.code, first.cursor) == ("stored", log.hello().position)
    assert writer.append(announced("op")).code == "late"


def test_a_reply_that_is_lost_is_asked_for_once_more(settings: Settings) -> None:
    """The record is stored once, and the repeat says that it was seen."""
    log = LosesReplies(settings)
    log.losing = 1
    assert Writer(log).append(announced("op")).code == "dup"
    assert log.hello().position.n == 1


def test_a_second_lost_reply_is_told(settings: Settings) -> None:
    """It does not try for long; what was stored all the same is stored once."""
    log = LosesReplies(settings)
    log.losing = 2
    writer = Writer(log)
    with pytest.raises(LogUnavailable):
        writer.append(announced("op"))
    assert log.hello().position.n == 1
    assert writer.append(announced("other")).code == "stored"


def test_a_server_that_is_away_is_told(own_redis: RedisServer) -> None:
    """Nothing is buffered: the caller knows that it cannot go on."""
    log = Log(Settings(redis_url=own_redis.url))
    log.hello()
    own_redis.kill()
    with pytest.raises(LogUnavailable):
        Writer(log).append(announced("op"))


def test_a_record_that_cannot_be_stored_is_told(log: Log) -> None:
    """An error of the script is the caller's to hear."""
    log.redis.set(log.key("op:op"), "foreign")
    with pytest.raises(LogUnavailable, match="WRONGTYPE"):
        Writer(log).append(announced("op"))


def test_a_writer_goes_on_after_a_record_that_could_not_be_stored(log: Log) -> None:
    """What failed leaves no hole that would swallow the next record."""
    writer = Writer(log)
    log.redis.set(log.key("op:op"), "foreign")
    with pytest.raises(LogUnavailable):
        writer.append(announced("op"))
    assert writer.append(announced("other")).code == "stored"


def test_many_threads_write_through_one_writer(log: Log) -> None:
    """They take turns: every record is stored once, under a number of its own."""
    writer = Writer(log)
    at_once = threading.Barrier(8)

    def write(n: int) -> str:
        at_once.wait(10)
        return writer.append(announced(f"op{n}")).code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, range(8))) == ["stored"] * 8
    entries = log.read(Cursor(0, 0))
    assert {entry.operation_id for entry in entries if entry.cursor.n} == {f"op{n}" for n in range(8)}
