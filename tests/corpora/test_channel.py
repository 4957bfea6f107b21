"""What others write where only we should: it is left out, and everybody who reads goes on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import corpus, many, taken, tried
from tests.sse import parse
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.entry import ERA, Entry
from tidings.events import TYPES
from tidings.log import Log
from tidings.record import Record
from webapp.frames import entry_frame

FOREIGN = corpus("channel")


def check(stream_id: bytes, fields: dict[bytes, bytes]) -> Entry | None:
    """An entry is left out, or is one event of a type of ours on one line."""
    tried["channel"] += 1
    entry = taken(lambda: Entry.from_stream(stream_id, fields), "entry", "data")
    if entry is not None and entry.type != ERA:
        (message,) = parse(entry_frame(entry))
        assert message.type in TYPES
        assert message.last_event_id == entry.cursor.wire
        assert message.data.encode() == entry.data
        assert isinstance(json.loads(message.data), dict)
    return entry


def _bytes(fields: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode("latin-1"): value.encode("latin-1") for name, value in fields.items()}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_entry_of_others_is_none(name: str) -> None:
    """Each of the corpus."""
    assert check(b"1-1", _bytes(FOREIGN[name])) is None


def test_who_reads_the_log_goes_on_behind_all_of_them(log: Log) -> None:
    """On a real log: what we wrote before and behind it is read, and nothing else."""

    def say(operation: str, number: int) -> None:
        record = Record.beginning(Descriptor.of(operation, "batch"), f"me.{number}", 1)
        assert log.append("me", number, [record])[0].code == "stored"

    say("before", 1)
    era = log.hello().position.era
    for fields in FOREIGN.values():
        log.redis.xadd(log.key("log"), dict(_bytes(fields).items()), id=f"{era}-*")
    say("behind", 2)
    read = [entry.operation_id for entry in log.read(Cursor(0, 0)) if entry.type != ERA]
    assert read == ["before", "behind"]
    assert [
        state.descriptor.id for state in log.state(["operations:before", "operations:behind"], 9)[1]
    ] == read


texts = st.binary(max_size=60) | st.sampled_from(
    [b"status", b"error", b"era", b"1-1", b"operations:a *", b'{"operationId":"a","operationType":"b"}',
     b'{"operationId":"a","operationType":"b","terminal":true}', b'{"operationId":"a",\r"operationType":"b"}']
)  # fmt: skip


@many()
@given(
    st.sampled_from([b"1-1", b"0-0", b"18446744073709551615-1"]) | st.binary(max_size=12),
    st.dictionaries(st.sampled_from([b"t", b"d", b"k", b"prev", b"x"]), texts),
)
def test_any_entry_is_left_out_or_is_one_event(stream_id: bytes, fields: dict[bytes, bytes]) -> None:
    """Whatever its fields and its id are."""
    check(stream_id, fields)
