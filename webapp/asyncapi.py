"""The streams of events as an AsyncAPI 3.0 document.

Beside the flow: takes the types of events (`tidings.events`), the families of topics and what a query may
ask for, gives plain JSON. Pure.
"""

from typing import Any, Final

from msgspec import Struct, json

from tidings.events import json_schemas
from tidings.topics import FAMILIES
from webapp.openapi import IDENTIFIER, QUERY, STREAM, VERSION
from webapp.schemas import Heartbeat, ResetEvent

OURS: Final[dict[str, type[Struct]]] = {"heartbeat": Heartbeat, "reset": ResetEvent}
"""What streams say about themselves."""
BINDING: Final = "0.3.0"


def describe() -> dict[str, Any]:
    """Describe every stream and every event."""
    channels = {"stream": _channel("Everything, or the topics of the query.", "/api/events/stream")} | {
        family: _channel(f"One of the {family}.", f"/api/events/{family}/{{id}}") for family in FAMILIES
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidings",
            "version": VERSION,
            "description": "Server-Sent Events (text/event-stream) over HTTP: `event:` is a message's name, "
            "`data:` its payload, `id:` the cursor to come back with. The requests: /api/openapi.json.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {name: _operation(name) for name in channels},
        "components": {"messages": {name: _message(name, schema) for name, schema in _payloads().items()}},
    }


def _payloads() -> dict[str, Any]:
    _, ours = json.schema_components(OURS.values(), ref_template="#/{name}")
    reasons = {name: schema for name, schema in ours.items() if "enum" in schema}
    for struct in OURS.values():  # what they refer to goes into them: a payload stands alone
        for called, told in ours[struct.__name__]["properties"].items():
            name = told.get("$ref", "").removeprefix("#/")
            if name in reasons:
                ours[struct.__name__]["properties"][called] = reasons[name]
    return json_schemas() | {name: ours[struct.__name__] for name, struct in OURS.items()}


def _message(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    summary = " ".join(schema["description"].split("\n\n")[0].split())
    return {"name": name, "title": schema["title"], "summary": summary, "payload": schema}


def _channel(told: str, address: str) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "description": told,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _payloads()},
    }
    if "{id}" in address:
        channel["parameters"] = {"id": {"description": f"An id: {IDENTIFIER['pattern']}"}}
    return channel


def _operation(channel: str) -> dict[str, Any]:
    """Describe the request for a stream. What the service does is to send."""
    names = ("topics", *STREAM.query) if channel == "stream" else STREAM.query
    query = {
        "type": "object",
        "properties": {name: {**QUERY[name][1], "description": QUERY[name][0]} for name in names},
    }
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {"http": {"method": "GET", "query": query, "bindingVersion": BINDING}},
    }
