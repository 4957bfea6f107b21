"""The whole path, from a POST to the bytes that a browser gets: a batch over the standard library.

The flow's widest view: web processes, Celery worker and Redis as deployed. Cutting and resuming is shown here
on the real thing; test_streams.py has every way to join, on operations that the test itself works on.
"""

import csv
import io
import json
from typing import Any
from urllib.request import urlopen

import pytest

from tasks.modules import standard_library
from tests.http_stream import get_json, post_json
from tests.sse import Message
from tests.stack import READ_S, Stack, logged, place
from tidings.events import TYPES, Complete, Progress, Status, decode

BATCH_S = 110.0
"""The batch takes 4 s of one core (measured); the rest is for machines that do other things too."""
UNREADABLE = {"false_encoding.py", "badsyntax_pep3120.py"}
"""Modules for tests of Python's own, of which each version has one at least."""


def events_url(stack: Stack, **params: object) -> str:
    """Start a batch and give the path of its stream, as the answer to the POST has it."""
    body = {"kind": "batch", "params": {"source": "python-stdlib", **params}}
    reply = post_json(f"{stack.url}/api/operations", body)
    assert reply.status == 202, reply
    url: str = reply.body["eventsUrl"]
    return url


def decoded(messages: list[Message]) -> list[object]:
    """Read the JSON of each message as the library does."""
    return [decode(message.type, message.data.encode()) for message in messages]


def told(messages: list[Message]) -> list[Message]:
    """Give all of *messages* but the heartbeats, also what should not be there."""
    return [message for message in messages if message.type != "heartbeat"]


@pytest.fixture(scope="module")
def limit() -> int:
    """How many modules are worked through: up to a few behind the first that cannot be read."""
    _, paths = standard_library()
    return next(number for number, path in enumerate(paths) if path.name in UNREADABLE) + 20


@pytest.fixture(scope="module")
def full_run(stack: Stack, limit: int) -> list[Message]:
    """Give all that a stream had of one batch over much of the standard library."""
    with stack.stream(f"{events_url(stack, limit=limit)}?history=all") as stream:
        messages = stream.read_to_end(BATCH_S)
        assert stream.ended_cleanly
        return messages


@pytest.mark.timeout(150)
def test_batch_goes_through_its_statuses_to_succeeded(full_run: list[Message]) -> None:
    """A batch is queued, then running, then in its own phases, then succeeded, each naming the one before."""
    statuses = [event for event in decoded(logged(full_run)) if isinstance(event, Status)]

    names = [status.status for status in statuses]
    assert names == ["queued", "running", "listing files", "counting", "succeeded"]
    assert [status.previous_status for status in statuses[1:]] == names[:-1]


def test_progress_only_grows_and_ends_at_the_total(full_run: list[Message], limit: int) -> None:
    """Progress counts up, reaches the number of files, and shows 100 % only then."""
    progress = [event for event in decoded(logged(full_run)) if isinstance(event, Progress)]

    counts = [event.current for event in progress]
    assert len(counts) > 10
    assert counts == sorted(set(counts))
    assert {event.total for event in progress} == {limit}
    assert counts[-1] == limit
    assert [event.percentage for event in progress].index(100) == len(progress) - 1


def test_progress_says_how_fast_it_goes_and_how_long_it_will_take(full_run: list[Message]) -> None:
    """Once a second has passed, each progress says so, in an interval, until nothing is left."""
    progress = [json.loads(message.data) for message in logged(full_run) if message.type == "progress"]
    end = json.loads(full_run[-1].data)
    estimated = [event for event in progress if "etaSeconds" in event]

    assert estimated or end["durationSeconds"] < 2
    for event in estimated:
        assert event["etaLow"] <= event["etaSeconds"] <= event["etaHigh"]
        assert event["rate"] > 0
    assert [event["etaSeconds"] for event in estimated[-1:]] in ([], [0])


def test_unreadable_files_are_warnings_with_name_and_reason(full_run: list[Message]) -> None:
    """Each file that cannot be read is a warning that names it, counted in the result, and not the end."""
    warnings = [json.loads(message.data) for message in full_run if message.type == "warning"]
    result = json.loads(full_run[-1].data)["result"]

    assert warnings
    assert len(warnings) == result["unreadable"]
    for warning in warnings:
        assert warning["code"] == "unreadable_module"
        assert warning["message"].startswith(warning["details"]["item"])
        assert "Error: " in warning["message"]


def test_complete_is_the_one_terminal_event_and_the_last_frame(full_run: list[Message]) -> None:
    """The stream ends with complete and its table, and with no other end before it."""
    ends = [message for message in full_run if message.type in {"complete", "error"}]
    (end,) = decoded(ends)

    assert full_run[-1] is ends[0]
    assert isinstance(end, Complete)
    assert isinstance(end.waited_seconds, int | float)
    totals = end.result["totals"]
    assert totals["files"] + end.result["unreadable"] == json.loads(full_run[-3].data)["total"]
    assert sum(row[1] for row in end.result["rows"]) == totals["files"]


def test_ids_rise_strictly_in_log_order(full_run: list[Message]) -> None:
    """No two events have one id, and each id is above the one before."""
    places = [place(message.last_event_id) for message in logged(full_run)]

    assert places == sorted(set(places))


def test_every_event_is_what_the_library_reads(full_run: list[Message]) -> None:
    """Each frame is of a known type and holds one line of valid JSON, of one and the same operation."""
    events = [message for message in full_run if message.type != "heartbeat"]

    assert {message.type for message in events} <= TYPES.keys()
    assert len(decoded(events)) == len(events)
    assert not any("\n" in message.data for message in events)
    assert len({json.loads(message.data)["operationId"] for message in events}) == 1


def test_each_file_has_its_row_in_the_table(stack: Stack, full_run: list[Message]) -> None:
    """The table is a result, as CSV, and says the same as the events."""
    result = json.loads(full_run[-1].data)["result"]
    table = table_of(stack, result)

    assert [row["item"] for row in table] == sorted(row["item"] for row in table)
    assert len(table) == result["items"]
    failed = {row["item"]: row["reason"] for row in table if row["status"] == "failed"}
    warnings = [json.loads(message.data)["details"] for message in full_run if message.type == "warning"]
    assert failed == {warning["item"]: warning["reason"] for warning in warnings}
    assert sum(int(row["lines"] or 0) for row in table) == result["totals"]["lines"]


def test_what_an_earlier_batch_has_not_done_is_tried_again(stack: Stack, full_run: list[Message]) -> None:
    """Only its failures; of a batch that nobody knows that is said."""
    end = json.loads(full_run[-1].data)
    again = ended(stack, stack.start_operation(retry=end["operationId"]))["result"]
    nobody = ended(stack, stack.start_operation(retry="nobody"))

    assert (again["items"], again["failed"]) == (end["result"]["failed"], end["result"]["failed"])
    assert {row["item"] for row in table_of(stack, again)} == {
        row["item"] for row in table_of(stack, end["result"]) if row["status"] == "failed"
    }
    assert (nobody["code"], nobody["terminal"]) == ("no_batch", True)


def test_values_sent_with_the_parameters_are_items(stack: Stack) -> None:
    """Each is checked, typed and hashed."""
    end = ended(stack, stack.start_operation(items=[{"a": 1}, {"a": None}, {"a": 1}]))
    result = end["result"]

    assert (result["items"], result["done"], result["duplicates"]) == (3, 3, 1)
    assert result["profile"] == {"a": {"integer": 2, "empty": 1}}
    assert [row["duplicateOf"] for row in table_of(stack, result)] == ["", "", "item 1"]


def ended(stack: Stack, operation_id: str) -> dict[str, Any]:
    """Give the terminal event of an operation."""
    end: dict[str, Any] = json.loads(stack.history(operation_id)[-1].data)
    return end


def table_of(stack: Stack, result: dict[str, Any]) -> list[dict[str, str]]:
    """Give the rows of a batch's table."""
    with urlopen(f"{stack.url}{result['table']['url']}", timeout=READ_S) as answer:
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        return list(csv.DictReader(io.StringIO(answer.read().decode())))


def test_second_stream_opened_in_the_middle_starts_with_the_present_and_has_the_same_rest(
    stack: Stack,
) -> None:
    """A stream that joins a running batch has its state first, then all that the first one has after it."""
    url = events_url(stack, limit=250)
    with stack.stream(f"{url}?history=all") as first:
        first.read_until(lambda message: message.type == "progress", READ_S)
        with stack.stream(url) as second:
            opening = second.read_until(lambda message: message.type == "heartbeat", READ_S)
            second.read_to_end(READ_S)
        first.read_to_end(READ_S)

    *state, heartbeat = opening
    assert {message.type for message in state} == {"status", "progress"}
    assert {message.last_event_id for message in state} == {""}
    joined_at = place(heartbeat.last_event_id)
    rest = [event for event in logged(first.messages) if place(event.last_event_id) > joined_at]
    assert rest
    assert logged(second.messages) == rest
    before = [event for event in logged(first.messages) if place(event.last_event_id) <= joined_at]
    for shown in state:
        assert shown.data == [event.data for event in before if event.type == shown.type][-1]


def test_stream_cut_in_the_middle_and_resumed_gets_exactly_the_rest(stack: Stack) -> None:
    """A stream that breaks off twice and comes back with its last id has each event once, in order."""
    url = events_url(stack, limit=250)
    seen: list[Message] = []
    cursor = ""
    for pieces in (2, 3):
        with stack.stream(f"{url}?history=all", **({"Last_Event_ID": cursor} if cursor else {})) as stream:
            for _ in range(pieces):
                stream.read_until(lambda message: message.type == "progress", READ_S)
            seen += told(stream.messages)
            cursor = stream.last_event_id
            stream.close(abruptly=True)
    with stack.stream(url, Last_Event_ID=cursor) as stream:
        seen += told(stream.read_to_end(READ_S))
        assert stream.ended_cleanly

    assert seen == stack.history(url.rpartition("/")[2])
    assert seen[-1].type == "complete"


def test_state_as_json_is_what_the_stream_said_last(stack: Stack, full_run: list[Message]) -> None:
    """Once it is over, the operation's document shows its final status and its last event of each type."""
    operation_id = json.loads(full_run[-1].data)["operationId"]
    operation = get_json(f"{stack.url}/api/operations/{operation_id}").body["operation"]

    assert (operation["status"], operation["kind"]) == ("succeeded", "batch")
    assert operation["lastEventId"] == full_run[-1].last_event_id
    for event_type in ("status", "progress", "warning", "complete"):
        last = [message for message in full_run if message.type == event_type][-1]
        assert operation["events"][event_type] == json.loads(last.data)
