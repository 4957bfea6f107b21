"""Whose pages may use the service, and what browsers are told of it (CORS): ours, and those that are named.

Takes what a browser says of where a request comes from, gives whether it is refused, before anything is done
for it, and the headers that let its page read the answer. What is no browser says nothing, and is not asked.
Pure but for `install`. Source: Fetch, 3.2 "CORS protocol"; Fetch Metadata, 2; RFC 6454, 7.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, Self

from flask import Flask, Response, request

from tidings.errors import InvalidValue
from webapp import tus
from webapp.errors import problem

PREFIX: Final = "/api/"
"""What is guarded: the rest are documents and files, which links may lead to."""
METHODS: Final = "GET, HEAD, POST, PATCH, DELETE"
REQUEST_HEADERS: Final = ", ".join(
    ("Authorization", "Cache-Control", "Content-Type", "Last-Event-ID", *tus.REQUEST_HEADERS)
)
RESPONSE_HEADERS: Final = ", ".join(("Location", "Retry-After", *tus.RESPONSE_HEADERS))
PREFLIGHT_S: Final = 7_200
"""For how long a browser may remember that it may. Source: the most that Chromium takes."""
RULE: Final = "origins as browsers write them (https://app.example, http://localhost:3000), by commas, no *"

_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_OURS: Final = frozenset({"same-origin", "none"})


class Caller(NamedTuple):
    """What a request says of the page that it comes from, each as it came, empty where it says nothing."""

    origin: str = ""
    site: str = ""
    mode: str = ""
    host: str = ""

    @classmethod
    def of(cls, field: Callable[[str, str], str]) -> Self:
        """Read what a request says; *field* gives a field by its name in lower case, or the default."""
        names = ("origin", "sec-fetch-site", "sec-fetch-mode", "host")
        return cls(*(field(name, "") for name in names))


class Origins(frozenset[str]):
    """The origins that may use the service beside its own."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``TIDINGS_ALLOWED_ORIGINS``. Raises: InvalidValue for what no browser would send."""
        named = [origin.strip() for origin in text.split(",")] if text.strip() else []
        for origin in named:
            if not _ORIGIN.fullmatch(origin):
                raise InvalidValue("TIDINGS_ALLOWED_ORIGINS", RULE, origin)
        return cls(named)

    def refuses(self, caller: Caller) -> bool:
        """Tell whether a request to the API is another site's doing.

        A browser that says that its page is ours is believed, whatever a proxy has made of ``Host``. What
        has no origin and comes from elsewhere is an image or the like; following a link is fine.
        """
        if caller.site in _OURS or caller.origin in self:
            return False
        if caller.origin:
            return caller.origin.partition("://")[2] != caller.host
        return bool(caller.site) and caller.mode != "navigate"

    def headers(self, caller: Caller) -> list[tuple[str, str]]:
        """Give the headers that an answer has on their account: exactly this origin may read it, or none."""
        told = [("Vary", "Origin")]
        if caller.origin in self:
            told += [
                ("Access-Control-Allow-Origin", caller.origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", RESPONSE_HEADERS),
            ]
        return told


def install(app: Flask, origins: Origins) -> None:
    """Have *app* refuse what other sites' pages send before it looks at anything, and answer preflights."""

    def check() -> Response | None:
        if not request.path.startswith(PREFIX):
            return None
        caller = Caller.of(request.headers.get)
        if origins.refuses(caller):
            return problem(403, "Forbidden", "this origin is not among those that the service allows")
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _preflight()
        return None

    def tell(response: Response) -> Response:
        if request.path.startswith(PREFIX):
            response.headers.extend(origins.headers(Caller.of(request.headers.get)))
        return response

    app.before_request(check)
    app.after_request(tell)


def _preflight() -> Response:
    headers = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": REQUEST_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_S),
    }
    return Response(status=204, headers=headers)
