"""What the service really answers, held against its own descriptions: nothing missing, nothing more."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.http_stream import JsonReply, get_json, post_json
from tests.stack import READ_S, Stack
from tests.waiting import wait_until

OPEN = {"Problem"}
"""Schemas whose objects may have further members (RFC 9457, 3.2)."""


@pytest.fixture(scope="module")
def openapi(stack: Stack) -> dict[str, Any]:
    """The description of the requests, each object in it closed: it may have no other member."""
    said: dict[str, Any] = get_json(f"{stack.url}/api/openapi.json").body
    for name, schema in said["components"]["schemas"].items():
        if name not in OPEN and "properties" in schema:
            schema["additionalProperties"] = False
    return said


def fits(openapi: dict[str, Any], path: str, method: str, reply: JsonReply) -> None:
    """See that *reply* is what is described of *method* on *path*."""
    answers = openapi["paths"][path][method]["responses"]
    assert str(reply.status) in answers
    content = answers[str(reply.status)]["content"]
    schema = content[reply.headers["content-type"]]["schema"]
    whole = {**schema, "components": openapi["components"]}
    assert [str(error) for error in Draft202012Validator(whole).iter_errors(reply.body)] == []


@pytest.mark.timeout(READ_S * 2)
def test_answers_are_as_described(stack: Stack, openapi: dict[str, Any]) -> None:
    """Lists, single operations, history, results, kinds, health, and refusals."""
    url, one = stack.url, "/api/operations/{operation_id}"
    body = {"kind": "batch", "params": {"source": "python-stdlib", "limit": 3}}
    started = post_json(f"{url}/api/operations", body)
    fits(openapi, "/api/operations", "post", started)
    this = f"{url}/api/operations/{started.body['operationId']}"
    wait_until(lambda: get_json(this).body["operation"]["status"] == "succeeded", timeout_s=READ_S)
    fits(openapi, one, "get", get_json(this))
    fits(openapi, f"{one}/events", "get", get_json(f"{this}/events"))
    fits(openapi, f"{one}/events", "get", get_json(f"{this}/events?after=evt_1-1"))
    fits(openapi, f"{one}/results", "get", get_json(f"{this}/results"))
    fits(openapi, f"{one}/cancel", "post", post_json(f"{this}/cancel", {}))
    fits(openapi, f"{one}/cancel", "post", post_json(f"{this}/cancel", {"attempt": 0}))
    fits(openapi, one, "get", get_json(f"{url}/api/operations/none-such"))
    fits(openapi, "/api/operations", "get", get_json(f"{url}/api/operations"))
    fits(openapi, "/api/operations", "get", get_json(f"{url}/api/operations?limit=0"))
    fits(openapi, "/api/kinds", "get", get_json(f"{url}/api/kinds"))
    fits(openapi, "/api/debug/streams", "get", get_json(f"{url}/api/debug/streams?topic=operations:x"))
    fits(openapi, "/api/debug/streams", "get", get_json(f"{url}/api/debug/streams?topic=x"))
    fits(openapi, "/healthz", "get", get_json(f"{url}/healthz"))
    fits(openapi, "/readyz", "get", get_json(f"{url}/readyz"))
    running = stack.operation()
    fits(openapi, f"{one}/cancel", "post", post_json(f"{url}/api/operations/{running.id}/cancel", {}))
    running.complete()
    stack.flush()


def test_events_are_as_described(stack: Stack) -> None:
    """What a stream says, from a reset on, has the payload of the message of that name, and no more."""
    messages = get_json(f"{stack.url}/api/asyncapi.json").body["components"]["messages"]
    operation = stack.operation()
    operation.progress(1, 2, "half")
    operation.warning("odd", "so so", {"a": 1})
    operation.status("resting", {"b": 2})
    operation.complete({"c": 3})
    stack.flush()
    said = set()
    with stack.stream(f"/api/events/operations/{operation.id}", last_event_id="evt_1-1") as stream:
        for message in stream.read_to_end(READ_S):
            schema = {**messages[message.type]["payload"], "additionalProperties": False}
            errors = Draft202012Validator(schema).iter_errors(json.loads(message.data))
            assert [str(error) for error in errors] == []
            said.add(message.type)
    assert said == {"reset", "progress", "warning", "status", "complete", "heartbeat"}
