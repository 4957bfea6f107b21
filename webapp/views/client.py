"""The JavaScript client, as it is in the repository: what a page here loads with one script tag."""

from pathlib import Path
from typing import Final

from flask import Blueprint, Response, send_from_directory

FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "clients" / "js" / "src"

blueprint = Blueprint("client", __name__)


@blueprint.get("/client/<name>.js")
def module(name: str) -> Response:
    """Give a module of the client. Browsers ask for it each time; 304 while it is the same."""
    return send_from_directory(FOLDER, f"{name}.js", mimetype="text/javascript")
