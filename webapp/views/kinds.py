"""The kinds of operation that can be started, with what each takes."""

from flask import Blueprint, Response
from msgspec import json

from tasks.catalog import KINDS

blueprint = Blueprint("kinds", __name__)


@blueprint.get("/api/kinds")
def list_kinds() -> Response:
    """List the kinds: name, one line about it, what starts it, JSON Schema (2020-12) of its ``params``."""
    kinds = [
        {"kind": kind.name, "description": kind.description, "start": kind.start, "params": kind.schema}
        for kind in KINDS.values()
    ]
    return Response(json.encode({"kinds": kinds}), content_type="application/json")
