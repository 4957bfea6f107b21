"""What the service says of itself to programs: valid, whole, and nothing that there is not."""

import copy
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from jsonschema import Draft7Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tasks.catalog import KINDS, OPERATIONS
from tidings.events import TYPES
from tidings.settings import Settings
from tidings.topics import FAMILIES
from webapp.app import create_app
from webapp.openapi import HEADERS, QUERY, REQUESTS
from webapp.settings import ServiceSettings
from webapp.shortcut import PREFIX

ROOT = Path(__file__).parent.parent.parent
ASYNCAPI = ROOT / "tests/clients/node_modules/@asyncapi/specs/schemas/3.0.0.json"


@pytest.fixture(scope="module")
def app() -> Flask:
    """An app that was never started."""
    log = Settings(redis_url="redis://127.0.0.1:1/0")
    return create_app(ServiceSettings(log=log, host="127.0.0.1", auth="open"))


@pytest.fixture(scope="module")
def openapi(app: Flask) -> dict[str, Any]:
    """The description of the requests, as it is served."""
    return cast("dict[str, Any]", app.test_client().get("/api/openapi.json").json)


@pytest.fixture(scope="module")
def asyncapi(app: Flask) -> dict[str, Any]:
    """The description of the streams, as it is served."""
    return cast("dict[str, Any]", app.test_client().get("/api/asyncapi.json").json)


def described(openapi: dict[str, Any]) -> set[tuple[str, str]]:
    """Give each path with each of its methods."""
    return {(path, method.upper()) for path, item in openapi["paths"].items() for method in item}


def test_the_requests_are_described_as_openapi_asks(openapi: dict[str, Any]) -> None:
    """OpenAPI's own schema, and that of each schema in it, take the document."""
    assert [str(error) for error in OpenAPIV31SpecValidator(openapi).iter_errors()] == []


def test_the_streams_are_described_as_asyncapi_asks(asyncapi: dict[str, Any]) -> None:
    """AsyncAPI's own schema takes the document, and would not take any."""
    validator = Draft7Validator(json.loads(ASYNCAPI.read_text(encoding="utf-8")))
    assert [str(error) for error in validator.iter_errors(asyncapi)] == []
    wrong = copy.deepcopy(asyncapi)
    wrong["operations"]["stream"]["action"] = "shout"
    assert not validator.is_valid(wrong)


def test_every_route_is_described_and_nothing_else(app: Flask, openapi: dict[str, Any]) -> None:
    """Each path of Flask's with each method that it takes itself; not what Flask adds to every view."""
    routes = set()
    for rule in app.url_map.iter_rules():
        declared = rule.methods or set()
        if "GET" in declared:
            declared = declared - {"HEAD"}
        if rule.provide_automatic_options:  # type: ignore[attr-defined]  # Flask's
            declared = declared - {"OPTIONS"}
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        routes |= {(path, method) for method in declared}
    assert described(openapi) == routes


def test_every_stream_that_is_answered_before_flask_is_described(openapi: dict[str, Any]) -> None:
    """The short way in takes no path that the description has not (docs/adr/0006)."""
    streams = {f"{PREFIX}stream"} | {f"{PREFIX}{family}/{{name}}" for family in FAMILIES}
    assert {path for path in openapi["paths"] if path.startswith(PREFIX)} == streams


def test_of_every_request_of_the_api_it_is_said_what_it_takes_and_answers(app: Flask) -> None:
    """Who adds a view under /api adds it to `webapp.openapi.REQUESTS`, and takes out what is gone."""
    endpoints = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules()}
    assert REQUESTS.keys() <= endpoints.keys()
    assert {name for name, path in endpoints.items() if path.startswith("/api/")} <= REQUESTS.keys()


def test_no_parameter_is_described_in_vain() -> None:
    """Each parameter and header that is described is some request's or answer's."""
    used = {name.removesuffix("!") for request in REQUESTS.values() for name in request.headers}
    used |= {
        name
        for request in REQUESTS.values()
        for answer in request.answers.values()
        for name in answer.headers
    }
    assert used == HEADERS.keys()
    assert {name for request in REQUESTS.values() for name in request.query} == QUERY.keys()


def test_every_kind_that_can_be_started_has_its_form(openapi: dict[str, Any]) -> None:
    """The body of POST /api/operations is one of the kinds', with their parameters."""
    body = openapi["paths"]["/api/operations"]["post"]["requestBody"]["content"]["application/json"]
    forms = {form["properties"]["kind"]["const"]: form for form in body["schema"]["oneOf"]}
    assert forms.keys() == {kind.name for kind in KINDS.values() if kind.start == OPERATIONS}
    assert forms["batch"]["properties"]["params"] == {"$ref": "#/components/schemas/BatchParams"}
    assert forms["batch"]["required"] == ["kind"]
    assert forms["agent"]["required"] == ["kind", "params"]


def test_every_event_is_described_on_every_stream(asyncapi: dict[str, Any]) -> None:
    """The types of events, and what streams say of themselves, as docs/protocol.md has them; nothing else."""
    protocol = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    rows = protocol.partition("| event | says |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE))
    assert asyncapi["components"]["messages"].keys() == {*TYPES, "heartbeat", "reset"} == documented
    assert asyncapi["channels"].keys() == {"stream", *FAMILIES}
    for channel in asyncapi["channels"].values():
        assert channel["messages"].keys() == asyncapi["components"]["messages"].keys()
