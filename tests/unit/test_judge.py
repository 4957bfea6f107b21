"""The judge of the fault tests: each kind of fault is seen, and an honest transcript has none."""

import time

import pytest

from tests.crowd import EVERYTHING, Browser, Life, peak_second
from tests.judge import Judge
from tests.sse import Message
from tidings.cursor import Cursor
from tidings.entry import ERA, Entry
from tidings.topics import Filter


def entry(n: int, operation: str = "a", event_type: str = "warning") -> Entry:
    """Make the *n*-th entry of the log."""
    data = f'{{"operationId":"{operation}","operationType":"import","n":{n}}}'.encode()
    return Entry(Cursor(7, n), event_type, data, (f"operations:{operation}",))


HISTORY = [
    Entry(Cursor(7, 0), ERA),
    entry(1),
    entry(2, "b"),
    entry(3, event_type="progress"),
    entry(4, event_type="progress"),
    entry(5),
]
START = Message("heartbeat", "{}", "evt_7-0")


def say(n: int) -> Message:
    """Say the *n*-th entry as it is."""
    told = HISTORY[n]
    return Message(told.type, told.data.decode(), told.cursor.wire)


def claim(n: int) -> Message:
    """Say that everything up to the *n*-th entry was said."""
    return Message("heartbeat", "{}", f"evt_7-{n}")


def lived(*lives: list[Message], wanted: Filter = EVERYTHING, status: int = 200) -> Browser:
    """Make a browser that was told this, each time with the id that it had last."""
    browser = Browser(0, "/", wanted, 0, 0)
    cursor = ""
    for messages in lives:
        life = Life(cursor, time.monotonic(), status=status, messages=messages)
        browser.lives.append(life)
        cursor = messages[-1].last_event_id if messages else cursor
    browser.last_event_id = cursor
    return browser


HONEST = {
    "all in one life": [[START, say(1), say(2), say(3), say(4), say(5)]],
    "over a reconnect": [[START, say(1), say(2)], [claim(2), say(3), say(4), claim(4), say(5)]],
    "progress left out for newer": [[START, say(1), say(2), say(4), say(5)]],
    "a reset, and the present": [
        [START, say(1)],
        [
            Message("reset", '{"reason":"history_lost"}', "evt_7-1"),
            Message("warning", "state", "evt_7-1"),
            claim(5),
        ],
    ],
    "opened late": [[Message("warning", "state", ""), claim(4), say(5)]],
}


@pytest.mark.parametrize("lives", HONEST.values(), ids=HONEST)
def test_honest_transcripts_have_no_fault(lives: list[list[Message]]) -> None:
    """What the promises allow is allowed."""
    verdict = Judge(HISTORY).judge([lived(*lives)])
    assert verdict.faults == {}
    assert verdict.lives == len(lives)


FAULTY = {
    "lost": [[START, say(1), say(3), say(4), say(5)]],
    "doubled": [[START, say(1), say(1), say(2), say(3), say(4), say(5)]],
    "disordered": [[START, say(2), say(1), say(3), say(4), say(5)]],
    "changed": [[START, Message("warning", "else", "evt_7-1"), say(2), say(3), say(4), say(5)]],
    "unknown": [[START, say(1), say(2), say(3), say(4), say(5), Message("warning", "?", "evt_7-9")]],
    "false_claim": [[START, say(1), claim(2), say(3), say(4), say(5)]],
    "silent": [[START, say(1), say(2)]],
}


@pytest.mark.parametrize(("kind", "lives"), FAULTY.items(), ids=FAULTY)
def test_each_kind_of_fault_is_seen(kind: str, lives: list[list[Message]]) -> None:
    """Each promise that is broken is said by its name."""
    assert Judge(HISTORY).judge([lived(*lives)]).faults[kind] >= 1


@pytest.mark.parametrize("kind", ["lost", "doubled"])
def test_faults_between_two_lives_are_seen(kind: str) -> None:
    """A resume that leaves something out, or says something again, is no resume."""
    again = {"lost": [claim(2), say(4), say(5)], "doubled": [say(2), claim(2), say(3), say(4), say(5)]}[kind]
    before = [START, say(1)] if kind == "lost" else [START, say(1), say(2)]
    faults = Judge(HISTORY).judge([lived(before, again)]).faults
    assert set(faults) == {"false_claim" if kind == "lost" else kind}


def test_progress_that_is_left_out_must_be_followed_by_newer() -> None:
    """Of an operation's progress the newest is never lost."""
    wanted = Filter.of(["operations:a"], ["progress"])
    faults = Judge(HISTORY).judge([lived([START, say(3), claim(5)], wanted=wanted)]).faults
    assert set(faults) == {"lost"}


def test_filter_decides_what_is_missing() -> None:
    """A stream is not blamed for what it was not asked for, and is for what it was not."""
    wanted = Filter.of(["operations:a"], ["warning"])
    judge = Judge(HISTORY)
    assert judge.judge([lived([START, say(1), say(5)], wanted=wanted)]).faults == {}
    assert set(judge.judge([lived([START, say(1), say(2), say(5)], wanted=wanted)]).faults) == {"unwanted"}


def test_who_left_is_not_blamed_for_the_rest_but_who_was_sent_away_for_good_is() -> None:
    """A browser that was told 204 must have had everything."""
    left, refused = lived([START, say(1)]), lived([START, say(1)], status=204)
    left.done = refused.done = True
    judge = Judge(HISTORY)
    assert judge.judge([left]).faults == {}
    assert set(judge.judge([refused]).faults) == {"silent"}


def test_peak_is_the_fullest_second() -> None:
    """It is of any second, wherever it begins."""
    assert peak_second([0.9, 1.0, 1.1, 3.0, 4.9]) == 3
