"""The worker: when a stream may go the short way, and when something else must see the request."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from gunicorn.config import Config

from webapp.worker import StreamWorker


def knows_all(app: Flask, *, logs: bool = False, **config: Any) -> bool:
    """Ask a worker that is configured so."""
    worker = StreamWorker.__new__(StreamWorker)
    worker.cfg = Config()
    for name, value in config.items():
        worker.cfg.set(name, value)
    worker.log = SimpleNamespace(access_log_enabled=logs)
    worker.wsgi = app
    return worker._knows_all_of_a_request()  # noqa: SLF001 - no other way to see without a server


def test_plain_service_needs_nothing_of_gunicorn() -> None:
    """As the Procfile starts it."""
    assert knows_all(Flask("app"))


@pytest.mark.parametrize(
    "config",
    [
        {"max_requests": 1},
        {"proxy_protocol": "v1"},
        {"certfile": __file__, "keyfile": __file__},
        {"logs": True},
    ],
    ids=["counted", "proxied", "encrypted", "logged"],
)
def test_what_gunicorn_must_see_it_sees(config: dict[str, Any]) -> None:
    """Requests that it counts, decodes or logs go the long way."""
    assert not knows_all(Flask("app"), **config)


def test_what_a_middleware_must_see_it_sees() -> None:
    """Whoever wraps the app sees every request."""
    app = Flask("app")
    app.wsgi_app = Flask("other").wsgi_app  # type: ignore[method-assign]  # Flask's own way
    assert not knows_all(app)
