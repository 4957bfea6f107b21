"""Whether the process lives, and whether it can deliver."""

from flask import Blueprint, Response
from msgspec import json

from webapp.service import service

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that the process lives. Asks nobody."""
    return _answer(200, status="alive")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether events are flowing: 200 ``ready``, or 503 with the reason."""
    here = service()
    here.start()
    here.hub.wait_until_ready(1)
    if here.hub.draining:
        return _answer(503, status="draining")
    if here.feed.degraded is not None:
        return _answer(503, status="degraded", reason=here.feed.degraded)
    if here.redis_warnings:
        return _answer(200, status="ready", warnings=here.redis_warnings)
    return _answer(200, status="ready")


def _answer(status_code: int, **body: object) -> Response:
    return Response(json.encode(body), status_code, content_type="application/json")
