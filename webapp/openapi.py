"""The HTTP API as an OpenAPI 3.1 document.

Beside the flow: takes the app's routes and their docstrings, the types of what they take and answer
(`webapp.schemas`, the structs of the views, `tasks.catalog`) and the values that the parsers of queries allow
(`webapp.query`), gives plain JSON. Every route is in it, also one of which only its path is known.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask
from msgspec import Struct, json
from werkzeug.routing import Rule

from tasks.catalog import KINDS, OPERATIONS
from tidings.cursor import EVENT_ID_PATTERN
from tidings.events import TYPES
from tidings.log import OPEN
from tidings.replay import History
from tidings.results import NAME_PATTERN
from tidings.topics import EVERYTHING, FAMILIES, IDENTIFIER_PATTERN
from webapp import origins, own_names, schemas, tus
from webapp.answer import CONTENT_TYPE as EVENT_STREAM
from webapp.exposition import CONTENT_TYPE as METRICS_TYPE
from webapp.listing import MAX_TEXT_CHARS
from webapp.query import MAX_LIMIT
from webapp.views.operations import DEFAULT_LIMIT, CancelRequest
from webapp.views.uploads import METADATA, OVERRIDE

VERSION: Final = "1.0.0"
"""Of the API, not of the package: it changes with what clients can rely on."""
JSON: Final = "application/json"
ANY: Final = "*/*"
COMPONENTS: Final = "#/components/schemas/{name}"
PARAMETER: Final = re.compile(r"<(?:\w+:)?(\w+)>")

IDENTIFIER: Final = {"type": "string", "pattern": IDENTIFIER_PATTERN}
RESULT_NAME: Final = {"type": "string", "pattern": rf"^{NAME_PATTERN}$"}
EVENT_ID: Final = {"type": "string", "pattern": rf"^{EVENT_ID_PATTERN}$"}
COUNT: Final = {"type": "integer", "minimum": 0}
TOPIC: Final = {"type": "string", "pattern": rf"^({'|'.join(FAMILIES)}):([A-Za-z0-9._~-]{{1,128}}|\*)$"}


def _words(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


QUERY: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "topics": (f"Only what is on any of these; `{EVERYTHING}` as the id stands for all.", _words(TOPIC)),
    "topic": (
        "Only streams that wait for what is on this topic.",
        {"anyOf": [TOPIC, {"const": EVERYTHING}]},
    ),
    "types": ("Only these types of events.", _words({"enum": list(TYPES)})),
    "kinds": ("Only operations of these kinds.", _words(IDENTIFIER)),
    "status": (
        f"Only operations that stand so; `{OPEN}` for all that are not over.",
        _words({"type": "string", "pattern": "^[^,]+$"}),
    ),
    "q": (
        "Only operations with this in their id, name, or latest message; capitals do not count.",
        {"type": "string", "maxLength": MAX_TEXT_CHARS},
    ),
    "before": (
        "What follows the page whose `next` this is.",
        {"type": "string", "pattern": "^[0-9]{1,16}$"},
    ),
    "history": (
        "What a stream without a cursor begins with.",
        {"enum": [str(history) for history in History], "default": str(History.LATEST)},
    ),
    "last_event_id": ("Go on behind this event; the header `Last-Event-ID` wins.", EVENT_ID),
    "after": ("Only what follows this event.", EVENT_ID),
    "limit": (
        "At most so many.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
}
HEADERS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "Last-Event-ID": ("The cursor; one that is not of ours is answered by a `reset`.", {"type": "string"}),
    "Tus-Resumable": ("The version of the protocol.", {"const": tus.VERSION}),
    "Upload-Length": ("Bytes of the whole.", COUNT),
    "Upload-Offset": ("Bytes that are here.", COUNT),
    METADATA: ("`key base64` pairs, by commas: the parameters of the kind `upload`.", {"type": "string"}),
    "Upload-Checksum": (
        f"The chunk's digest: one of {', '.join(tus.ALGORITHMS)}, and base64.",
        {"type": "string", "pattern": rf"^({'|'.join(tus.ALGORITHMS)}) "},
    ),
    OVERRIDE: ("The method that is meant.", {"enum": ["PATCH", "DELETE", "HEAD"]}),
    "Location": ("Where it is.", {"type": "string"}),
    "Upload-Expires": ("When it is deleted, if nothing more comes.", {"type": "string"}),
    "Tus-Version": ("The versions that are spoken.", {"type": "string"}),
    "Tus-Extension": ("What else is spoken.", {"type": "string"}),
    "Tus-Checksum-Algorithm": ("How chunks can be checked.", {"type": "string"}),
    "Tus-Max-Size": ("Bytes that an upload may have.", COUNT),
}


@dataclass(frozen=True)
class Answer:
    """One answer: what it is made of, in which form, with which headers."""

    description: str
    struct: type[Struct] | None = None
    media_type: str = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What is known of a request beyond its path; ``!`` marks a header that must be there."""

    answers: Mapping[int, Answer]
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = None
    refusals: tuple[int, ...] = ()
    security: tuple[Mapping[str, Any], ...] = ()


REFUSALS: Final = {
    400: "Something is wrong with the request: `field` says what, `allowed` what there is.",
    401: "No good token, or none.",
    403: "The token does not allow it, a page of an origin that is not allowed asks, or Host is not ours.",
    404: "There is nothing by that name.",
    408: "The body did not come in time.",
    409: "It does not go with how things stand.",
    410: "It is over or has expired.",
    412: "Another version of the protocol.",
    413: "Too large.",
    414: "The URL is too long.",
    415: "Another media type than is taken.",
    423: "Another request is writing it.",
    429: "Its address asks more often than it may.",
    431: "The headers are too long.",
    460: "The chunk is not what its checksum says.",
    503: "Redis or the broker cannot be reached; nothing was done.",
    507: "The disk is full.",
}
GUARDED: Final = (403, 429)
"""What anything under `/api/` may be answered: `webapp.own_names`, `webapp.origins`, `webapp.pacing`.
Streams have no 429; files and pages have the first alone."""
UNREAD: Final = (400, 414, 431)
"""What is answered before anybody looks at what is asked: `webapp.malformed`."""
DOCUMENT: Final = Request({200: Answer("A file for browsers.", media_type=ANY)})
OVER: Final = Answer("The operation is over, and the cursor is at or past its end.", media_type="")
STREAM: Final = Request(
    {
        200: Answer(
            "Server-Sent Events, as /api/asyncapi.json has them. Also where none can be had now: "
            "`retry:`, and the end of the body.",
            media_type=EVENT_STREAM,
        )
    },
    query=("types", "kinds", "history", "last_event_id"),
    headers=("Last-Event-ID",),
    refusals=(400, 401, 404),
)
TUS: Final = ("Tus-Resumable!",)
CHUNK: Final = {tus.CHUNK_TYPE: {"schema": {"type": "string", "format": "binary"}}}
REFUSED_CHUNK: Final = (400, 401, 404, 409, 410, 412, 413, 415, 423, 460, 503, 507)
CAPABILITIES: Final = Answer(
    "What this server can do.",
    media_type="",
    headers=("Tus-Version", "Tus-Extension", "Tus-Checksum-Algorithm", "Tus-Max-Size"),
)
OFFSET: Final = ("Upload-Offset", "Upload-Expires")


def _starting() -> dict[str, Any]:
    """Describe the body that starts an operation: one form for each kind."""
    forms = []
    for kind in KINDS.values():
        if kind.start != OPERATIONS:
            continue
        (params,), _ = json.schema_components([kind.params], ref_template=COMPONENTS)
        needs = ["kind", "params"] if kind.schema.get("required") else ["kind"]
        properties = {"kind": {"const": kind.name}, "params": params, "id": IDENTIFIER}
        forms.append(
            {
                "title": kind.name, "description": kind.description, "type": "object",
                "properties": properties, "required": needs, "additionalProperties": False,
            }
        )  # fmt: skip
    return {JSON: {"schema": {"oneOf": forms}}}


def _body_of(struct: type[Struct]) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": COMPONENTS.format(name=struct.__name__)}}}


REQUESTS: Final[Mapping[str, Request]] = {
    "events.stream": Request(
        STREAM.answers, ("topics", *STREAM.query), STREAM.headers, refusals=STREAM.refusals
    ),
    "events.operation": Request(
        {**STREAM.answers, 204: OVER}, STREAM.query, STREAM.headers, refusals=STREAM.refusals
    ),
    "events.agent": STREAM,
    "events.workflow": STREAM,
    "events.members": STREAM,
    "operations.list_operations": Request(
        {200: Answer("Operations.", schemas.OperationList)},
        query=("status", "topics", "kinds", "types", "q", "limit", "before"), refusals=(400, 401, 404, 503),
    ),
    "operations.show_operation": Request(
        {200: Answer("The operation.", schemas.OneOperation)}, refusals=(400, 401, 404, 503)
    ),
    "operations.list_events": Request(
        {200: Answer("Its events.", schemas.EventList)},
        query=("after", "types", "kinds", "limit"), refusals=(400, 401, 404, 503),
    ),
    "operations.start_operation": Request(
        {202: Answer("It is queued.", schemas.Started, headers=("Location",))},
        body=_starting(), refusals=(400, 401, 403, 408, 413, 503),
    ),
    "operations.cancel_operation": Request(
        {202: Answer("It was asked to end, or has ended.", schemas.Asked)},
        body=_body_of(CancelRequest), refusals=(400, 401, 403, 404, 408, 409, 413, 503),
    ),
    "results.list_results": Request(
        {200: Answer("The files.", schemas.ResultList)}, refusals=(400, 401, 404, 503)
    ),
    "results.show_result": Request(
        {200: Answer("The file, as what its content says that it is.", media_type=ANY)},
        refusals=(400, 401, 404, 503),
    ),
    "uploads.show_capabilities": Request({204: CAPABILITIES}, refusals=(401,)),
    "uploads.create_upload": Request(
        {201: Answer("The upload is begun.", schemas.Started, headers=("Location", *OFFSET))},
        headers=(*TUS, "Upload-Length!", METADATA, "Upload-Checksum"), body=CHUNK,
        refusals=(400, 401, 403, 408, 412, 413, 415, 460, 503, 507),
    ),
    "uploads.show_offset": Request(
        {200: Answer("How much is here.", media_type="", headers=(*OFFSET, "Upload-Length", METADATA))},
        headers=TUS, refusals=(401, 404, 410, 412, 423, 503),
    ),
    "uploads.add_chunk": Request(
        {204: Answer("It is on the disk.", media_type="", headers=OFFSET)},
        headers=(*TUS, "Upload-Offset!", "Upload-Checksum"), body=CHUNK, refusals=(*REFUSED_CHUNK, 408),
    ),
    "uploads.terminate": Request(
        {204: Answer("It is asked to end; what came is deleted.", media_type="")},
        headers=TUS, refusals=(401, 404, 410, 412, 503),
    ),
    "uploads.override": Request(
        {
            200: Answer("As HEAD.", media_type="", headers=OFFSET),
            204: Answer("As PATCH or DELETE.", media_type="", headers=OFFSET),
        },
        headers=(*TUS, f"{OVERRIDE}!", "Upload-Offset", "Upload-Checksum"), refusals=(*REFUSED_CHUNK, 408),
    ),
    "session.begin": Request(
        {204: Answer("The token of the header is in a cookie.", media_type="")}, refusals=(401, 503)
    ),
    "session.end": Request({204: Answer("The cookie is cleared.", media_type="")}),
    "kinds.list_kinds": Request({200: Answer("The kinds.", schemas.KindList)}, refusals=(401,)),
    "health.healthz": Request({200: Answer("It lives.", schemas.Health)}),
    "health.readyz": Request(
        {200: Answer("Events flow.", schemas.Health), 503: Answer("They do not.", schemas.Health)}
    ),
    "metrics.show": Request(
        {200: Answer("The metrics, as docs/metrics.md has them.", media_type=METRICS_TYPE)},
        refusals=(401,), security=({}, {"metrics": []}),
    ),
    "debug.streams": Request(
        {200: Answer("The streams.", schemas.StreamList)}, query=("topic", "limit"), refusals=(400, 401, 403),
    ),
    "descriptions.openapi": Request({200: Answer("OpenAPI 3.1.", media_type=JSON)}, refusals=(401,)),
    "descriptions.asyncapi": Request({200: Answer("AsyncAPI 3.0.", media_type=JSON)}, refusals=(401,)),
}  # fmt: skip
"""By the names of Flask's endpoints."""


def describe(app: Flask) -> dict[str, Any]:
    """Describe every route of *app*. Pure; takes some 10 ms."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        for method in _methods(rule):
            paths.setdefault(PARAMETER.sub(r"{\1}", rule.rule), {})[method.lower()] = _operation(
                app, rule, method
            )
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Tidings",
            "version": VERSION,
            "description": "Progress of operations. What their streams say is in /api/asyncapi.json.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "metrics": {"type": "http", "scheme": "bearer", "description": "`TIDINGS_METRICS_TOKEN`"}
            },
        },
    }


def _methods(rule: Rule) -> set[str]:
    """Give the methods that a view says it has: not the HEAD and OPTIONS that Flask adds."""
    added = {"HEAD"} if "GET" in (rule.methods or ()) else set()
    if getattr(rule, "provide_automatic_options", True):
        added.add("OPTIONS")
    return set(rule.methods or ()) - added


def _guards(rule: Rule) -> set[int]:
    if rule.endpoint.startswith("events."):
        return {*GUARDED} - {429}
    if rule.rule.startswith(origins.PREFIX):
        return {*GUARDED}
    return set() if rule.rule in own_names.PROBES else {403}


def _operation(app: Flask, rule: Rule, method: str) -> dict[str, Any]:
    known = REQUESTS.get(rule.endpoint, DOCUMENT)
    told = (app.view_functions[rule.endpoint].__doc__ or "Give a file of the pages.").strip()
    summary, _, more = told.partition("\n")
    guarded = _guards(rule)
    said: dict[str, Any] = {
        "operationId": f"{rule.endpoint}.{method.lower()}" + (".one" if rule.arguments else ""),
        "summary": summary,
        "tags": [rule.endpoint.partition(".")[0]],
        "parameters": [*_path_parameters(rule, method), *_parameters(known)],
        "responses": {str(status): _response(answer) for status, answer in known.answers.items()}
        | {str(status): _refusal(status) for status in {*known.refusals, *guarded, *UNREAD}},
    }
    if more.strip():
        said["description"] = re.sub(r"\s+", " ", more.strip())
    if known.body is not None:
        said["requestBody"] = {"content": known.body, "required": JSON in known.body}
    if known.security:
        said["security"] = list(known.security)
    return said


def _path_parameters(rule: Rule, method: str) -> Iterator[dict[str, Any]]:
    for name in PARAMETER.findall(rule.rule):
        is_identifier = rule.rule.startswith("/api/") and method != "OPTIONS"  # answers alike wherever asked
        known = RESULT_NAME if name == "name" else IDENTIFIER
        schema = known if is_identifier else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _parameters(known: Request) -> Iterator[dict[str, Any]]:
    for name in known.query:
        told, schema = QUERY[name]
        yield {"name": name, "in": "query", "description": told, "schema": schema} | (
            {"style": "form", "explode": False}
            if schema.get("type") == "array"
            else {"allowEmptyValue": True}
        )
    for marked in known.headers:
        name = marked.removesuffix("!")
        told, schema = HEADERS[name]
        yield {
            "name": name,
            "in": "header",
            "description": told,
            "required": name != marked,
            "schema": schema,
        }


def _response(answer: Answer) -> dict[str, Any]:
    said: dict[str, Any] = {"description": answer.description}
    if answer.struct is not None:
        said["content"] = _body_of(answer.struct)
    elif answer.media_type:
        said["content"] = {
            answer.media_type: {"schema": {} if answer.media_type == JSON else {"type": "string"}}
        }
    if answer.headers:
        said["headers"] = {
            name: {"description": HEADERS[name][0], "schema": HEADERS[name][1]} for name in answer.headers
        }
    return said


def _refusal(status: int) -> dict[str, Any]:
    schema = {"$ref": COMPONENTS.format(name="Problem")}
    return {
        "description": REFUSALS.get(status, "It was not done."),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _schemas() -> dict[str, Any]:
    answered = {
        answer.struct for request in REQUESTS.values() for answer in request.answers.values() if answer.struct
    }
    taken = {kind.params for kind in KINDS.values()}
    structs = sorted(answered | taken | {schemas.Problem, CancelRequest}, key=lambda struct: struct.__name__)
    _, components = json.schema_components(structs, ref_template=COMPONENTS)
    return components
