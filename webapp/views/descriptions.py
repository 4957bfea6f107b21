"""What this service takes and says, for programs: OpenAPI of the HTTP, AsyncAPI of the streams."""

from functools import lru_cache

from flask import Blueprint, Flask, Response, current_app
from msgspec import json

import webapp.asyncapi
import webapp.openapi

blueprint = Blueprint("descriptions", __name__, url_prefix="/api")


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Describe every request that this service takes, by OpenAPI 3.1."""
    return _json(_openapi(current_app._get_current_object()))  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's


@blueprint.get("/asyncapi.json")
def asyncapi() -> Response:
    """Describe the streams and their events, by AsyncAPI 3.0."""
    return _json(_asyncapi())


@lru_cache(maxsize=1)
def _openapi(app: Flask) -> bytes:
    return json.encode(webapp.openapi.describe(app))


@lru_cache(maxsize=1)
def _asyncapi() -> bytes:
    return json.encode(webapp.asyncapi.describe())


def _json(body: bytes) -> Response:
    return Response(body, content_type="application/json")
