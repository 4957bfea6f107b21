"""The live signal: a subscription that says when the log has grown, and nothing else.

Carries no truth: a wake-up that is lost, doubled or late costs at most a second's delay,
because the feed reads the log once a second anyway.
"""

import time
from types import TracebackType
from typing import Final, Self

from redis.exceptions import RedisError

from tidings.errors import LogUnavailable
from tidings.log import TIMEOUT_S, Log

SILENCE_S: Final = 1.0
"""How long to wait for a wake-up before the log is asked (LOG.md, A14)."""


class Wakeups:
    """One connection subscribed to the log's channel, for one contact with Redis.

    Used by the feed's greenlet alone. Leave the ``with`` to unsubscribe.
    """

    def __init__(self, log: Log) -> None:
        self._pubsub = log.redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._channel = log.channel
        self._heard_at = time.monotonic()

    def __enter__(self) -> Self:
        with _translated():
            self._pubsub.subscribe(self._channel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pubsub.close()

    def wait(self) -> bool:
        """Wait up to a second for a wake-up, then swallow all others; tell whether there was one.

        Raises: LogUnavailable when the subscription has died: an unanswered PING, since
        redis-py does not notice a cut cable for a minute (PITFALLS 0.2).
        """
        with _translated():
            heard = self._hear(SILENCE_S)
            while self._hear(0):
                heard = True
            if not heard:
                self._pubsub.ping()
        if time.monotonic() - self._heard_at > TIMEOUT_S:
            raise LogUnavailable("the subscription to the log's channel is silent")
        return heard

    def _hear(self, timeout_s: float) -> bool:
        """Take one message; a pong shows that the link lives, and wakes nobody."""
        while (message := self._pubsub.get_message(timeout=timeout_s)) is not None:
            self._heard_at = time.monotonic()
            if message["type"] == "message":
                return True
        return False


class _translated:  # noqa: N801 - reads as a clause
    """Turn what redis-py raises into LogUnavailable."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, RedisError | OSError):
            raise LogUnavailable(f"the subscription to the log's channel failed: {error}") from error
