"""What the service answers when it will not do as asked: problem documents (RFC 9457).

Takes exceptions of ours and of werkzeug, gives ``application/problem+json`` that names the
field and what is allowed. No traceback ever leaves the process.
"""

import logging
from typing import Any

from flask import Flask, Response
from msgspec import json
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, default_exceptions

from tidings.errors import DispatchFailed, InvalidValue, LogUnavailable
from webapp.tus import Refusal

logger = logging.getLogger(__name__)


class Unauthorized(Exception):
    """Nobody that we know asks. It is not said what is wrong with what they have shown."""


class Forbidden(Exception):
    """The asker may see this, and not do it."""


class NotFound(Exception):
    """There is nothing by that name, or nothing that the asker may know of."""

    def __init__(self, what: str) -> None:
        super().__init__(f"there is no {what}")


class Gone(Exception):
    """There was something by that name, and there will not be again."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is over or has expired")


class Conflict(Exception):
    """What is asked for does not go with how things stand; *more* are members of the problem."""

    def __init__(self, detail: str, **more: object) -> None:
        super().__init__(detail)
        self.more = more


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """Make a problem document; *more* are its extension members, such as ``field`` and ``allowed``."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(json.encode(body), status, content_type="application/problem+json")


def install(app: Flask, max_body_bytes: int) -> None:
    """Have *app* answer every error with a problem document."""
    app.register_error_handler(InvalidValue, _invalid)
    app.register_error_handler(Unauthorized, lambda _: _unauthorized())
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(NotFound, _not_found)
    app.register_error_handler(Gone, _gone)
    app.register_error_handler(Conflict, _conflict)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(LogUnavailable, _unavailable)
    app.register_error_handler(DispatchFailed, _unavailable)
    app.register_error_handler(RequestEntityTooLarge, lambda _: _too_large(max_body_bytes))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _invalid(error: InvalidValue) -> Response:
    return problem(400, "Bad Request", str(error), field=error.field, allowed=error.allowed)


def _unauthorized() -> Response:
    response = problem(
        401, "Unauthorized", "this needs a token that is good: Authorization: Bearer, or a session"
    )
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _forbidden(error: Forbidden) -> Response:
    return problem(403, "Forbidden", str(error))


def _not_found(error: NotFound) -> Response:
    return problem(404, "Not Found", str(error))


def _gone(error: Gone) -> Response:
    return problem(410, "Gone", str(error))


def _refused(error: Refusal) -> Response:
    response = problem(error.status, error.title, str(error))
    response.status = f"{error.status} {error.title}"  # tus has one that HTTP does not know
    response.headers.extend(error.headers)
    return response


def _conflict(error: Conflict) -> Response:
    return problem(409, "Conflict", str(error), **error.more)


def _unavailable(error: Exception) -> Response:
    logger.warning("answered 503: %s", error)
    response = problem(
        503, "Service Unavailable", "the log or the broker cannot be reached; nothing was started"
    )
    response.headers["Retry-After"] = "1"
    return response


def _too_large(max_body_bytes: int) -> Response:
    allowed = f"at most {max_body_bytes} bytes"
    return problem(413, "Content Too Large", f"body must be {allowed}", field="body", allowed=allowed)


def _http(error: HTTPException) -> Response:
    status = error.code if error.code in default_exceptions else 500
    response = problem(status, error.name, error.description or error.name)
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    logger.error("unexpected error", exc_info=error)
    return problem(500, "Internal Server Error", "something went wrong here; it has been logged")
