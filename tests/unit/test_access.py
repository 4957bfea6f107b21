"""What one asker may see: rights are topics, and a filter is cut down to them."""

import pytest

from tidings.claims import Claims
from tidings.topics import Filter
from webapp.access import OPEN, Access, Grant
from webapp.errors import NotFound


def asker(*topics: str, start: tuple[str, ...] = (), cancel: tuple[str, ...] = ()) -> Access:
    """Give the rights of a token of ann's."""
    claims = Claims(iss="i", aud="a", sub="ann", exp=1, topics=topics, start=start, cancel=cancel)
    return Access.of(claims)


OPERATIONS = {  # what there is, by its topics
    "a": ("operations:a",),
    "mine": ("operations:mine", "owners:ann"),
    "his": ("operations:his", "owners:bob"),
    "step": ("operations:step", "workflows:w", "owners:bob"),
    "member": ("operations:member", "members:w", "owners:bob"),
    "w": ("operations:w", "workflows:w", "owners:bob"),
    "flow": ("operations:flow", "workflows:flow", "owners:ann"),
    "bot": ("operations:bot", "agents:bot", "owners:ann"),
    "guest": ("operations:guest", "agents:bot", "owners:bob"),
    "shop": ("operations:shop", "owners:ann"),  # ann's, and only called like an agent and a workflow
}


def narrowed(access: Access, *topics: str) -> tuple[str, ...]:
    """Ask for *topics*."""

    def leads(topic: str) -> bool:
        return access.leads(topic, OPERATIONS.get(topic.partition(":")[2], ()))

    return access.narrow(Filter.of(topics), leads).topics


ALLOWED = {
    "everything, with all rights": (("*",), (), ("*",)),
    "anything, with all rights": (("*",), ("operations:nobody",), ("operations:nobody",)),
    "everything, with few": (("operations:a", "agents:x"), (), ("operations:a", "agents:x", "owners:ann")),
    "all operations": (("operations:a",), ("operations:*",), ("operations:a", "owners:ann")),
    "everything, with none": ((), (), ("owners:ann",)),
    "by name": (("operations:his",), ("operations:his",), ("operations:his",)),
    "by name, of what is not there": (("agents:later",), ("agents:later",), ("agents:later",)),
    "by a pattern": (("workflows:*",), ("workflows:w",), ("workflows:w",)),
    "a pattern by itself": (("workflows:*",), ("workflows:*",), ("workflows:*",)),
    "a pattern by its names": (("agents:x", "agents:y"), ("agents:*",), ("agents:x", "agents:y")),
    "one's own by name": ((), ("operations:mine",), ("operations:mine",)),
    "one's own by the owner": ((), ("owners:ann",), ("owners:ann",)),
    "one's own among owners": ((), ("owners:*",), ("owners:ann",)),
    "a step of a workflow": (("workflows:w",), ("operations:step",), ("operations:step",)),
    "a member of a workflow": (("workflows:w",), ("operations:member",), ("operations:member",)),
    "members of a workflow": (("workflows:w",), ("members:w",), ("members:w",)),
    "one's own workflow": ((), ("workflows:flow", "members:flow"), ("workflows:flow", "members:flow")),
    "one's own agent": ((), ("agents:bot",), ("agents:bot",)),
}


@pytest.mark.parametrize(("given", "wanted", "got"), ALLOWED.values(), ids=ALLOWED)
def test_what_may_be_seen_is_what_is_left(
    given: tuple[str, ...], wanted: tuple[str, ...], got: tuple[str, ...]
) -> None:
    """What is asked for is cut down to what the token names and what is its subject's."""
    assert narrowed(asker(*given), *wanted) == got


REFUSED = {
    "of somebody else": ((), ("operations:his",)),
    "of nobody": ((), ("operations:a",)),
    "not there": ((), ("operations:nobody",)),
    "beside one that may": (("operations:a",), ("operations:a", "operations:his")),
    "in the same workflow": (("operations:w",), ("operations:step",)),
    "the workflow of an operation that may be seen": (("operations:w",), ("workflows:w",)),
    "another workflow": (("workflows:v",), ("workflows:w",)),
    "members of another workflow": (("workflows:v",), ("members:w",)),
    "an agent called like one's own operation": ((), ("agents:shop",)),
    "a workflow called like one's own operation": ((), ("workflows:shop",)),
    "in the agent by a claim for another": (("agents:b",), ("operations:guest",)),
    "another owner": ((), ("owners:bob",)),
    "a prefix": (("operations:his-more",), ("operations:his",)),
    "a longer name": (("operations:hi",), ("operations:his",)),
    "all agents": ((), ("agents:*",)),
    "all workflows, with one's members": (("members:w",), ("workflows:*",)),
    "a workflow, with its members": (("members:w",), ("workflows:w",)),
    "another family": (("agents:*",), ("operations:his",)),
}


@pytest.mark.parametrize(("given", "wanted"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_be_seen_is_not_there(given: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    """What is forbidden and what does not exist are said in the same words."""
    with pytest.raises(NotFound) as caught:
        narrowed(asker(*given), *wanted)
    family, _, name = wanted[-1].partition(":")
    assert str(caught.value) == f"there is no {family.removesuffix('s')} {name}"


def test_a_filter_keeps_its_types_and_kinds() -> None:
    """Only the topics are cut down; equal rights share one filter."""
    wanted = Filter.of([], ["progress"], ["batch"])
    first, second = (asker("agents:x").narrow(wanted, lambda _: False) for _ in range(2))
    assert first == Filter.of(["agents:x", "owners:ann"], ["progress"], ["batch"])
    assert first is second


def test_where_nobody_is_asked_everything_is_allowed() -> None:
    """An open service keeps its filters, names no owner, and has everything be everybody's."""
    wanted = Filter.of(["operations:his"])
    assert OPEN.narrow(wanted, lambda _: False) is wanted
    assert (OPEN.subject, OPEN.owner, OPEN.grant) == ("anonymous", None, None)
    assert OPEN.owns("bob")
    assert OPEN.may_start("batch")
    assert OPEN.may_cancel(OPERATIONS["his"])
    assert OPEN.may_name(OPERATIONS["w"])


def test_what_may_be_started_and_cancelled_is_named() -> None:
    """Kinds by name or all; operations by topic, by workflow, or as one's own."""
    assert asker(start=("batch",)).may_start("batch")
    assert not asker(start=("batch",)).may_start("agent")
    assert not asker("*").may_start("batch")
    assert asker(start=("*",)).may_start("agent")
    assert asker().may_cancel(OPERATIONS["mine"])
    assert not asker("*").may_cancel(OPERATIONS["his"])
    assert asker(cancel=("workflows:w",)).may_cancel(OPERATIONS["step"])
    assert asker(cancel=("*",)).may_cancel(OPERATIONS["his"])


def test_an_id_may_be_chosen_where_all_its_topics_are_named() -> None:
    """An agent that one starts under a name that others use would be theirs to watch."""
    assert asker("operations:x").may_name(("operations:x",))
    assert not asker("operations:x").may_name(("operations:x", "agents:x"))
    assert asker("operations:*", "agents:x").may_name(("operations:x", "agents:x"))


def test_a_ticket_is_for_what_it_names() -> None:
    """Not for what else is its subject's."""
    claims = Claims(iss="", aud="", sub="ann", exp=1, jti="j", iat=0, topics=("operations:a",))
    access = Access.by_ticket(claims)
    assert narrowed(access) == ("operations:a",)
    assert not access.sees(OPERATIONS["mine"])
    assert not access.may_cancel(OPERATIONS["a"])
    assert access.grant == Grant("ann", "j", 0, 1)
