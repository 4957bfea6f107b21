"""The numbers of all web processes of this host, for Prometheus."""

import hmac

from flask import Blueprint, Response, request

from webapp.errors import problem
from webapp.exposition import CONTENT_TYPE
from webapp.service import service
from webapp.settings import ServiceSettings

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def show() -> Response:
    """Show every metric, in Prometheus' text format."""
    here = service()
    if not may_scrape(here.settings, request.headers.get("Authorization", "")):
        refused = problem(401, "Unauthorized", "the metrics take the token of TIDINGS_METRICS_TOKEN")
        refused.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refused
    here.start()
    return Response(here.measuring.text(), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def may_scrape(settings: ServiceSettings, authorization: str) -> bool:
    """Tell whether who sends *authorization* may see the metrics: everybody where the service is open."""
    expected = f"Bearer {settings.metrics_token}".encode()
    known = hmac.compare_digest(authorization.encode(), expected)
    return settings.auth == "open" or (bool(settings.metrics_token) and known)
