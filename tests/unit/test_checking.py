"""Values from outside: a refusal names the path and what is allowed there."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from tidings.checking import check
from tidings.errors import InvalidValue


class Inner(Struct, forbid_unknown_fields=True):
    """An object within another."""

    size: Annotated[int, Meta(ge=1, le=9)]


class Outer(Struct, forbid_unknown_fields=True):
    """What is checked."""

    mode: Literal["fast", "slow"]
    limit: Annotated[int, Meta(ge=1)] | None = None
    name: str = ""
    inner: Inner | None = None


def test_what_fits_is_given_typed() -> None:
    """Plain values become the struct."""
    assert check({"mode": "fast", "inner": {"size": 2}}, Outer) == Outer("fast", inner=Inner(2))


REFUSALS: dict[str, tuple[object, str, str]] = {
    "a wrong choice": ({"mode": "quick"}, "params.mode", "fast, slow"),
    "a missing field": ({}, "params.mode", "one of fast, slow"),
    "an unknown field": ({"mode": "fast", "speed": 1}, "params.speed", "mode, limit, name, inner"),
    "a number too small": ({"mode": "fast", "limit": 0}, "params.limit", "from 1"),
    "a wrong type": ({"mode": "fast", "limit": "1"}, "params.limit", "integer"),
    "a float for an integer": ({"mode": "fast", "limit": 1.5}, "params.limit", "integer"),
    "a bool for an integer": ({"mode": "fast", "limit": True}, "params.limit", "integer"),
    "no text": ({"mode": "fast", "name": 5}, "params.name", "string"),
    "no object": ([], "params", "object"),
    "nothing": (None, "params", "object"),
}


@pytest.mark.parametrize(("value", "field", "allowed"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_names_the_path_and_what_is_allowed(value: object, field: str, allowed: str) -> None:
    """Whoever sent it can correct it without reading the source."""
    with pytest.raises(InvalidValue) as caught:
        check(value, Outer, "params")
    assert caught.value.field == field
    assert allowed in caught.value.allowed


NESTED: dict[str, tuple[object, str, str]] = {
    "a wrong value": ({"size": 10}, "inner.size", "<= 9"),
    "a missing field": ({}, "inner.size", "given"),
    "an unknown field": ({"size": 1, "more": 1}, "inner.more", "left out"),
    "no object": (5, "inner", "an object or null"),
}


@pytest.mark.parametrize(("inner", "field", "allowed"), NESTED.values(), ids=NESTED)
def test_a_refusal_within_an_object_names_the_whole_path(inner: object, field: str, allowed: str) -> None:
    """Without a root the path starts at the body's own fields; those of the whole are not the part's."""
    with pytest.raises(InvalidValue) as caught:
        check({"mode": "fast", "inner": inner}, Outer)
    assert caught.value.field == field
    assert allowed in caught.value.allowed
    assert "mode" not in caught.value.allowed
    assert inner == 5 or "an object" not in caught.value.allowed


def test_a_body_that_is_no_object_is_named_as_the_body() -> None:
    """Where there is no path, it is the body that is wrong."""
    with pytest.raises(InvalidValue, match=r"^body must be"):
        check("text", Outer)
