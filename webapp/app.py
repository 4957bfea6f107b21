"""The app factory: puts settings, parts and views together."""

from typing import Final

from flask import Flask, Response

from webapp import auth, errors, origins, own_names, pacing
from webapp.service import EXTENSION, Service
from webapp.settings import ServiceSettings
from webapp.views import (
    client,
    debug,
    descriptions,
    events,
    health,
    kinds,
    metrics,
    operation_page,
    operations,
    pages,
    results,
    session,
    uploads,
)

SECURITY_HEADERS: Final = {
    # Everything that the page needs comes from here, and no script stands in a document.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",  # a stream must never be read as a document
}


def create_app(settings: ServiceSettings) -> Flask:
    """Make the service. Connects to nothing; the worker starts it, or the first stream does."""
    app = Flask(__name__)
    # One more than is taken: werkzeug cuts a chunked body there and does not say so.
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1
    app.extensions[EXTENSION] = Service(settings)
    own_names.install(app, settings.own_names)
    origins.install(app, settings.origins)
    pacing.install(app)
    auth.install(app)
    errors.install(app, settings.max_body_bytes)
    app.after_request(_secure)
    for view in (
        events,
        operations,
        results,
        uploads,
        session,
        kinds,
        health,
        metrics,
        debug,
        descriptions,
        pages,
        operation_page,
        client,
    ):
        app.register_blueprint(view.blueprint)
    return app


def _secure(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
