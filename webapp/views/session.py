"""A session: a token in a cookie, for what sends no header, as a browser's own EventSource."""

import time

from flask import Blueprint, Response, request

from webapp.access import Grant
from webapp.auth import COOKIE, Carried, verified
from webapp.errors import Unauthorized
from webapp.service import service

blueprint = Blueprint("session", __name__, url_prefix="/api/session")


@blueprint.post("")
def begin() -> Response:
    """Put the token of the header into a cookie that no script can read, until it expires."""
    here = service()
    if here.settings.auth == "open":
        return _answer()
    token = Carried(request.headers.get("Authorization", "")).bearer or ""
    claims = verified(here, token)
    if claims is None or here.revoked.covers(Grant.of(claims)):
        raise Unauthorized
    return _answer(token, int(claims.exp - time.time()))


@blueprint.delete("")
def end() -> Response:
    """Clear the cookie. The token stays good until it expires or is revoked."""
    return _answer()


def _answer(token: str = "", max_age_s: int = 0) -> Response:
    response = Response(status=204, headers={"Cache-Control": "no-store"})
    response.set_cookie(COOKIE, token, max_age=max_age_s, secure=True, httponly=True, samesite="Strict")
    return response
