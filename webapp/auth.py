"""Who may use the API. Closed unless the settings open it, which they do on loopback only.

Tokens are not built yet: with ``TIDINGS_AUTH=required`` everything but the health checks is
refused; the metrics have a token of their own (`webapp.views.metrics`).
"""

from typing import Final

from flask import Flask, Response, request

from webapp.errors import problem
from webapp.settings import ServiceSettings

PUBLIC_ENDPOINTS: Final = frozenset({"health.healthz", "health.readyz", "metrics.show"})


def install(app: Flask, settings: ServiceSettings) -> None:
    """Have *app* refuse every request that may not be served."""
    app.before_request(lambda: refusal(settings, request.endpoint))


def asker() -> str:
    """Name whoever sends this request, as events may show it: nobody is known without tokens."""
    return "anonymous"


def refusal(settings: ServiceSettings, endpoint: str | None) -> Response | None:
    """Refuse a request for *endpoint*, or not. The one rule, whichever way a request comes in."""
    if settings.auth == "open" or endpoint in PUBLIC_ENDPOINTS:
        return None
    return problem(401, "Unauthorized", "this service takes no requests without a token, and issues none yet")
