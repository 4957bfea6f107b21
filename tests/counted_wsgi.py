"""The service with a way to look inside each of its processes: for the long runs, never deployed."""

import gc
import os

from flask import Response, jsonify
from greenlet import greenlet

from webapp.service import service
from wsgi import app


@app.get("/counts")
def counts() -> Response:
    """Say what this process holds: its streams, its greenlets, and why streams have ended."""
    hub = service().hub
    greenlets = sum(isinstance(thing, greenlet) and not thing.dead for thing in gc.get_objects())
    return jsonify(
        pid=os.getpid(), streams=len(hub), parked=hub.parked, greenlets=greenlets, closed=dict(hub.closed)
    )
