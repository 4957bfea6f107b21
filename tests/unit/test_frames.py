"""Frames: the bytes of one event, and nothing in them that could be read as another."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sse import EventStreamParser, Message, parse
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.entry import Entry
from tidings.log import OperationState
from tidings.replay import Reset
from webapp.frames import RETRY_MS, entry_frame, frame, heartbeat, reset, retry, state_frames

DATA = b'{"operationId":"op","operationType":"batch"}'
STATE = OperationState(
    descriptor=Descriptor.of("op", "batch"),
    status="running",
    attempt=1,
    created_ms=0,
    updated_ms=0,
    born=Cursor(9, 1),
    last=Cursor(9, 5),
    end=None,
    events={"status": b"1", "progress": b"2", "warning": b"3"},
)


def test_a_frame_is_event_id_and_data_and_an_empty_line() -> None:
    """The fields in the order of docs/protocol.md, each on its line."""
    assert frame("progress", b"{}", "evt_9-1") == b"event: progress\nid: evt_9-1\ndata: {}\n\n"
    assert frame("reset", b"{}") == b"event: reset\ndata: {}\n\n"


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\r\n"])
def test_a_field_cannot_end_its_own_line(character: str) -> None:
    """CR, LF and NUL are refused in the name and the id, CR and LF in the data."""
    text = f"a{character}data: b"
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        frame(text, b"{}")
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        frame("progress", b"{}", text)
    if character != "\0":
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            frame("progress", text.encode())


@given(
    st.text("ab\r\n\0: \ufeff\u2028é"), st.text("ab\r\n\0: \ufeff\u2028é"), st.text("ab\r\n\0: \ufeff\u2028é")
)
def test_a_frame_is_one_event_or_none_at_all(event: str, data: str, event_id: str) -> None:
    """Whatever its parts are, a reader gets exactly them, or nothing was written."""
    try:
        written = frame(event, data.encode(), event_id)
    except ValueError:
        assert set("\r\n\0") & set(event + data + event_id)
        return
    assert parse(written) == [Message(event or "message", data, event_id)]


def test_an_entrys_frame_is_made_once() -> None:
    """All streams write the same bytes."""
    entry = Entry(Cursor(9, 7), "progress", DATA)
    written = entry_frame(entry)
    assert parse(written) == [Message("progress", DATA.decode(), "evt_9-7")]
    assert entry_frame(entry) is written


@pytest.mark.parametrize("end", ["complete", "error"])
def test_a_states_end_comes_last_and_without_ids(end: str) -> None:
    """Who sees the end has seen all before it; a state is no place to resume from (A17)."""
    messages = parse(state_frames(replace(STATE, events={end: b"9", **STATE.events}), None))
    assert {message.type for message in messages[:-1]} == {"status", "progress", "warning"}
    assert messages[-1].type == end
    assert {message.last_event_id for message in messages} == {""}


def test_an_error_on_the_way_comes_before_the_end() -> None:
    """An operation that recovered ends with complete."""
    messages = parse(state_frames(replace(STATE, events={"complete": b"1", "error": b"2"}), None))
    assert [message.type for message in messages] == ["error", "complete"]


def test_a_state_shows_the_types_that_are_asked_for() -> None:
    """A filter holds for the state as for what follows."""
    assert [message.data for message in parse(state_frames(STATE, frozenset({"warning"})))] == ["3"]
    assert state_frames(STATE, frozenset({"complete"})) == b""


def test_a_heartbeat_carries_the_place_that_was_reached() -> None:
    """A filtered, quiet stream keeps a fresh cursor."""
    assert parse(heartbeat(Cursor(9, 3))) == [Message("heartbeat", "{}", "evt_9-3")]


@pytest.mark.parametrize("reason", list(Reset))
@pytest.mark.parametrize("requested", ["evt_1-1", "", "\r\n\0 data: x", '"\\', "é\u2028", "x" * 10_000])
def test_a_reset_says_why_and_what_was_asked_for(reason: Reset, requested: str) -> None:
    """It is JSON without an id, and quotes at most 128 characters of whatever the browser sent."""
    parser = EventStreamParser(last_event_id="evt_1-1")
    (message,) = parser.feed(reset(reason, requested))
    assert (message.type, message.last_event_id) == ("reset", "evt_1-1")
    assert json.loads(message.data) == {"reason": reason.value, "requestedId": requested[:128]}


@pytest.mark.parametrize(("spread", "most"), [(1.0, RETRY_MS[1]), (4.0, 500 + 4 * 1000)])
def test_the_time_to_come_back_is_spread(spread: float, most: int) -> None:
    """Each stream draws its own within the range, and parses it as milliseconds."""
    seen = set()
    for _ in range(300):
        parser = EventStreamParser()
        assert parser.feed(retry(spread)) == []
        assert parser.retry_ms is not None
        seen.add(parser.retry_ms)
    assert min(seen) >= RETRY_MS[0]
    assert max(seen) <= most
    assert len(seen) > 50
