"""``tidings watch``: operations as they move, until they are over; their outcome is the exit status.

Takes the state from the service and from there on its stream, gives them to a board and to what shows it:
bars in a terminal (`tidings.cli.screen`), or a line for each event.
"""

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from tidings.cli import words
from tidings.cli.board import FORGOTTEN, Board
from tidings.cli.exits import CommandFailed, Exit
from tidings.cli.operations import say_json
from tidings.cli.service import Service
from tidings.cli.sse import Message
from tidings.cli.stream import Line, Stream
from tidings.events import FINAL_STATUSES

TICK_S: Final = 0.1
"""Between two looks at what has come, and so between two drawings."""
MAX_TOPICS: Final = 64
"""That a stream may name (TIDINGS_MAX_TOPICS): whoever follows more takes everything, and drops the rest."""
MOST_LISTED: Final = 1_000

Item = Message | Line | Exception


class View(Protocol):
    """What shows a board."""

    def state(self, operation: Mapping[str, Any]) -> None:
        """Show how an operation stands that will be followed, as the service shows it."""

    def hear(self, message: Message, data: dict[str, Any]) -> None:
        """Show an event of an operation that is followed."""

    def line(self, line: Line) -> None:
        """Show that the connection is gone, or back."""

    def draw(self, board: Board) -> None:
        """Show how things stand; called several times a second."""


@dataclass
class Lines:
    """A line for each event, as text or as JSON; what is said of the connection goes to stderr."""

    as_json: bool = False
    _was_up: bool = True

    def state(self, operation: Mapping[str, Any]) -> None:
        """Print how it stands."""
        if self.as_json:
            say_json({"type": "state", "data": operation})
        else:
            whose = words.clean(f"{operation['updatedAt']} {operation['id']} {operation['kind']}")
            print(f"{whose} state {words.state(operation)}", flush=True)

    def hear(self, message: Message, data: dict[str, Any]) -> None:
        """Print the event."""
        if self.as_json:
            say_json({"id": message.id, "type": message.type, "data": data})
        else:
            print(words.line(message.type, data), flush=True)

    def line(self, line: Line) -> None:
        """Say once that it is gone, and once that it is back."""
        if line.is_up != self._was_up:
            self._was_up = line.is_up
            text = "connected again" if line.is_up else f"reconnecting: {words.clean(line.reason)}"
            print(f"tidings: {text}", file=sys.stderr, flush=True)

    def draw(self, board: Board) -> None:
        """Nothing: what has been printed stands."""


def watch(
    service: Service,
    ids: Sequence[str],
    *,
    follow: bool,
    plain: bool,
    as_json: bool,
    heartbeat_s: float,
    give_up_s: float,
) -> Exit:
    """Follow the operations *ids*, or all that run, and give what they came to.

    Blocks until they are over, or for *give_up_s* without the service. Raises: Refused, Unreachable,
    CommandFailed.
    """
    board = Board(follow=follow)
    operations, cursor = _states(service, ids)
    for operation in operations:
        board.begin(operation)
    if board.is_over and not board.rows:
        print("tidings: nothing is running", file=sys.stderr)
    topics = [] if follow or len(board.rows) > MAX_TOPICS else [f"operations:{name}" for name in board.rows]
    stream = Stream(service, {"topics": ",".join(topics)}, cursor, heartbeat_s=heartbeat_s)
    with _view(plain=plain, as_json=as_json) as view:
        for operation in operations:
            view.state(operation)
        if not board.is_over:
            _follow(board, stream, view, give_up_s)
        view.draw(board)
    for row in board.rows.values():
        if row.status == FORGOTTEN:
            print(f"tidings: {row.id}: {row.message}", file=sys.stderr)
    return board.exit


def _states(service: Service, ids: Sequence[str]) -> tuple[list[Mapping[str, Any]], str]:
    """Give the operations that are followed as they stand, and the cursor that goes on from there."""
    if not ids:
        answer = service.get("/api/operations", {"limit": MOST_LISTED})  # running ones come first
        running = [each for each in answer["operations"] if each["status"] not in FINAL_STATUSES]
        return running[::-1], answer["lastEventId"]
    answers = [service.operation(name) for name in dict.fromkeys(ids)]
    # The oldest cursor; what the other operations have of it already is told by its id.
    return [answer["operation"] for answer in answers], answers[0]["lastEventId"]


def _view(*, plain: bool, as_json: bool) -> AbstractContextManager[View]:
    """Choose bars where there is a terminal, and rich to draw them; else lines."""
    if plain or as_json or not sys.stdout.isatty():
        return nullcontext(Lines(as_json))
    if find_spec("rich") is None:
        print("tidings: pip install 'tidings[cli]' for bars", file=sys.stderr)
        return nullcontext(Lines())
    from tidings.cli.screen import Screen  # noqa: PLC0415 - it needs the extra

    return Screen()


def _follow(board: Board, stream: Stream, view: View, give_up_s: float) -> None:
    inbox: SimpleQueue[Item] = SimpleQueue()
    threading.Thread(target=_draw_from, args=(stream, inbox), daemon=True).start()
    gone_at: float | None = time.monotonic()
    try:
        while not board.is_over:
            for item in _waiting(inbox):
                gone_at = _take(item, board, view, gone_at)
            if gone_at is not None and time.monotonic() - gone_at > give_up_s:
                raise CommandFailed(f"no service for {give_up_s:g} s", Exit.UNREACHABLE)
            view.draw(board)
    finally:
        stream.close()


def _take(item: Item, board: Board, view: View, gone_at: float | None) -> float | None:
    """Have board and view know of *item*; say since when the connection is gone, if it is."""
    match item:
        case Message():
            data = board.hear(item)
            if data is not None:
                view.hear(item, data)
            return None
        case Line():
            view.line(item)
            return gone_at if item.is_up or gone_at is not None else time.monotonic()
        case _:
            raise item


def _waiting(inbox: "SimpleQueue[Item]") -> Iterator[Item]:
    """Give what has come; waits a tick for the first. No more than there is now: it is to be drawn, too."""
    with suppress(Empty):
        yield inbox.get(timeout=TICK_S)
        for _ in range(inbox.qsize()):
            yield inbox.get_nowait()


def _draw_from(stream: Stream, inbox: "SimpleQueue[Item]") -> None:
    try:
        for item in stream:
            inbox.put(item)
    except Exception as error:  # noqa: BLE001 - raised where it is waited for
        inbox.put(error)
