"""The service with the steps of `tests.traced_steps`: ``gunicorn tests.traced_wsgi:app``."""

from tests import traced_steps
from wsgi import app

__all__ = ["app", "traced_steps"]
