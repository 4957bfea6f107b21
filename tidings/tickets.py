"""Tickets: what opens one stream, once, within half a minute, without a token.

Beside the flow: for a page that cannot send a header. Whoever starts an operation is given one for it, and
puts it into the stream's URL; it is worth nothing in a log, for it was taken by then.
"""

import re
import secrets
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from tidings.claims import Claims
from tidings.log import Log

TICKET_S: Final = 30
STREAM_S: Final = 3_600
"""How long the stream may be open, where no token says less; guessed."""
NOBODY: Final = "anonymous"

_TICKET: Final = re.compile(r"[\w-]{43}", re.ASCII)


class Tickets:
    """The tickets of one namespace, in Redis. Any thread or greenlet may call it."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def issue(
        self,
        topics: Iterable[str],
        subject: str = NOBODY,
        token_id: str = "",
        issued_at: float | None = None,
        expires_at: float | None = None,
    ) -> str:
        """Make a ticket for the stream of *topics*. Waits for Redis.

        The token of who is given it, if any, says who asks, until when (s since 1970), and what revokes it.
        Raises: LogUnavailable; InvalidValue for a subject that no token could have.
        """
        now = int(time.time())
        claims = Claims(
            iss="",
            aud="",
            sub=subject,
            exp=now + STREAM_S if expires_at is None else int(expires_at),
            iat=now if issued_at is None else int(issued_at),
            jti=token_id,
            topics=tuple(topics),
        )
        ticket = secrets.token_urlsafe(32)
        self._log.issue(ticket, msgspec.json.encode(claims), TICKET_S)
        return ticket

    def take(self, ticket: str) -> Claims | None:
        """Give what a ticket gives, once; None if it is none, was taken, or is over. Waits for Redis.

        Raises: LogUnavailable.
        """
        if _TICKET.fullmatch(ticket) is None:
            return None
        said = self._log.take(ticket)
        if said is None:
            return None
        try:
            claims = msgspec.json.decode(said, type=Claims)
        except msgspec.DecodeError:  # somebody else wrote it
            return None
        return claims if time.time() < claims.exp else None
