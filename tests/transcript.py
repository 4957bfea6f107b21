"""What one client asked for and was sent: the words of its request and the frames of its answer.

Written by whoever plays the client, read by the oracle (``tests.oracle``). Plain values.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.history import Place, Stored
from tests.sse import Message


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for. ``cursor`` is the id as it was sent, or empty.

    ``topics`` may hold wildcards and ``*``; empty ``types`` and ``kinds`` mean all. ``own`` is the operation
    whose own stream it is, which ends with it.
    """

    topics: tuple[str, ...] = ("*",)
    types: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    history: str = "latest"
    cursor: str = ""
    own: str = ""

    @property
    def wants_all(self) -> bool:
        """Tell whether it asks for everything from the beginning on."""
        return self.history == "all" and not self.cursor

    def asks_for(self, event: Stored) -> bool:
        """Tell whether *event* is on one of the topics, of one of the types and kinds."""
        return (
            (not self.types or event.type in self.types)
            and (not self.kinds or event.kind in self.kinds)
            and any(_matches(asked, topic) for asked in self.topics for topic in event.topics)
        )


def _matches(asked: str, topic: str) -> bool:
    return topic.startswith(asked[:-1]) if asked.endswith("*") else asked == topic


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as the client saw it. ``id`` is the client's cursor behind it: empty until one was sent."""

    event: str
    data: str
    id: str = ""


@dataclass(slots=True)
class Connection:
    """One request and all that answered it.

    ``exact`` says that the log still reached back to the cursor when it was asked, so that a reset would be
    needless. ``slow``: the client took its time, so that its progress may be conflated. ``finished``: the
    server ended the body and did not send the client away. ``head``, on a stream that is still open when all
    has come to rest, is the place that it must have reached.
    """

    request: Request
    status: int = 200
    frames: list[Frame] = field(default_factory=list)
    exact: bool = False
    slow: bool = False
    finished: bool = False
    head: Place | None = None

    def take(self, messages: Iterable[Message]) -> None:
        """Note what the client's parser gave."""
        self.frames += [Frame(message.type, message.data, message.last_event_id) for message in messages]

    @property
    def cursor(self) -> str:
        """Where the client would resume."""
        return self.frames[-1].id if self.frames and self.frames[-1].id else ""
