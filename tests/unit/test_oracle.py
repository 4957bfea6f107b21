"""The oracle itself: for each of its rules a run that breaks it, and one beside it that does not."""

import json
from typing import Any

import pytest

from tests.history import History, Place, Stored
from tests.oracle import Report, Rule, judge, judge_history
from tests.transcript import Connection, Frame, Request

FIRST, SECOND, OTHER = 100, 200, 300
"""Two lives of one log, and one of a log that continues neither."""
OWN = Request(topics=("operations:a",), own="a")


def data(operation: str, n: int, *, terminal: bool = False) -> str:
    """Write the JSON of the *n*-th event."""
    said = {"operationId": operation, "operationType": "batch", "n": n}
    return json.dumps(said | ({"terminal": True} if terminal else {}))


def stored(n: int, event_type: str, operation: str = "a", *, era: int = FIRST, **author: Any) -> Stored:
    """Make the *n*-th event of a life."""
    topics = (f"operations:{operation}", "workflows:w")
    said = data(operation, n, terminal=event_type == "error")
    return Stored.of(Place(era, n), event_type, said, topics, **author)


def history(*events: Stored) -> History:
    """Make the history of a log whose first life is status, progress, warning of b, progress, complete.

    Its second life continues the first and has a status of c; the third one begins anew, with a status of a.
    """
    made = History()
    made.open_life(FIRST, None)
    types = ["status", "progress", "warning", "progress", "complete"]
    for n, event_type in enumerate(types, start=1):
        made.store(stored(n, event_type, "b" if n == 3 else "a"))
    made.open_life(SECOND, Place(FIRST, 5))
    made.store(stored(1, "status", "c", era=SECOND))
    made.open_life(OTHER, None)
    made.store(stored(1, "status", era=OTHER))
    for event in events:
        made.store(event)
    return made


def at(n: int, era: int = FIRST) -> str:
    """Give an id."""
    return Place(era, n).wire


def event(n: int, era: int = FIRST) -> Frame:
    """Give the frame of an event of the history."""
    found = history().at(Place(era, n))
    assert found is not None
    return Frame(found.type, found.data, found.place.wire)


def beat(n: int, era: int = FIRST) -> Frame:
    """Give a heartbeat."""
    return Frame("heartbeat", "{}", at(n, era))


def state(n: int, era: int = FIRST) -> Frame:
    """Give the state frame that shows an event."""
    return Frame(event(n, era).event, event(n, era).data)


def reset(asked: str, reason: str = "history_lost", frame_id: str = "") -> Frame:
    """Give a reset."""
    return Frame("reset", json.dumps({"reason": reason, "requestedId": asked}), frame_id)


def after(n: int, era: int = FIRST, topics: tuple[str, ...] = ("*",)) -> Request:
    """Ask for a resume."""
    return Request(topics=topics, cursor=at(n, era))


Facts = dict[str, Any]
SLOW: Facts = {"slow": True}
EXACT: Facts = {"exact": True}
NEW = Request()
ALL = Request(history="all")
NONE = Request(history="none")
AT_5 = [state(1), state(3), state(4), state(5)]
"""What a client of everything is shown at the end of the first life."""

KEPT: dict[str, tuple[Request, list[Frame], Facts]] = {
    "a resume that has all": (after(1), [event(2), event(3), event(4), beat(4), event(5)], {}),
    "a resume of one topic": (after(1, topics=("operations:a",)), [event(2), event(4), beat(4)], {}),
    "a resume of a family": (after(2, topics=("operations:*",)), [event(3), event(4), beat(4)], {}),
    "a resume of some types": (Request(cursor=at(1), types=frozenset({"warning"})), [event(3), beat(5)], {}),
    "a resume of another kind": (Request(cursor=at(1), kinds=frozenset({"agent"})), [beat(5)], {}),
    "a resume over the end of a life": (after(4), [event(5), event(1, SECOND), beat(1, SECOND)], {}),
    "an exact resume that is quiet": (after(5), [beat(5), beat(0, SECOND)], EXACT),
    "a reset and the state": (after(9), [reset(at(9)), *AT_5, beat(5)], {}),
    "a reset for another history": (after(5), [reset(at(5)), state(1, OTHER), beat(1, OTHER)], {}),
    "a reset for a malformed id": (Request(cursor="x"), [reset("x", "unknown_cursor"), *AT_5, beat(5)], {}),
    "a state and what follows it": (NEW, [state(1), state(2), state(3), beat(3), event(4)], {}),
    "nothing but what follows": (NONE, [beat(3), event(4)], {}),
    "everything": (ALL, [event(1), event(2), event(3), event(4), event(5), beat(5)], {}),
    "what is left of everything": (ALL, [reset(""), *AT_5, event(2), event(5), beat(5)], {}),
    "conflated progress": (after(1), [event(3), event(4), beat(4)], SLOW),
    "conflated progress that is still to come": (after(1), [event(3)], SLOW),
    "a stream that came to rest": (after(3), [beat(3), event(4), event(5)], {"head": Place(FIRST, 5)}),
    "a quiet stream that came to rest": (
        after(4, topics=("operations:b",)),
        [beat(4)],
        {"head": Place(SECOND, 1)},
    ),
    "an operation that ended": (OWN, [state(1), state(2), beat(3), event(4), event(5)], {"finished": True}),
    "an operation that was over": (OWN, [state(1), state(4), state(5), beat(5)], {"finished": True}),
    "no content": (Request(("operations:a",), cursor=at(5), own="a"), [], {"status": 204}),
    "nothing by that name": (OWN, [], {"status": 404}),
    "sent away": (after(1), [], {}),
}

BROKEN: dict[str, tuple[Rule, Request, list[Frame], Facts]] = {
    "an id of nobody": (Rule.UNKNOWN_ID, after(1), [beat(9)], {}),
    "an id that is none": (Rule.UNKNOWN_ID, after(1), [Frame("heartbeat", "{}", "x")], {}),
    "a heartbeat without id": (Rule.UNKNOWN_ID, NEW, [Frame("heartbeat", "{}")], {}),
    "another event's id": (Rule.ALTERED, after(1), [Frame("progress", data("a", 3), at(2))], {}),
    "another type": (Rule.ALTERED, after(1), [Frame("warning", data("a", 2), at(2))], {}),
    "another topic": (Rule.NOT_ASKED_FOR, after(2, topics=("operations:a",)), [event(3)], {}),
    "another family": (Rule.NOT_ASKED_FOR, after(2, topics=("agents:*",)), [event(3)], {}),
    "another type than asked for": (
        Rule.NOT_ASKED_FOR,
        Request(cursor=at(1), types=frozenset({"status"})),
        [event(2)],
        {},
    ),
    "another kind": (Rule.NOT_ASKED_FOR, Request(cursor=at(1), kinds=frozenset({"x"})), [event(2)], {}),
    "an event again": (Rule.TWICE, after(1), [event(2), event(2)], {}),
    "an event that the cursor has": (Rule.TWICE, after(2), [event(2)], {}),
    "events in the wrong order": (Rule.TWICE, after(2), [event(4), event(3)], SLOW),
    "a heartbeat before the cursor": (Rule.BACKWARDS, after(3), [beat(2)], {}),
    "a heartbeat before an event": (Rule.BACKWARDS, after(3), [event(4), beat(3)], {}),
    "a hole before an event": (Rule.MISSING, after(1), [event(3)], {}),
    "a hole at a life's end": (Rule.MISSING, after(4), [event(1, SECOND)], {}),
    "a hole in everything": (Rule.MISSING, ALL, [event(2)], {}),
    "a hole for a slow reader": (Rule.MISSING, after(2), [event(4)], SLOW),
    "a hole under a heartbeat": (Rule.CLAIMED, after(1), [event(2), beat(3)], {}),
    "a hole under the first heartbeat": (Rule.CLAIMED, after(4), [beat(5)], {}),
    "a heartbeat over conflated progress": (Rule.CLAIMED, after(1), [event(3), beat(3)], SLOW),
    "another history": (Rule.ANOTHER_HISTORY, after(5), [beat(1, OTHER)], {}),
    "another history in the middle": (Rule.ANOTHER_HISTORY, after(5), [beat(5), event(1, OTHER)], {}),
    "a cursor of no history": (Rule.ANOTHER_HISTORY, after(9), [beat(5)], {}),
    "a malformed cursor": (Rule.ANOTHER_HISTORY, Request(cursor="x"), [beat(5)], {}),
    "progress conflated away": (Rule.PROGRESS_LOST, after(3), [event(5)], SLOW),
    "a stream left behind": (Rule.STALLED, after(3), [event(4)], {"head": Place(FIRST, 5)}),
    "a stream left in a history that is gone": (Rule.STALLED, after(3), [beat(3)], {"head": Place(OTHER, 1)}),
    "a stream that never began": (Rule.STALLED, after(3), [], {"head": Place(FIRST, 5)}),
    "two resets": (Rule.RESET_TWICE, after(9), [reset(at(9)), reset(at(9)), *AT_5, beat(5)], {}),
    "a reset behind the state": (Rule.RESET_LATE, after(9), [*AT_5, reset(at(9)), beat(5)], {}),
    "a reset behind an event": (Rule.RESET_LATE, after(4), [event(5), reset(at(4), frame_id=at(5))], {}),
    "a reset with an id": (Rule.RESET_WITH_ID, after(9), [reset(at(9), frame_id=at(5)), beat(5)], {}),
    "a needless reset": (Rule.RESET_NEEDLESS, after(5), [reset(at(5)), *AT_5, beat(5)], EXACT),
    "a reset for another id": (Rule.RESET_WRONG, after(9), [reset(at(8)), *AT_5, beat(5)], {}),
    "a reset for the wrong reason": (Rule.RESET_WRONG, Request(cursor="x"), [reset("x"), *AT_5, beat(5)], {}),
    "a state in a resume": (Rule.STATE_NOT_ASKED_FOR, after(5), [state(5), beat(5)], {}),
    "a state in history=none": (Rule.STATE_NOT_ASKED_FOR, NONE, [state(1), beat(1)], {}),
    "a state of another topic": (
        Rule.STATE_NOT_ASKED_FOR,
        Request(("operations:b",)),
        [state(1), state(3), beat(3)],
        {},
    ),
    "a state that is old": (Rule.STATE_WRONG, NEW, [state(1), state(2), state(3), beat(4)], {}),
    "a state of the future": (Rule.STATE_WRONG, NEW, [state(1), state(3), state(4), beat(3)], {}),
    "a state of another history": (Rule.STATE_NOT_ASKED_FOR, NEW, [state(1), state(2), beat(1, OTHER)], {}),
    "a state too few": (Rule.STATE_MISSING, NEW, [state(1), state(3), beat(3)], {}),
    "a reset without the state": (Rule.STATE_MISSING, after(9), [reset(at(9)), beat(5)], {}),
    "what is left without the state": (Rule.STATE_MISSING, ALL, [reset(""), event(2), event(5), beat(5)], {}),
    "an opening without a position": (Rule.NO_POSITION, NEW, [state(1), event(2)], {}),
    "an end that was not said": (Rule.ENDED_EARLY, OWN, [state(1), beat(1), event(2)], {"finished": True}),
    "no content too early": (
        Rule.OVER_WRONG,
        Request(("operations:a",), cursor=at(4), own="a"),
        [],
        {"status": 204},
    ),
    "no content in another history": (
        Rule.OVER_WRONG,
        Request(("operations:a",), cursor=at(1, OTHER), own="a"),
        [],
        {"status": 204},
    ),
    "content after all": (
        Rule.OVER_MISSED,
        Request(("operations:a",), cursor=at(5), own="a"),
        [beat(5)],
        EXACT,
    ),
    "a cursor refused": (
        Rule.REFUSED,
        Request(("operations:a",), cursor=at(5), own="a"),
        [],
        {"status": 404},
    ),
}


def rules(judged: History, request: Request, frames: list[Frame], facts: Facts) -> set[Rule]:
    """Give the rules that one connection breaks."""
    connection = Connection(request, frames=frames, **facts)
    return {violation.rule for violation in judge(judged, [connection])}


@pytest.mark.parametrize(("request_", "frames", "facts"), KEPT.values(), ids=KEPT)
def test_a_run_that_keeps_every_promise_is_not_blamed(
    request_: Request, frames: list[Frame], facts: Facts
) -> None:
    """What is right has no violation."""
    assert rules(history(), request_, frames, facts) == set()


@pytest.mark.parametrize(("rule", "request_", "frames", "facts"), BROKEN.values(), ids=BROKEN)
def test_a_broken_promise_is_named(rule: Rule, request_: Request, frames: list[Frame], facts: Facts) -> None:
    """What is wrong is said by the name of its rule."""
    assert rule in rules(history(), request_, frames, facts)


def test_an_event_behind_its_operations_end_is_named() -> None:
    """A terminal event is the last that a stream has of its operation."""
    late = stored(2, "warning", era=SECOND)
    frames = [event(5), event(1, SECOND), Frame(late.type, late.data, late.place.wire)]
    assert rules(history(late), after(4), frames, {}) == {Rule.BEHIND_THE_END, Rule.AFTER_THE_END}


def test_an_event_behind_its_operations_end_is_right_once_the_operation_was_forgotten() -> None:
    """An operation that a server forgot may begin anew."""
    late = stored(2, "warning", era=SECOND)
    judged = history(late)
    judged.forget("a", Place(SECOND, 1))
    frames = [event(5), event(1, SECOND), Frame(late.type, late.data, late.place.wire)]
    assert rules(judged, after(4), frames, {}) == set()


def test_a_forgotten_state_need_not_be_shown() -> None:
    """What a server forgot it cannot show; what it shows must be right all the same."""
    judged = history()
    judged.forget("a", Place(FIRST, 4))
    assert rules(judged, NEW, [state(3), beat(4)], {}) == set()
    assert rules(judged, NEW, [state(2), state(3), beat(4)], {}) == {Rule.STATE_WRONG}


def test_a_state_that_was_remembered_over_another_history_is_asked_for() -> None:
    """Operations may outlive the log; then their states are shown though no event leads to them."""
    judged = history()
    judged.open_life(400, None, remembers=Place(FIRST, 3))
    assert rules(judged, NEW, [state(1), state(2), state(3), beat(0, 400)], {}) == set()
    assert rules(judged, NEW, [beat(0, 400)], {}) == {Rule.STATE_MISSING}
    assert rules(judged, NEW, [state(1), state(4), state(3), beat(0, 400)], {}) == {Rule.STATE_WRONG}


def test_events_that_are_remembered_over_another_history_are_part_of_everything() -> None:
    """A topic may outlive the log; its older events lead to its newer ones there."""
    judged = history()
    judged.open_life(400, None, remembers=Place(FIRST, 2))
    assert rules(judged, ALL, [event(1), event(2), beat(0, 400)], {}) == set()
    assert rules(judged, ALL, [event(1), beat(0, 400)], {}) == {Rule.CLAIMED}


def test_what_was_forgotten_is_no_part_of_everything() -> None:
    """Nobody can know that the beginning is missing of what was forgotten as a whole."""
    judged = history()
    judged.forget("a", Place(FIRST, 2))
    judged.forget("w", Place(FIRST, 2))
    assert rules(judged, ALL, [event(3), event(4), beat(4)], {}) == set()
    assert rules(judged, ALL, [event(4), beat(4)], {}) == {Rule.MISSING}


def test_an_id_that_was_used_twice_is_named() -> None:
    """Two servers that go on from one place under the same ids fork a history, and no client can tell."""
    judged = history(stored(5, "warning"))
    assert [violation.rule for violation in judge_history(judged)] == [Rule.ID_USED_TWICE]
    assert list(judge_history(history(stored(5, "complete")))) == []


SAID: dict[str, tuple[list[Rule], list[Stored]]] = {
    "in order": ([], [stored(2, "status", "d", serial=1), stored(3, "status", "d", serial=2)]),
    "twice": (
        [Rule.STORED_TWICE],
        [stored(2, "status", "d", serial=1), stored(3, "status", "d", serial=1)],
    ),
    "in the wrong order": (
        [Rule.STORED_OUT_OF_ORDER],
        [stored(2, "status", "d", serial=2), stored(3, "status", "d", serial=1)],
    ),
    "of two operations": ([], [stored(2, "status", "d", serial=2), stored(3, "status", "e", serial=1)]),
    "of the owner": (
        [],
        [
            stored(2, "status", "d", run="r1", condition="begin"),
            stored(3, "status", "d", run="r1", condition="own"),
        ],
    ),
    "of a run before": (
        [Rule.NOT_THE_OWNER],
        [
            stored(2, "status", "d", run="r1", condition="begin"),
            stored(3, "status", "d", run="r2", condition="begin"),
            stored(4, "status", "d", run="r1", condition="own"),
        ],
    ),
    "behind the end": ([Rule.AFTER_THE_END], [stored(2, "warning", era=SECOND)]),
}


@pytest.mark.parametrize(("expected", "events"), SAID.values(), ids=SAID)
def test_what_the_log_took_is_judged(expected: list[Rule], events: list[Stored]) -> None:
    """Reports are stored once, in their author's order, from the owning run, until the operation's end."""
    moved = [
        Stored.of(Place(SECOND, 2 + n), event.type, event.data, event.topics, **_author(event))
        for n, event in enumerate(events)
    ]
    assert [violation.rule for violation in judge_history(history(*moved))] == expected


def test_what_is_stored_again_in_another_history_is_right() -> None:
    """An author whose reply was lost repeats himself to a log that has lost it all, rightly."""
    judged = history(stored(6, "status", "d", serial=7))
    judged.store(stored(2, "status", "d", era=OTHER, serial=7))
    assert list(judge_history(judged)) == []


def test_what_is_stored_twice_after_a_counter_was_lost_is_known() -> None:
    """Without its counter the log cannot know what it has seen of a reporter."""
    twice = [stored(n, "status", "d", era=SECOND, serial=1, reporter="r") for n in (2, 3)]
    judged = history(*twice)
    assert [violation.rule for violation in judge_history(judged)] == [Rule.STORED_TWICE]
    judged.doubling.add("r")
    assert list(judge_history(judged)) == []


def _author(event: Stored) -> Facts:
    return {name: getattr(event, name) for name in ("reporter", "run", "condition", "serial")}


@pytest.mark.parametrize(
    ("reports", "refused", "lost"),
    [
        ([Report(1, "r", "d", "warning")], {}, [1]),
        ([Report(1, "r", "d", "warning")], {1: "over"}, []),
        ([Report(1, "r", "d", "progress"), Report(2, "r", "d", "progress")], {}, [2]),
        ([Report(9, "r", "d", "progress"), Report(10, "r", "d", "progress")], {10: "stale"}, []),
        ([Report(1, "r", "d", "progress"), Report(2, "r", "e", "progress")], {2: "stale"}, [1]),
    ],
)
def test_a_report_that_vanished_is_named(
    reports: list[Report], refused: dict[int, str], lost: list[int]
) -> None:
    """Every report is stored or refused, but for progress that newer progress replaced."""
    found = judge(history(), [], reports, refused)
    assert [(violation.rule, int(violation.about.split()[1])) for violation in found] == [
        (Rule.REPORT_LOST, serial) for serial in lost
    ]


def test_every_rule_has_a_run_that_breaks_it() -> None:
    """No rule is without a test."""
    tested = {rule for rule, *_ in BROKEN.values()} | {
        rule for expected, _ in SAID.values() for rule in expected
    }
    tested |= {Rule.BEHIND_THE_END, Rule.ID_USED_TWICE, Rule.REPORT_LOST}
    assert tested == set(Rule)


def test_a_violation_says_what_and_where() -> None:
    """The smallest context that shows it: the events, the request, and how far the client was."""
    (violation,) = judge(history(), [Connection(after(1), frames=[event(2), beat(3)])])
    assert str(violation) == (
        "CLAIMED: a heartbeat claims events that were not written "
        "(evt_100-3 warning of b before evt_100-3; * after evt_100-1, having evt_100-2)"
    )


def test_a_record_with_a_hole_is_refused() -> None:
    """An oracle that does not know all that was stored must not judge."""
    with pytest.raises(ValueError, match="evt_100-7"):
        history(stored(7, "status"))
