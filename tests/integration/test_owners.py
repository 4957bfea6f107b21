"""Whose an operation is: recorded once, told with each of its events, whoever speaks."""

import pytest

from tests.integration.test_log import Author
from tidings import placement
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.events import QUEUED, Complete, Status, Warning  # noqa: A004 - the wire's name
from tidings.log import Log
from tidings.operation import Operation
from tidings.record import NEW, OWN, Record
from tidings.replay import Reset, from_the_beginning, start_over
from tidings.reporter import Reporter
from tidings.topics import Filter, owner_topic
from tidings.workflow import Branch, Leaf

RUN = "mine.1"
HERS = Filter.of(["owners:ann"])


def about(owner: str | None, name: str = "op", use: str | None = None) -> Descriptor:
    """Describe an operation that is *owner*'s."""
    return Descriptor.of(name, "batch", owner=owner, use=use)


def announced(owner: str | None, name: str = "op", use: str | None = None) -> Record:
    """Announce it."""
    return Record.of(about(owner, name, use), Status, condition=NEW, status=QUEUED)


def topics(log: Log, topic: str = "owners:ann") -> list[tuple[str, str]]:
    """List what is on *topic*, by operation and type."""
    entries = log.read(Cursor(0, 0))
    return [(entry.operation_id, entry.type) for entry in entries if topic in entry.topics]


@pytest.fixture
def author(log: Log) -> Author:
    """Somebody who appends."""
    return Author(log)


def test_each_event_goes_to_whom_the_operation_belongs_to(log: Log, author: Author) -> None:
    """Also one that is said by who does not know the owner: a web process, or the log itself."""
    author.append(announced("ann"), announced("bob", "other"), announced(None, "nobodys"))
    author.append(Record.beginning(about(None), RUN, 1))
    author.append(Record.of(about(None), Complete, condition=OWN, run=RUN))
    assert topics(log) == [("op", "status"), ("op", "status"), ("op", "complete")]
    state = log.operation("op")
    assert state is not None
    assert state.topics == ("operations:op", "owners:ann")


def test_an_operation_that_begins_unannounced_has_an_owner_too(log: Log, author: Author) -> None:
    """The first that says whose it is counts, and nobody takes it over."""
    author.append(Record.beginning(about("ann"), RUN, 1), Record.beginning(about("bob"), "other.1", 2))
    assert topics(log) == [("op", "status")] * 2
    assert topics(log, "owners:bob") == []


def test_each_use_of_an_id_has_its_own_owner(log: Log, author: Author) -> None:
    """An id that is used again tells its new owner nothing of the old use."""
    author.append(announced("ann", use="first"), Record.beginning(about("bob", use="second"), RUN, 1))
    assert topics(log) == [("op", "status"), ("op", "error")]  # hers ended when its id was put to his
    assert topics(log, "owners:bob") == [("op", "status")]
    state = log.operation("op")
    assert state is not None
    assert state.owner == "owners:bob"


def test_a_workflows_steps_are_its_owners(log: Log, author: Author) -> None:
    """Its owner is told of the workflow, and of its steps; of members of groups, what goes wrong."""
    plan = Branch("chain", (Leaf("step"), Branch("group.1", (Leaf("member"),))))
    flow = Descriptor.of("flow", "workflow", owner="ann")
    author.append(Record.beginning(flow, RUN, 1))
    for place, at in placement.planted(plan, "flow").items():
        leaf = Descriptor.of(place, "task", workflow="flow", parent="flow", placement=at)
        author.append(Record.of(leaf, Status, condition=NEW, status=QUEUED))
        author.append(Record.beginning(leaf, f"{place}.1", 1))
        author.append(Record.of(leaf, Warning, condition=OWN, run=f"{place}.1", code="c", message="m"))
        author.append(Record.of(leaf, Complete, condition=OWN, run=f"{place}.1"))
    mine = topics(log)
    assert [said for said in mine if said[0] == "step"] == [
        ("step", "status"), ("step", "status"), ("step", "warning"), ("step", "complete"),
    ]  # fmt: skip
    assert [said for said in mine if said[0] == "member"] == [("member", "warning")]
    assert ("flow", "progress") in mine  # said by the log itself
    member = log.operation("member")
    assert member is not None
    assert member.owner == "owners:ann"


def test_a_stream_of_ones_own_begins_with_what_is_there(log: Log, author: Author) -> None:
    """Her stream's state has her operations and nobody else's; the log says that it is all."""
    author.append(announced("ann"), announced("bob", "his"), announced("ann", "two"))
    mark = log.hello()
    assert [state.descriptor.id for state in start_over(log, HERS, mark).states] == ["op", "two"]
    opening = from_the_beginning(log, HERS, mark)
    assert [entry.operation_id for entry in opening.entries] == ["op", "two"]


def test_somebody_has_no_beginning(log: Log, author: Author) -> None:
    """An operation of her name does not make what is kept of hers complete."""
    author.append(announced("ann", "ann"))
    log.redis.xtrim(log.key("log"), maxlen=1, approximate=False)
    assert from_the_beginning(log, HERS, log.hello()).reset is Reset.HISTORY_TRIMMED


def test_what_runs_inside_is_the_same_persons(reporter: Reporter, log: Log) -> None:
    """A child has its parent's owner unless it names one."""
    parent = Operation("batch", "parent", owner="ann", reporter=reporter, strict=False)
    child = Operation("batch", "child", parent=parent, reporter=reporter, strict=False)
    other = Operation("batch", "other", parent=parent, owner="bob", reporter=reporter, strict=False)
    assert (child.descriptor.owner, other.descriptor.owner) == ("ann", "bob")


@pytest.mark.parametrize(
    ("owner", "topic"),
    [
        ("ann", "owners:ann"),
        ("auth0|5", "owners:auth0~7C5"),
        ("a b", "owners:a~20b"),
        ("~20", "owners:~7E20"),
        ("é", "owners:~C3~A9"),
        ("*", "owners:~2A"),
        ("x" * 128, "owners:" + "x" * 128),
        ("x" * 129, ""),
        ("", ""),
    ],
)
def test_any_text_names_an_owner(owner: str, topic: str) -> None:
    """What cannot stand in a topic is written so that no two owners share one; nobody is too long a name."""
    assert owner_topic(owner) == topic
