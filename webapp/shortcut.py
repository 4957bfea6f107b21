"""The short way to a stream: what most requests in a storm ask for, from the bytes of their head on.

Beside gunicorn's parser, WSGI and Flask, which take more than half of what a connection costs. It only
ever says yes, and has read nothing off the socket before it does: what is refused, wrong, not found, over
or not plain goes the long way, which finds the same and says why. Who may have a stream is asked of the
same rule as there (`webapp.auth`).
"""

import logging
from collections.abc import Generator
from contextlib import closing
from socket import MSG_PEEK
from typing import Any, Final

from werkzeug.http import parse_cookie

from tidings.errors import InvalidValue, LogUnavailable
from tidings.topics import FAMILIES, check_identifier
from webapp import auth
from webapp.answer import CONTENT_TYPE, HEADERS, answer
from webapp.connection import PlainConnection
from webapp.errors import NotFound, Unauthorized
from webapp.head import MAX_BYTES, Head, read_head
from webapp.origins import Caller
from webapp.query import Asked, read_stream
from webapp.service import Service

PREFIX: Final = "/api/events/"
HEAD_S: Final = 2.0
"""Who says nothing for so long is let go. Source: gunicorn's default of ``keepalive``."""

logger = logging.getLogger(__name__)


class Shortcut:
    """One per process. Called by the greenlet of each connection, before anything is read from it."""

    def __init__(self, here: Service, headers: dict[str, str]) -> None:
        self._here = here
        self._headers = [("Content-Type", CONTENT_TYPE), *HEADERS.items(), *headers.items()]

    def serve(self, connected: Any, peer: str) -> bool:
        """Serve the stream that the socket *connected* asks for; False if what it asks is to go the long way.

        *peer* is the address that it comes from.

        Waits for the request, and for what the stream has to say before it is parked.
        """
        said = _peek(connected)
        if not said:
            return True  # there is nobody to serve
        head = read_head(said)
        answered = self._answered(head, connected, peer) if head is not None else None
        if answered is None:
            return False
        connected.recv(len(said))
        _write(*answered)
        return True

    def _answered(
        self, head: Head, connected: Any, peer: str
    ) -> tuple[Generator[bytes], PlainConnection] | None:
        """Give the body of the stream and what it is written to; None for what is to go the long way."""
        here, caller = self._here, Caller.of(head.headers.get)
        address = here.proxies.place(peer, head.headers.get("x-forwarded-for", ""))
        try:
            asked = self._read(head)
            # A ticket is taken once, so by one way.
            if asked is None or asked.shows or self._refuses(caller) or not here.limits.admit(address):
                return None
            access = auth.admit(here, _carried(head, caller))
            headers = self._headers + here.origins.headers(caller)
            connection = PlainConnection(connected, headers, is_http_1_1=head.is_http_1_1)
            body = answer(here, access, asked, lambda: connection, address)
        except (InvalidValue, LogUnavailable, NotFound, Unauthorized):
            return None
        if body is None:
            return None
        here.limits.count(address)
        return body, connection

    def _refuses(self, caller: Caller) -> bool:
        return self._here.own_names.refuses(caller) or self._here.origins.refuses(caller)

    def _read(self, head: Head) -> Asked | None:
        """Read what stream is asked for; None if it is something else. Raises: InvalidValue."""
        if not head.path.startswith(PREFIX):
            return None
        family, _, name = head.path.removeprefix(PREFIX).partition("/")
        if family in FAMILIES:
            topic = f"{family}:{check_identifier('id', name)}"
        elif head.path == PREFIX + "stream":
            topic = ""
        else:
            return None
        requested = head.headers.get("last-event-id", "")
        return read_stream(topic, head.query, requested, self._here.settings.max_topics)


def _carried(head: Head, caller: Caller) -> auth.Carried:
    fields = head.headers
    cookie = parse_cookie(fields.get("cookie", "")).get(auth.COOKIE, "")
    return auth.Carried(fields.get("authorization", ""), cookie, caller)


def _write(body: Generator[bytes], connection: PlainConnection) -> None:
    """Write *body*, as far as the hub does not. Waits for the reader."""
    try:
        with closing(body):
            for piece in body:
                connection.write(piece)
        connection.end()
    except OSError as error:
        logger.debug("a browser left in its opening: %s", error)


def _peek(connected: Any) -> bytes:
    """Look at what the client has said, without taking it."""
    connected.settimeout(HEAD_S)
    try:
        said: bytes = connected.recv(MAX_BYTES, MSG_PEEK)
    except OSError:  # gone, or silent
        return b""
    return said
