"""Topics and the filter of a stream: what may be asked for, and what an event is then matched against."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import InvalidValue
from tidings.topics import Filter, check_identifier, check_topic, wildcard

TOPICS = ("operations:a", "workflows:a", "agents:a", "operations:b")


@pytest.mark.parametrize("value", ["a", "A-Z_0.9~", "op_456", "x" * 128, "..", "-"])
def test_an_identifier_is_returned_as_it_is(value: str) -> None:
    """1 to 128 unreserved characters name anything."""
    assert check_identifier("id", value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 129,
        "a b",
        "a/b",
        "a:b",
        "é",
        "\uff11",
        "a\n",
        "\0",
        "*",
        "a,b",
        "a%20",
        None,
        5,
        b"a",
        ["a"],
    ],
)
def test_anything_else_is_refused_by_name(value: object) -> None:
    """The refusal names the field and the rule, whatever the value's type."""
    with pytest.raises(InvalidValue) as caught:
        check_identifier("workflow", value)
    assert caught.value.field == "workflow"
    assert "128" in caught.value.allowed


@pytest.mark.parametrize(
    "topic", ["operations:a", "workflows:a.b", "agents:*", "operations:*", "workflows:*"]
)
def test_a_topic_is_a_family_and_an_id_or_a_wildcard(topic: str) -> None:
    """Each of the three families takes an id or a star."""
    assert check_topic(topic) == topic


@pytest.mark.parametrize(
    "topic",
    ["", "*", "a", "operations", "operations:", ":a", "jobs:a", "Operations:a", "agents:**",
     "agents:a*", "agents:a:b", "agents: a", "agents:a\n", "*:a", "operations:\uff11"],
)  # fmt: skip
def test_any_other_topic_is_refused(topic: str) -> None:
    """The refusal names the parameter and the forms there are."""
    with pytest.raises(InvalidValue) as caught:
        check_topic(topic)
    assert caught.value.field == "topics"
    assert "operations:<id>" in caught.value.allowed


def test_a_wildcard_covers_its_family() -> None:
    """Each topic belongs to its family's star."""
    assert [wildcard(topic) for topic in TOPICS] == [
        "operations:*",
        "workflows:*",
        "agents:*",
        "operations:*",
    ]


def test_an_empty_filter_wants_everything() -> None:
    """Without topics, types and kinds a stream is the global one."""
    everything = Filter.of([])
    assert everything == Filter()
    assert everything.topics == ("*",)
    assert everything.covers(())
    assert everything.covers(TOPICS)
    assert everything.wants("any", "progress")


def test_a_filter_keeps_each_topic_once_in_the_order_given() -> None:
    """A topic that is asked for twice is asked for once."""
    assert Filter.of(["agents:b", "agents:a", "agents:b"]).topics == ("agents:b", "agents:a")


def test_a_filter_refuses_what_is_no_topic_and_no_kind() -> None:
    """The refusal names the parameter."""
    with pytest.raises(InvalidValue, match=r"^topics"):
        Filter.of(["nonsense"])
    with pytest.raises(InvalidValue, match=r"^kinds"):
        Filter.of([], kinds=["a b"])


@pytest.mark.parametrize(
    ("topics", "named"),
    [
        ([], None),
        (["operations:a"], ("operations:a",)),
        (["operations:a", "agents:b"], ("operations:a", "agents:b")),
        (["operations:a", "agents:*"], None),
        (["workflows:*"], None),
    ],
)
def test_a_filter_is_named_if_each_topic_is(topics: list[str], named: tuple[str, ...] | None) -> None:
    """One wildcard is enough for the topics' own streams not to be."""
    assert Filter.of(topics).named == named


@pytest.mark.parametrize("types", [(), ("progress",), ("progress", "error")])
@pytest.mark.parametrize("kinds", [(), ("batch",), ("batch", "agent")])
def test_types_and_kinds_narrow_independently(types: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    """An event is wanted if its type and its kind both are; none named means all."""
    wanted = Filter.of([], types, kinds)
    for kind in ("batch", "agent", "upload"):
        for event_type in ("progress", "error", "status"):
            expected = (not kinds or kind in kinds) and (not types or event_type in types)
            assert wanted.wants(kind, event_type) == expected


@given(
    st.lists(st.sampled_from([*TOPICS, "operations:*", "workflows:*", "agents:*"]), max_size=4),
    st.lists(st.sampled_from(TOPICS), unique=True),
)
def test_a_filter_covers_what_its_patterns_match(topics: list[str], carried: list[str]) -> None:
    """Covering is a plain match of any topic asked for with any topic carried."""
    patterns = topics or ["*"]
    expected = "*" in patterns or any(
        carries == pattern or (pattern.endswith(":*") and carries.startswith(pattern[:-1]))
        for pattern in patterns
        for carries in carried
    )
    assert Filter.of(topics).covers(carried) == expected
