"""Who asks too often is told to wait, before anybody looks at what is asked.

Takes the address that a request is counted by (`webapp.peers`), asks `webapp.limits`. A stream is told as in
an overload: any status but 200 would end a browser's EventSource for ever (DESIGN.md, 3).
"""

import logging
from typing import Final, cast

from flask import Flask, Response, g, request

from tidings.once import is_first
from webapp.answer import CONTENT_TYPE, HEADERS, turned_away
from webapp.errors import problem
from webapp.service import Service, service

PROBES: Final = frozenset({"health.healthz", "health.readyz"})
RETRY_AFTER_S: Final = "1"

logger = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Have *app* serve no address beyond its pace."""
    app.before_request(_keep_pace)


def address() -> str:
    """Return by what address this request is counted."""
    return cast("str", g.address)


def _keep_pace() -> Response | None:
    here = service()
    forwarded = request.headers.get("X-Forwarded-For", "")
    g.address = here.proxies.place(request.remote_addr or "", forwarded)
    if request.endpoint in PROBES:
        return None
    is_stream = request.blueprint == "events"
    if here.limits.admit(address()) if is_stream else here.limits.are_kept_by(address()):
        here.limits.count(address())
        return None
    _doubt(here, address(), forwarded)
    if is_stream:
        return Response(turned_away(here, "limited"), content_type=CONTENT_TYPE, headers=HEADERS)
    here.hub.counts.limited += 1
    refused = problem(429, "Too Many Requests", "this address asks more often than it may; wait a second")
    refused.headers["Retry-After"] = RETRY_AFTER_S
    return refused


def _doubt(here: Service, counted: str, forwarded: str) -> None:
    """Say once that who has met a limit may be a proxy that nobody has named."""
    if forwarded and not here.proxies and is_first("proxy"):
        logger.warning(
            "%s has met a limit, and sends X-Forwarded-For: "
            "if it is a proxy of yours, name it in TIDINGS_TRUSTED_PROXIES",
            counted,
        )
