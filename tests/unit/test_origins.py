"""Origins: exactly those that are named may use the API from a browser, and each is told so by its name."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tidings.errors import InvalidValue
from webapp.origins import Caller, Origins, install

APP = "https://app.example"
LOCAL = "http://localhost:3000"
ALLOWED = Origins.parse(f"{APP}, {LOCAL}")

TAKEN = {
    "no browser": Caller(host="tidings.example"),
    "an allowed origin": Caller(APP, "cross-site", "cors", "tidings.example"),
    "an allowed origin, of a browser that says no more": Caller(LOCAL, host="tidings.example"),
    "our own page": Caller("https://tidings.example", "same-origin", "cors", "tidings.example"),
    "our own page, behind a proxy that has another name for us": Caller(APP, "same-origin", "", "127.0.0.1"),
    "our own page, of a browser that says no more": Caller(
        "http://tidings.example:1", "", "", "tidings.example:1"
    ),
    "somebody who types": Caller(site="none", mode="navigate"),
    "a link elsewhere": Caller(site="cross-site", mode="navigate"),
}
REFUSED = {
    "another site": Caller("https://evil.example", "cross-site", "cors", "tidings.example"),
    "another site, of a browser that says no more": Caller("https://evil.example", host="tidings.example"),
    "a page without an origin": Caller("null", "cross-site", "cors", "tidings.example"),
    "another host of our site": Caller("https://www.example", "same-site", "cors", "tidings.example"),
    "an image elsewhere": Caller(site="cross-site", mode="no-cors", host="tidings.example"),
    "an image of our site": Caller(site="same-site", mode="no-cors", host="tidings.example"),
    "another port": Caller("http://localhost:3001", host="localhost:3000"),
    "a longer name": Caller("https://app.example.evil.example", host="tidings.example"),
    "a name with ours in it": Caller("https://eviltidings.example", host="tidings.example"),
    "another scheme": Caller("http://app.example", host="tidings.example"),
    "capitals": Caller("https://APP.example", host="tidings.example"),
    "two at once": Caller(f"{APP} https://evil.example", host="tidings.example"),
    "one that ends in us": Caller("https://evil.example/://tidings.example", host="tidings.example"),
}


@pytest.mark.parametrize("caller", TAKEN.values(), ids=TAKEN)
def test_ours_and_the_named_ones_are_taken(caller: Caller) -> None:
    """Whoever is no browser, a page of ours, a person who comes by a link, an origin that is named."""
    assert not ALLOWED.refuses(caller)


@pytest.mark.parametrize("caller", REFUSED.values(), ids=REFUSED)
def test_other_sites_are_refused(caller: Caller) -> None:
    """Nothing like an allowed origin is one."""
    assert ALLOWED.refuses(caller)


@pytest.mark.parametrize(
    "text",
    [
        "*", "null", "app.example", "https://app.example/", "https://App.example", "https://*.example",
        "https://app.example,,https://b.example", "ftp://app.example", "https://a@app.example", "https://",
        "https://app.example\n",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused_at_the_start(text: str) -> None:
    """A pattern, or what no browser would ever send, is a mistake that would open too much or nothing."""
    with pytest.raises(InvalidValue, match="TIDINGS_ALLOWED_ORIGINS"):
        Origins.parse(f"{LOCAL},{text}" if text.strip() == text else text + ",")


def ask(method: str, path: str, **headers: str) -> TestResponse:
    """Ask an app that has one view, which no preflight may reach."""
    app = Flask("app")
    install(app, ALLOWED)
    methods = ["GET", "POST", "OPTIONS"]
    app.add_url_rule("/api/it", view_func=lambda: "done", methods=methods, provide_automatic_options=False)
    app.add_url_rule("/page", view_func=lambda: "done", endpoint="page")
    fields: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().open(path, method=method, headers=fields)


def test_a_preflight_is_answered_before_anything_else() -> None:
    """It carries no token, so nothing may ask it for one."""
    told = ask("OPTIONS", "/api/it", Origin=APP, Access_Control_Request_Method="POST")
    assert (told.status_code, told.data) == (204, b"")
    assert told.headers["Access-Control-Allow-Origin"] == APP
    assert told.headers["Access-Control-Allow-Credentials"] == "true"
    assert {"GET", "POST", "PATCH", "DELETE", "HEAD"} == set(
        told.headers["Access-Control-Allow-Methods"].split(", ")
    )
    allowed = told.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Authorization", "Last-Event-ID", "Content-Type", "Upload-Offset"} <= set(allowed)
    assert told.headers["Vary"] == "Origin"


def test_a_preflight_of_another_site_is_told_nothing() -> None:
    """Its browser then sends nothing more."""
    told = ask("OPTIONS", "/api/it", Origin="https://evil.example", Access_Control_Request_Method="POST")
    assert told.status_code == 403
    assert not [name for name in told.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118


def test_an_options_request_that_is_no_preflight_goes_on() -> None:
    """As tus asks what a server can do."""
    assert ask("OPTIONS", "/api/it", Origin=APP).data == b"done"


def test_an_answer_names_the_origin_that_may_read_it() -> None:
    """Never a star, never another; caches keep the answers apart."""
    for origin in (APP, LOCAL):
        told = ask("GET", "/api/it", Origin=origin)
        assert told.headers.getlist("Access-Control-Allow-Origin") == [origin]
        assert "Location" in told.headers["Access-Control-Expose-Headers"]
    told = ask("GET", "/api/it")
    assert "Access-Control-Allow-Origin" not in told.headers
    assert told.headers["Vary"] == "Origin"


def test_pages_are_nobodys_secret() -> None:
    """What a link leads to is shown wherever the link stands, but to no script of that page."""
    told = ask("GET", "/page", Origin="https://evil.example")
    assert told.status_code == 200
    assert "Access-Control-Allow-Origin" not in told.headers
