"""Reads of the log that are under way are shared by those who ask for the same."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.event import Event

from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.log import Mark, OperationState
from tidings.settings import Settings
from webapp.shared_log import SharedLog

if TYPE_CHECKING:
    Asking = gevent.Greenlet[..., int]


START = Cursor(1, 0)


class Reads:
    """A read that takes until it is let go, and counts how often it was made."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = Event()
        self.error: Exception | None = None

    def __call__(self) -> int:
        """Read, in the end."""
        self.count += 1
        self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.count


@pytest.fixture
def place() -> list[int]:
    """How far the process has read."""
    return [1]


@pytest.fixture
def share(place: list[int]) -> Iterator[Callable[..., "Asking"]]:
    """Ask a question in a greenlet of its own, up to where it waits."""
    log = SharedLog(Settings(redis_url="redis://127.0.0.1:1"), lambda: tuple(place))

    def ask(question: str, read: Reads) -> "Asking":
        asking = gevent.spawn(log._share, question, read)  # noqa: SLF001 - the rule itself, apart from Redis
        gevent.idle()
        return asking

    yield ask
    log.close()


def test_the_same_question_at_once_is_asked_once(share: Callable[..., "Asking"]) -> None:
    """Whoever asks while the answer is under way gets that answer."""
    read = Reads()
    asking = [share("a", read) for _ in range(3)]
    read.gate.set()
    assert [one.get() for one in asking] == [1, 1, 1]


def test_a_later_or_another_question_is_asked_anew(share: Callable[..., "Asking"]) -> None:
    """An answer is not kept, and is no answer to anything else."""
    read = Reads()
    read.gate.set()
    assert [share(question, read).get() for question in ("a", "a", "b")] == [1, 2, 3]


def test_who_has_seen_more_asks_for_himself(share: Callable[..., "Asking"], place: list[int]) -> None:
    """An answer begun before the process read on may be older than what the asker has seen."""
    read = Reads()
    early = share("a", read)
    place[0] = 2
    late = share("a", read)
    read.gate.set()
    assert read.count == 2
    assert early.get() == late.get() == 2


class Table(SharedLog):
    """A log of which the operations a, b and c can be read; notes what was read together."""

    def __init__(self) -> None:
        super().__init__(Settings(redis_url="redis://127.0.0.1:1"), lambda: 1)
        self.reads: list[list[str]] = []
        self.gate = Event()
        self.error: Exception | None = None

    def ask(self, name: str) -> "gevent.Greenlet[..., list[OperationState]]":
        """Ask for an operation in a greenlet of its own, up to where it waits."""
        asking = gevent.spawn(lambda: self._together(f"operations:{name}", self._read)[1])
        gevent.idle()
        return asking

    def _read(self, topics: list[str]) -> tuple[Mark, list[OperationState]]:
        self.reads.append(topics)
        self.gate.wait()
        if self.error is not None:
            raise self.error
        return Mark("t", START), [state_of(topic[-1]) for topic in topics if topic[-1] in "abc"]


def state_of(name: str) -> OperationState:
    """Make an operation's state."""
    return OperationState(Descriptor.of(name, "batch"), "running", 1, 0, 0, START, START, None, {})


@pytest.fixture
def table() -> Iterator[Table]:
    """A log whose reads take until they are let go."""
    table = Table()
    yield table
    table.close()


def test_operations_that_are_asked_for_during_a_read_are_read_together(table: Table) -> None:
    """The first goes at once; the others share the next read, and each has its own answer."""
    asking = [table.ask(name) for name in ("a", "b", "c", "unknown", "b")]
    assert table.reads == [["operations:a"]]
    table.gate.set()
    found = [[state.descriptor.id for state in one.get()] for one in asking]
    assert found == [["a"], ["b"], ["c"], [], ["b"]]
    assert table.reads == [["operations:a"], ["operations:b", "operations:c", "operations:unknown"]]


def test_no_answer_is_older_than_its_question(table: Table) -> None:
    """The same operation is read again for who asks while it is being read."""
    early, late = table.ask("a"), table.ask("a")
    table.gate.set()
    gevent.joinall([early, late])
    assert table.reads == [["operations:a"], ["operations:a"]]


def test_a_read_together_that_fails_fails_for_all_and_is_forgotten(table: Table) -> None:
    """All who were gathered hear of it, and the next asks again."""
    table.error = RuntimeError("away")
    asking = [table.ask(name) for name in ("a", "b", "c")]
    table.gate.set()
    gevent.joinall(asking)
    assert [str(one.exception) for one in asking] == ["away"] * 3
    table.error = None
    assert [state.descriptor.id for state in table.ask("b").get()] == ["b"]


def test_who_gathers_and_is_ended_leaves_nobody_waiting(table: Table) -> None:
    """Those who joined it hear of it, and the next gathers anew."""
    asking = [table.ask(name) for name in ("a", "b", "c")]
    asking[1].kill()
    gevent.idle()
    assert asking[2].ready()
    table.gate.set()
    assert [state.descriptor.id for state in table.ask("b").get()] == ["b"]


def test_a_failure_is_everybodys_and_is_forgotten(share: Callable[..., "Asking"]) -> None:
    """All who waited hear of it, and the next asks again."""
    read = Reads()
    read.error = RuntimeError("away")
    asking = [share("a", read) for _ in range(2)]
    read.gate.set()
    gevent.joinall(asking)
    assert [str(one.exception) for one in asking] == ["away", "away"]
    read.error = None
    assert share("a", read).get() == 2
