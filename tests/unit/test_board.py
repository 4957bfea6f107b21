"""What `watch` makes of states and events: rows, an end, an exit status."""

from typing import Any

import pytest
from msgspec import json

from tidings.cli.board import FORGOTTEN_S, Board
from tidings.cli.exits import Exit
from tidings.cli.sse import Message


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def shown(name: str = "a", status: str = "running", **events: Any) -> dict[str, Any]:
    """Give an operation as the service shows it."""
    return {"id": name, "kind": "batch", "status": status, "lastEventId": "evt_5-10", "events": events}


def event(n: int, event_type: str, name: str = "a", era: int = 5, **data: Any) -> Message:
    """Give an event as a stream has it."""
    body = {"operationId": name, "operationType": "batch", **data}
    return Message(event_type, json.encode(body).decode(), f"evt_{era}-{n}")


def test_what_is_known_already_is_no_news() -> None:
    """The stream begins with the oldest cursor of all that are followed."""
    board = Board()
    board.begin(shown(progress={"current": 3, "percentage": 30}))
    assert board.hear(event(9, "progress", current=2, percentage=20)) is None
    assert board.hear(event(10, "progress", current=2, percentage=20)) is None
    assert board.rows["a"].percentage == 30
    assert board.hear(event(11, "progress", current=4, percentage=40)) is not None
    assert board.rows["a"].percentage == 40


def test_others_are_not_shown() -> None:
    """Unless all are followed: then they come along."""
    board = Board()
    board.begin(shown())
    assert board.hear(event(11, "status", "b", status="running")) is None
    assert list(board.rows) == ["a"]
    board = Board(follow=True)
    assert board.hear(event(11, "status", "b", status="running")) is not None
    assert list(board.rows) == ["b"]
    assert not board.is_over


END: dict[str, tuple[str, dict[str, Any]]] = {
    "succeeded": ("complete", {}),
    "failed": ("error", {"code": "boom", "message": "it broke", "terminal": True}),
    "cancelled": ("error", {"code": "cancelled", "message": "", "terminal": True}),
}


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (["succeeded", "succeeded"], Exit.OK),
        (["succeeded", "cancelled"], Exit.CANCELLED),
        (["cancelled", "failed"], Exit.FAILED),
        (["failed", "succeeded"], Exit.FAILED),
    ],
)
def test_it_is_over_with_the_last_of_them(ends: list[str], status: Exit) -> None:
    """And a failure counts more than a cancel, and that more than success."""
    board = Board()
    for name, _ in enumerate(ends):
        board.begin(shown(str(name)))
    for name, end in enumerate(ends):
        assert not board.is_over
        board.hear(event(20 + name, END[end][0], str(name), **END[end][1]))
    assert board.is_over
    assert board.exit == status


def test_an_error_that_ends_nothing_ends_nothing() -> None:
    """Its operation goes on."""
    board = Board()
    board.begin(shown())
    board.hear(event(11, "error", code="odd", message="goes on", terminal=False))
    assert not board.is_over
    assert board.rows["a"].message == "odd: goes on"


def test_behind_a_reset_the_state_counts_whatever_its_ids_are() -> None:
    """Those of another history compare with none of the one before."""
    board = Board()
    board.begin(shown())
    board.hear(Message("reset", '{"reason":"history_lost"}', "evt_5-10"))
    board.hear(event(10, "progress", current=1, percentage=10))  # with the sticky id of before
    assert board.rows["a"].percentage == 10
    board.hear(Message("heartbeat", "{}", "evt_3-1"))
    board.hear(event(2, "complete", era=3))
    assert board.is_over
    assert board.exit == Exit.OK


def test_the_state_behind_a_reset_begins_nothing() -> None:
    """It has what was over long ago, too; what is followed anew begins behind it."""
    board = Board(follow=True)
    board.hear(Message("reset", '{"reason":"history_lost"}', "evt_5-10"))
    assert board.hear(event(10, "progress", "old", current=1, percentage=10)) is None
    board.hear(Message("heartbeat", "{}", "evt_5-20"))
    assert board.hear(event(21, "status", "new", status="running")) is not None
    assert list(board.rows) == ["new"]


def test_what_a_service_has_forgotten_is_waited_for_a_while() -> None:
    """Its worker may announce it again; else nobody will ever say how it ended."""
    clock = Clock()
    board = Board(clock=clock)
    for name in "ab":
        board.begin(shown(name))
    board.hear(Message("reset", '{"reason":"history_lost"}', "evt_5-10"))
    board.hear(Message("heartbeat", "{}", "evt_6-1"))
    clock.now = FORGOTTEN_S - 1
    board.hear(event(2, "progress", "a", era=6, current=1, percentage=10))
    clock.now = FORGOTTEN_S + 1
    assert not board.is_over
    board.hear(event(3, "complete", "a", era=6))
    assert board.is_over
    assert (board.rows["b"].status, board.exit) == ("forgotten", Exit.FAILED)
