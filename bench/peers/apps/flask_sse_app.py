"""The service that the flask-sse peer runs: its blueprint. Runs in the peers' virtualenv."""

import os

from flask import Flask
from flask_sse import sse  # type: ignore[import-not-found]

app = Flask(__name__)
app.config["REDIS_URL"] = os.environ["REDIS_URL"]
app.register_blueprint(sse, url_prefix="/stream")


@app.get("/healthz")
def healthz() -> str:
    """Say that it lives."""
    return ""
