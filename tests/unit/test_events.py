"""Events as JSON: one line, camelCase, what any parser takes, and read back as written."""

import json
from typing import Any, NoReturn

import pytest

from tidings.errors import InvalidValue
from tidings.events import (
    TYPES,
    Complete,
    Error,
    Event,
    Progress,
    Status,
    Warning,  # noqa: A004 - the wire's name
    decode,
    encode,
    json_schemas,
    read_envelope,
)

ENVELOPE: dict[str, Any] = {
    "operation_id": "op",
    "operation_type": "batch",
    "timestamp": "2026-11-22T09:10:00.123Z",
    "attempt": 1,
}
EXAMPLES: dict[str, Event] = {
    "progress": Progress(**ENVELOPE, current=5, total=10, percentage=50, message="half"),
    "status": Status(**ENVELOPE, status="running", previous_status="queued", details={"a": [1]}),
    "warning": Warning(**ENVELOPE, code="c", message="m"),
    "error": Error(**ENVELOPE, code="c", message="m", retryable=False, terminal=True),
    "complete": Complete(
        **ENVELOPE,
        result=[1, 2],
        duration_seconds=0.007,
        waited_seconds=1,
        workflow_id="w",
        agent_id="a",
        parent_id="p",
    ),
}
LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def refuse(constant: str) -> NoReturn:
    """Refuse what is no JSON: NaN and its kin."""
    raise AssertionError(f"{constant} is not JSON")


def test_there_are_five_types_by_the_names_of_the_wire() -> None:
    """No more and no fewer can be said of an operation."""
    assert set(TYPES) == {"progress", "status", "warning", "error", "complete"} == set(EXAMPLES)
    assert all(TYPES[name] is type(example) for name, example in EXAMPLES.items())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_event_is_read_as_it_was_written(name: str) -> None:
    """Encoding and decoding are each other's inverse."""
    assert decode(name, encode(EXAMPLES[name])) == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_keys_are_camel_case_and_absent_where_nothing_is_said(name: str) -> None:
    """The JSON has the wire's names, and no null for what was not given."""
    keys = json.loads(encode(EXAMPLES[name]))
    assert not any("_" in key for key in keys)
    assert {"operationId", "operationType", "timestamp", "attempt"} <= set(keys)
    assert "previousStatus" in keys or name != "status"
    assert ("workflowId" in keys) == (name == "complete")


def test_an_unknown_total_is_null() -> None:
    """Total and percentage are always there, so that a client need not tell absent from unknown."""
    said = json.loads(encode(Progress(**ENVELOPE, current=3, total=None, percentage=None)))
    assert (said["total"], said["percentage"]) == (None, None)


@pytest.mark.parametrize("character", LINE_BREAKS)
def test_no_line_break_of_any_alphabet_leaves_its_line(character: str) -> None:
    """Readers that split lines in their own way find one line, and the text is what it was."""
    text = f"a{character}b"
    event = Warning(**ENVELOPE, code="c", message=text, details={text: [text]})
    data = encode(event)
    assert len(data.decode().splitlines()) == 1
    assert json.loads(data, parse_constant=refuse)["details"] == {text: [text]}
    assert decode("warning", data) == event


def test_text_that_looks_like_an_escape_is_not_one() -> None:
    """A backslash before a line break of another alphabet stays a backslash."""
    text = "\\\u2028\\u2028"
    assert json.loads(encode(Warning(**ENVELOPE, code="c", message=text)))["message"] == text


WRONG: dict[str, tuple[str, bytes]] = {
    "an unknown type": ("gossip", b"{}"),
    "no JSON": ("status", b"{"),
    "no object": ("status", b"[]"),
    "nothing": ("status", b""),
    "another type's fields": ("progress", encode(EXAMPLES["warning"])),
    "a negative count": ("progress", encode(EXAMPLES["progress"]).replace(b":5,", b":-5,")),
    "more than all": ("progress", encode(EXAMPLES["progress"]).replace(b":50,", b":101,")),
    "an id that is none": ("warning", encode(EXAMPLES["warning"]).replace(b'"op"', b'"o p"')),
    "an id with a line feed": ("warning", encode(EXAMPLES["warning"]).replace(b'"op"', b'"op\\n"')),
    "attempt zero": ("warning", encode(EXAMPLES["warning"]).replace(b'"attempt":1', b'"attempt":0')),
    "NaN": ("progress", encode(EXAMPLES["progress"]).replace(b":5,", b":NaN,")),
    "bytes that are not UTF-8": ("warning", encode(EXAMPLES["warning"]).replace(b'"m"', b'"\xff"')),
}


@pytest.mark.parametrize(("event_type", "data"), WRONG.values(), ids=WRONG)
def test_what_is_no_event_of_its_type_is_refused(event_type: str, data: bytes) -> None:
    """Wrong JSON is one error of ours, never another library's."""
    with pytest.raises(InvalidValue):
        decode(event_type, data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b'{"operationId":"a"}', b'{"operationId":1,"operationType":"b"}', b"\xff"],
)
def test_an_envelope_that_names_nobody_is_refused(data: bytes) -> None:
    """Routing needs an operation and its kind."""
    with pytest.raises(InvalidValue):
        read_envelope(data)


def test_an_envelope_is_read_from_any_event() -> None:
    """Whose event it is stands in the JSON of every type."""
    for example in EXAMPLES.values():
        envelope = read_envelope(encode(example))
        assert (envelope.operation_id, envelope.operation_type) == ("op", "batch")


def test_every_type_has_a_schema_that_names_its_fields() -> None:
    """The schemas have the five types, and each example has the required fields and no others."""
    schemas = json_schemas()
    assert set(schemas) == set(TYPES)
    for name, example in EXAMPLES.items():
        said = json.loads(encode(example))
        assert set(schemas[name]["required"]) <= set(said) <= set(schemas[name]["properties"])
    assert {"current", "total", "percentage"} <= set(schemas["progress"]["required"])
    json.dumps(schemas)
