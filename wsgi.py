"""The service's composition root: ``gunicorn wsgi:app``."""

import os

from webapp.app import create_app
from webapp.settings import ServiceSettings

app = create_app(ServiceSettings.from_env(os.environ))
