"""Who asks: takes what a request carries, gives what its sender may do, or refuses.

The one rule, whichever way a request comes in. Closed unless the settings open it, which they do on loopback
only. What somebody may is `webapp.access`; here it is only found out who they are.
The metrics have a token of their own (`webapp.views.metrics`).
"""

import logging
import re
from typing import Final, NamedTuple, cast

from flask import Flask, Response, g, request

from tidings.claims import Claims
from tidings.errors import InvalidToken, InvalidValue, LogUnavailable
from webapp.access import OPEN, Access
from webapp.answer import CONTENT_TYPE, HEADERS
from webapp.errors import Unauthorized
from webapp.origins import Caller, Origins
from webapp.query import TICKET, misplaced_in
from webapp.service import Service, service
from webapp.stream import sent_away

PUBLIC_ENDPOINTS: Final = frozenset({"health.healthz", "health.readyz", "metrics.show", "debug.page"})
SIGN_IN_FILES: Final = frozenset({"base.css", "debug.css", "icon.svg", "sign_in.js"})
"""Of ``/debug``, as who has no token yet sees it."""
SESSION_ENDPOINTS: Final = frozenset({"session.begin", "session.end"})
"""They look at what they are given themselves: a cookie is renewed beside the old one."""
COOKIE: Final = "__Host-tidings"
"""Browsers take that name only with Secure, for all paths, of this very host. Source: RFC 6265bis, 4.1.3."""
OUR_PAGES: Final = frozenset({"", "same-origin", "none"})
"""Where a cookie counts: sent from a page of ours, by hand, or by what is too old to say. And where the
origin is one that may use the service."""
URL_RULE: Final = (
    "left out, as URLs are written into logs: send it as Authorization: Bearer, or begin a session"
)

_bearer: Final = re.compile(r"bearer +(.*)", re.IGNORECASE | re.DOTALL)

logger = logging.getLogger(__name__)


class Carried(NamedTuple):
    """What a request has to show, each as it came. ``misplaced`` names what must not be in its URL."""

    authorization: str = ""
    cookie: str = ""
    caller: Caller = Caller()
    ticket: str | None = None
    misplaced: str = ""

    @property
    def bearer(self) -> str | None:
        """The token in the header; other schemes are for others, such as a proxy."""
        found = _bearer.fullmatch(self.authorization)
        return found[1] if found else None


def install(app: Flask) -> None:
    """Have *app* know who asks, and refuse whoever may not."""
    app.before_request(_admit)


def access() -> Access:
    """Return what the sender of this request may do."""
    return cast("Access", g.access)


def admit(here: Service, carried: Carried) -> Access:
    """Find out who asks. Waits for Redis where a ticket is taken, or revocations have not been read yet.

    Raises: Unauthorized; InvalidValue for a token where none may be, and for two; LogUnavailable.
    """
    if here.settings.auth == "open":
        return OPEN
    if carried.misplaced:
        raise InvalidValue(carried.misplaced, URL_RULE)
    bearer, ticket = carried.bearer, carried.ticket
    cookie = carried.cookie or None
    if sum(shown is not None for shown in (bearer, cookie, ticket)) > 1:
        field = "Authorization" if bearer is not None else TICKET
        raise InvalidValue(field, "the only token of a request: it has another, in a cookie or its URL")
    if ticket is not None:
        claims = here.tickets.take(ticket)
    elif cookie is not None and not _counts(here.origins, carried.caller):
        claims = None
    else:
        claims = verified(here, bearer if bearer is not None else cookie or "")
    if claims is None:
        raise Unauthorized
    granted = Access.of(claims) if ticket is None else Access.by_ticket(claims)
    if granted.grant is not None and here.revoked.covers(granted.grant):
        raise Unauthorized
    return granted


def verified(here: Service, token: str) -> Claims | None:
    """Read a token; None unless it is good, whatever about it is not. Never blocks."""
    settings = here.settings
    try:
        return here.keys.verify(
            token,
            max_lifetime_s=settings.max_token_s,
            issuer=settings.token_issuer,
            audience=settings.token_audience,
        )
    except InvalidToken as error:
        if token:
            logger.info("a token was refused: %s", error.reason)
        return None


def _counts(origins: Origins, caller: Caller) -> bool:
    return caller.site in OUR_PAGES or caller.origin in origins


def asker() -> Access | None:
    """Return what the sender of a request to a public endpoint may do; None for nobody that we know."""
    try:
        return admit(service(), _carried())
    except Unauthorized:
        return None


def _carried(*, may_show_a_ticket: bool = False) -> Carried:
    return Carried(
        request.headers.get("Authorization", ""),
        request.cookies.get(COOKIE, ""),
        Caller.of(request.headers.get),
        request.args.get(TICKET),
        misplaced_in(request.args, may_show_a_ticket=may_show_a_ticket),
    )


def _is_for_signing_in() -> bool:
    return request.endpoint == "static" and (request.view_args or {}).get("filename") in SIGN_IN_FILES


def _admit() -> Response | None:
    if request.endpoint in PUBLIC_ENDPOINTS | SESSION_ENDPOINTS or _is_for_signing_in():
        return None
    is_stream = request.blueprint == "events"
    try:
        g.access = admit(service(), _carried(may_show_a_ticket=is_stream))
    except LogUnavailable:
        if not is_stream:
            raise
        return Response(sent_away(), content_type=CONTENT_TYPE, headers=HEADERS)
    return None
