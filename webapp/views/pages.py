"""The page: start a batch, see every operation move."""

from flask import Blueprint, Response, render_template

from tasks.catalog import KINDS

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def overview() -> Response:
    """Show all operations; the script on the page fills and moves them."""
    return Response(render_template("overview.html", kinds=KINDS.values()))
