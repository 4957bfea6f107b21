"""The four streams: everything, or one operation, agent or workflow."""

from flask import Blueprint, Response, request

from tidings.topics import check_identifier
from webapp.answer import CONTENT_TYPE, HEADERS, answer
from webapp.auth import access
from webapp.connection import CONNECTION
from webapp.pacing import address
from webapp.query import read_stream
from webapp.service import service

blueprint = Blueprint("events", __name__, url_prefix="/api/events")


@blueprint.get("/stream")
def stream() -> Response:
    """Stream everything, or the topics named in the query."""
    return _stream("")


@blueprint.get("/operations/<name>")
def operation(name: str) -> Response:
    """Stream one operation until it is over."""
    return _stream(f"operations:{check_identifier('id', name)}")


@blueprint.get("/agents/<name>")
def agent(name: str) -> Response:
    """Stream one agent."""
    return _stream(f"agents:{check_identifier('id', name)}")


@blueprint.get("/workflows/<name>")
def workflow(name: str) -> Response:
    """Stream one workflow: its own events and its steps'."""
    return _stream(f"workflows:{check_identifier('id', name)}")


@blueprint.get("/members/<name>")
def members(name: str) -> Response:
    """Stream the tasks in a workflow's groups."""
    return _stream(f"members:{check_identifier('id', name)}")


def _stream(topic: str) -> Response:
    here = service()
    requested = request.headers.get("Last-Event-ID", "")
    asked = read_stream(topic, request.query_string, requested, here.settings.max_topics)
    body = answer(here, access(), asked, request.environ.get(CONNECTION), address())
    if body is None:
        return Response(status=204, headers=HEADERS)
    return Response(body, content_type=CONTENT_TYPE, headers=HEADERS)
