"""The files that operations left behind."""

from collections.abc import Iterator
from typing import Final

from flask import Blueprint, Response
from msgspec import json

from tidings.media_type import OCTETS
from webapp.allowed import check_results
from webapp.auth import access
from webapp.errors import NotFound
from webapp.service import service
from webapp.threads import in_thread

SAFE: Final = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A report may be HTML: it gets an origin of its own, and neither script nor network."""
SHOWN: Final = ("text/", "image/", "application/json", "application/pdf")
"""What a browser opens; the rest it saves."""

blueprint = Blueprint("results", __name__, url_prefix="/api/operations/<operation_id>/results")


@blueprint.get("")
def list_results(operation_id: str) -> Response:
    """List the names of the operation's results."""
    check_results(service(), access(), operation_id)
    results = service().process.results
    names = in_thread(lambda: results.names(operation_id))
    body = json.encode({"results": [{"name": name, "url": f"{_url(operation_id)}/{name}"} for name in names]})
    return Response(body, content_type="application/json", headers={"Cache-Control": "no-store"})


@blueprint.get("/<name>")
def show_result(operation_id: str, name: str) -> Response:
    """Hand a result out, as what its content says that it is, and never as a document of our origin."""
    check_results(service(), access(), operation_id)
    results = service().process.results
    try:
        found = in_thread(lambda: results.open(operation_id, name))
    except FileNotFoundError as error:
        raise NotFound(f"result {name} of operation {operation_id}") from error
    kind = "inline" if found.content_type.startswith(SHOWN) else "attachment"
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'{kind}; filename="{name}"',
        "Content-Length": str(found.size),
        "Content-Security-Policy": SAFE,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(_read(found.pieces), headers=headers, content_type=found.content_type or OCTETS)


def _url(operation_id: str) -> str:
    return f"/api/operations/{operation_id}/results"


def _read(pieces: Iterator[bytes]) -> Iterator[bytes]:
    while (piece := in_thread(lambda: next(pieces, None))) is not None:
        yield piece
