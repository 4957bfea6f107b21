"""The live signal: a subscription that says when the log has grown, and nothing else.

Carries no truth: a wake-up that is lost, doubled or late costs at most a second's delay,
because the feed reads the log once a second anyway. So nobody parses what it says.
"""

import time
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
_PONG: Final = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"


class Wakeups:
    """One connection subscribed to the log's channel, for one contact with Redis.

    Used by the feed's greenlet alone. Leave the ``with`` to unsubscribe.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
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
                return True
