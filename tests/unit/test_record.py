"""Records: what each event does to its operation's status, and the stamp it carries."""

import json
import re
from typing import Any

import pytest

from tidings.descriptor import Descriptor
from tidings.events import Complete, Error, Event, Progress, Status, Warning  # noqa: A004 - the wire's name
from tidings.record import BEGIN, OWN, Record

OP = Descriptor.of("op", "batch", workflow="w", agent="a", parent="p", name="N", owner="me")

EFFECTS: dict[str, tuple[type[Event], dict[str, Any], str, bool]] = {
    "progress": (Progress, {"current": 1, "total": None, "percentage": None}, "", False),
    "a status": (Status, {"status": "phase"}, "phase", False),
    "a final status": (Status, {"status": "succeeded"}, "succeeded", False),
    "a warning": (Warning, {"code": "c", "message": "m"}, "", False),
    "an error": (Error, {"code": "cancelled", "message": "m"}, "", False),
    "a terminal error": (Error, {"code": "worker_lost", "message": "m", "terminal": True}, "failed", True),
    "a cancellation": (Error, {"code": "cancelled", "message": "m", "terminal": True}, "cancelled", True),
    "complete": (Complete, {"result": 1}, "succeeded", True),
}


@pytest.mark.parametrize(("event", "said", "status", "ends"), EFFECTS.values(), ids=EFFECTS)
def test_an_event_leaves_its_operation_in_a_status(
    event: type[Event], said: dict[str, Any], status: str, *, ends: bool
) -> None:
    """Only statuses and ends change it, and only complete and terminal errors end it."""
    record = Record.of(OP, event, condition=OWN, **said)
    assert (record.event_type, record.status, record.ends) == (event.type, status, ends)


def test_an_event_says_whose_it_is_and_when() -> None:
    """Every event carries its operation's identity, its attempt and a UTC stamp with milliseconds."""
    said = json.loads(Record.of(OP, Warning, condition=OWN, attempt=3, code="c", message="m").data)
    stamp = said.pop("timestamp")
    assert said == {
        "operationId": "op", "operationType": "batch", "workflowId": "w", "agentId": "a", "parentId": "p",
        "attempt": 3, "code": "c", "message": "m",
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)


def test_a_beginning_says_running() -> None:
    """A run that takes an operation over names itself and its attempt."""
    record = Record.beginning(OP, "me.1", 2, details={"worker": "w"})
    assert (record.condition, record.run, record.attempt, record.status) == (BEGIN, "me.1", 2, "running")
    assert json.loads(record.data)["details"] == {"worker": "w"}
