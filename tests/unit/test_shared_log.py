"""Reads of the log that are under way are shared by those who ask for the same."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.event import Event

from tidings.settings import Settings
from webapp.shared_log import SharedLog

if TYPE_CHECKING:
    Asking = gevent.Greenlet[..., int]


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
