"""The live signal: a subscription that says when the log has grown, and nothing else.

Carries no truth: a wake-up that is lost, doubled or late costs at most a second's delay,
because the feed reads the log once a second anyway. So nothing follows from what it says: what is none of
ours is counted and said, and wakes the feed as anything does.
"""

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

from redis.exceptions import RedisError

from tidings.errors import LogUnavailable
from tidings.log import Log

SILENCE_S: Final = 1.0
"""How long to wait for a wake-up before the log is asked (LOG.md, A14)."""
ANSWER_S: Final = 1.5
"""How long the feed waits for any answer. Behind a second of silence a Redis that has died or frozen
is known as such after 2.5 s; 3 are promised."""
_MOST_BYTES: Final = 65_536
_BEGINNING: Final = re.compile(rb"\$\d{0,3}(?:\r(?:\n(?:\d{1,20}(?:-(?:\d{1,20}\r?)?)?)?)?)?")
"""Of the second half of a message of ours: its length, and an id."""
_PONG: Final = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"


class Wakeups:
    """One connection subscribed to the log's channel, for one contact with Redis.

    Used by the feed's greenlet alone. Leave the ``with`` to unsubscribe. *on_foreign* is called where
    something begins that no reporter has said.
    """

    def __init__(self, log: Log, on_foreign: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._ours = Ours(log.channel, on_foreign)
        self._lent = ExitStack()
        self._connection: Any = None
        self._heard_at = time.monotonic()

    def __enter__(self) -> Self:
        with self._lent:
            self._connection = self._lent.enter_context(self._log.lend())
            self._connection.send_command("SUBSCRIBE", self._log.channel)
            self._connection.read_response()
            # redis-py waits for whole messages only, and takes 200 us for each: too dear at 1,000 a second.
            self._connection._sock.settimeout(SILENCE_S)  # noqa: SLF001
            self._lent = self._lent.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lent.close()

    def wait(self) -> bool:
        """Wait up to a second for a wake-up, and swallow all that came with it; tell whether there was one.

        Raises: LogUnavailable when the subscription has died: an unanswered PING, since
        redis-py does not notice a cut cable for a minute (PITFALLS 0.2).
        """
        try:
            said = self._hear()
            if not said:
                self._connection.send_command("PING")
        except (RedisError, OSError) as error:
            raise LogUnavailable(f"the subscription to the log's channel failed: {error}") from error
        if time.monotonic() - self._heard_at > SILENCE_S + ANSWER_S:
            raise LogUnavailable("the subscription to the log's channel is silent")
        return said

    def _hear(self) -> bool:
        """Take what has come, messages or a part of one; False after a second without. Pongs wake nobody."""
        while True:
            try:
                said: bytes = self._connection._sock.recv(_MOST_BYTES)  # noqa: SLF001 - see above
            except TimeoutError:
                return False
            if not said:
                raise ConnectionError("Redis has closed it")
            self._heard_at = time.monotonic()
            if said != _PONG:
                self._ours.hear(said)
                return True


class Ours:
    """Tells what reporters publish from what they do not, in the bytes of a subscription as they come.

    *on_foreign* is called once for all that comes until there is something of ours again. Keeps at most the
    beginning of one message. Source of the format: Redis' RESP2.
    """

    def __init__(self, channel: str, on_foreign: Callable[[], None]) -> None:
        name = channel.encode()
        self._head = b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n" % (len(name), name)
        self._known = re.compile(
            rb"(?:%b\$\d+\r\n\d+-\d+\r\n|%b)+" % (re.escape(self._head), re.escape(_PONG))
        )
        self._on_foreign = on_foreign
        self._rest = b""
        self._is_lost = False

    def hear(self, said: bytes) -> None:
        """Take the next bytes."""
        data = self._rest + said
        found = self._known.match(data)
        rest = data[found.end() :] if found else data
        if self._may_go_on(rest):
            self._rest, self._is_lost = rest, False
            return
        self._rest = b""
        if not self._is_lost or found:
            self._on_foreign()
        self._is_lost = True

    def _may_go_on(self, rest: bytes) -> bool:
        """Tell whether *rest* is the beginning of a message of ours, or of a pong."""
        head, more = rest[: len(self._head)], rest[len(self._head) :]
        if not more:
            return self._head.startswith(head) or _PONG.startswith(rest)
        return head == self._head and _BEGINNING.fullmatch(more) is not None
