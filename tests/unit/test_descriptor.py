"""Descriptors: which topics an operation's events go to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.descriptor import Descriptor
from tidings.errors import InvalidValue

identifiers = st.from_regex(r"[A-Za-z0-9._~-]{1,20}", fullmatch=True)

TOPICS: dict[str, tuple[Descriptor, tuple[str, ...]]] = {
    "alone": (Descriptor.of("a", "batch"), ("operations:a",)),
    "in a workflow": (Descriptor.of("a", "batch", workflow="w"), ("operations:a", "workflows:w")),
    "of an agent": (Descriptor.of("a", "browser", agent="g"), ("operations:a", "agents:g")),
    "both": (Descriptor.of("a", "b", workflow="w", agent="g"), ("operations:a", "workflows:w", "agents:g")),
    "a workflow itself": (Descriptor.of("w", "workflow"), ("operations:w", "workflows:w")),
    "a workflow within another": (
        Descriptor.of("v", "workflow", workflow="w"),
        ("operations:v", "workflows:w"),
    ),
    "an agent itself": (Descriptor.of("g", "agent"), ("operations:g", "agents:g")),
    "an agent that names another": (Descriptor.of("g", "agent", agent="h"), ("operations:g", "agents:h")),
}


@pytest.mark.parametrize(("descriptor", "topics"), TOPICS.values(), ids=TOPICS)
def test_events_go_to_the_operation_its_workflow_and_its_agent(
    descriptor: Descriptor, topics: tuple[str, ...]
) -> None:
    """Its own topic comes first; a workflow and an agent belong to themselves unless they name another."""
    assert descriptor.topics == topics


@given(identifiers, identifiers, st.none() | identifiers, st.none() | st.text(max_size=5))
def test_a_descriptor_is_read_as_it_was_written(
    operation_id: str, kind: str, other: str | None, name: str | None
) -> None:
    """Encoding and decoding are each other's inverse."""
    descriptor = Descriptor.of(operation_id, kind, parent=other, workflow=other, name=name, owner=name)
    assert Descriptor.decode(descriptor.encode()) == descriptor


@pytest.mark.parametrize("field", ["workflow", "agent", "parent"])
@pytest.mark.parametrize("value", ["", "a b", "a:b", "x" * 129])
def test_a_part_that_is_no_identifier_is_refused_by_name(field: str, value: str) -> None:
    """Nothing that could not stand in a topic gets into one."""
    with pytest.raises(InvalidValue) as caught:
        Descriptor.of("a", "batch", **{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize(("operation_id", "kind", "field"), [("", "batch", "id"), ("a", "b c", "kind")])
def test_an_id_and_a_kind_are_identifiers(operation_id: str, kind: str, field: str) -> None:
    """The operation itself is named by the same rule."""
    with pytest.raises(InvalidValue) as caught:
        Descriptor.of(operation_id, kind)
    assert caught.value.field == field


@pytest.mark.parametrize("name", ["a\ud800", "x" * 10_000, 5, ["a"]])
def test_a_name_is_put_right(name: Any) -> None:
    """What would never get into the log would hold back all that its process says after it."""
    descriptor = Descriptor.of("a", "batch", name=name)
    assert Descriptor.decode(descriptor.encode()) == descriptor
    assert 0 < len(descriptor.name or "") <= 1_000


@pytest.mark.parametrize("owner", ["a\ud800", 5, ["a"], "x" * 10_000])
def test_an_owner_that_is_no_text_is_refused(owner: Any) -> None:
    """Put right, it might be somebody else."""
    with pytest.raises(InvalidValue) as caught:
        Descriptor.of("a", "batch", owner=owner)
    assert caught.value.field == "owner"
