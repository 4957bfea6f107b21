"""The pages: the overview, where operations are started and all of them move."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request, url_for

from tasks.catalog import KINDS
from tidings.errors import LogUnavailable
from tidings.events import CANCELLED, FAILED, SUCCEEDED
from tidings.log import LISTED, OPEN
from tidings.topics import Filter
from webapp.allowed import narrowed
from webapp.auth import access
from webapp.listing import Page, Wanted, page_on, read_page, read_wanted
from webapp.service import Service, service
from webapp.shown import row

FIRST_ROWS: Final = 50
"""Operations in the overview's first paint: more than the largest screen shows; 40 KB."""
TABS: Final = {"": "All", OPEN: "Active", SUCCEEDED: "Succeeded", FAILED: "Failed", CANCELLED: "Cancelled"}

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def overview() -> Response:
    """Show the operations, narrowed by ``status``, ``kinds`` and ``q``; the script on the page moves them.

    With the log away it says so, and the script fills it when it can.
    """
    here = service()
    wanted = read_wanted(request.args)
    page, now = _first_page(here, wanted), datetime.now(UTC)
    rows = [row(state, now) for state in page.states] if page else []
    text = render_template(
        "overview.html",
        available=page is not None,
        page=page,
        rows=rows,
        size=_size(page, wanted) if page else 0,
        now=now.isoformat(timespec="milliseconds"),
        wanted=wanted,
        asked=request.args,
        tabs=_tabs(wanted),
        counts=_counts(page),
        kinds=KINDS.values(),
        choices=sorted({*KINDS, *wanted.kinds, *(each["kind"] for each in rows)}),
        stream=url_for("events.stream", _external=True),
    )
    # Asked for anew, but a page that one comes back to may be kept as it was: its script resumes.
    return Response(text, headers={"Cache-Control": "no-cache"})


def _first_page(here: Service, wanted: Wanted) -> Page | None:
    """Read the first rows, or nothing while the log is away: a page that waits for it shows nothing."""
    if here.feed.degraded is not None:
        return None
    try:
        on = narrowed(here, access(), Filter.of(()))
        if on.names_topics:
            return page_on(here.log, on, wanted, FIRST_ROWS)
        return read_page(here.log, wanted, None, FIRST_ROWS)
    except LogUnavailable:
        return None


def _size(page: Page, wanted: Wanted) -> int:
    """Say how many rows the whole list has; -1 where nobody knows."""
    if page.before is None:
        return len(page.states)
    return sum(page.counts[name] for name in wanted.listed) if wanted.reads_all else -1


def _counts(page: Page | None) -> Mapping[str, int]:
    counts = dict(page.counts) if page else dict.fromkeys(LISTED, 0)
    return counts | {"": sum(counts.values())}


def _tabs(wanted: Wanted) -> list[dict[str, Any]]:
    """Name each choice of a status, with the address of the page that it leads to."""
    others = {name: request.args[name] for name in ("kinds", "q") if request.args.get(name)}
    return [
        {
            "status": status,
            "label": label,
            "here": wanted.statuses == frozenset({status} - {""}),
            "url": _address(({"status": status} if status else {}) | others),
        }
        for status, label in TABS.items()
    ]


def _address(query: Mapping[str, str]) -> str:
    return url_for("pages.overview") + (f"?{urlencode(query)}" if query else "")
