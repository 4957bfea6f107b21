"""The reporter of a process that forks, over a log that the test plays."""

import threading

import pytest

from tests.unit.test_reporter import ONE, ScriptedLog, say
from tidings.errors import LogUnavailable
from tidings.record import ANY
from tidings.threadless import ThreadlessReporter

AWAY = LogUnavailable("frozen")


@pytest.fixture
def log() -> ScriptedLog:
    """A log that takes everything, unless told."""
    return ScriptedLog()


def test_what_is_put_is_stored_when_it_returns(log: ScriptedLog) -> None:
    """It needs no thread."""
    threads = threading.active_count()
    record = say()
    ThreadlessReporter(log, buffer_records=10).put([record])

    assert log.stored == [record]
    assert threading.active_count() == threads


def test_what_redis_did_not_take_goes_first_next_time(log: ScriptedLog) -> None:
    """With the numbers that it had: its reply may only have been lost."""
    reporter = ThreadlessReporter(log, buffer_records=10, pause_s=0)
    log.answers.append(AWAY)
    first, second = say(message="first"), say(message="second")
    reporter.put([first])
    assert log.stored == []
    reporter.put([second])

    assert log.stored == [first, second]
    assert [(number, records) for _, number, records in log.calls] == [
        (1, (first,)),
        (1, (first,)),
        (2, (second,)),
    ]


def test_redis_that_is_away_is_not_waited_for_each_time(log: ScriptedLog) -> None:
    """What is said within the pause only waits; the end of the process tries once more."""
    reporter = ThreadlessReporter(log, buffer_records=10, pause_s=60)
    log.answers.append(AWAY)
    for _ in range(5):
        reporter.put([say(condition=ANY)])
    assert len(log.calls) == 1

    assert reporter.close(1)
    assert len(log.stored) == 5
    assert {record.descriptor for record in log.stored} == {ONE}


def test_what_redis_never_takes_is_said(log: ScriptedLog, caplog: pytest.LogCaptureFixture) -> None:
    """A process that ends with events that nobody has says how many."""
    reporter = ThreadlessReporter(log, buffer_records=10)
    log.answers.extend([AWAY, AWAY])
    reporter.put([say(), say()])

    assert not reporter.close(1)
    assert "its last 2 events: they are lost" in caplog.text
