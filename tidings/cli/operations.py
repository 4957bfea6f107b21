"""``tidings list``, ``show`` and ``cancel``: what a service says of operations, and one thing it does."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from msgspec import json

from tidings.cli import words
from tidings.cli.exits import Exit
from tidings.cli.service import Service

_FIELDS: Final = (
    "id", "kind", "name", "owner", "workflowId", "agentId", "parentId", "status", "attempt", "createdAt",
    "startedAt", "updatedAt", "waitedSeconds", "durationSeconds",
)  # fmt: skip


def list_operations(
    service: Service, *, status: str, kinds: str, topics: str, limit: int, as_json: bool
) -> Exit:
    """Print the operations that there are, the open ones first, one a line."""
    query = {"status": status, "kinds": kinds, "topics": topics, "limit": limit}
    found = service.get("/api/operations", query)["operations"]
    if as_json:
        for operation in found:
            say_json(operation)
    elif found:
        print("\n".join(words.table([_row(operation) for operation in found])))
    return Exit.OK


def show(service: Service, operation_id: str, *, events: int, as_json: bool) -> Exit:
    """Print one operation, and the last *events* of its history if asked to."""
    answer = service.operation(operation_id)
    if events:
        answer["history"] = _history(service, operation_id, events)
    if as_json:
        say_json(answer)
        return Exit.OK
    operation = answer["operation"]
    said = [[name, words.clean(operation[name])] for name in _FIELDS if name in operation]
    print("\n".join(words.table([*said, ["state", words.state(operation)]])))
    for event in answer.get("history", ()):
        print(words.line(event["type"], event["data"]))
    return Exit.OK


def cancel(
    service: Service, operation_id: str, *, reason: str | None, attempt: int | None, as_json: bool
) -> Exit:
    """Ask for an operation to be cancelled; its end, if it is not at once, is for `watch` to see."""
    asked = {"reason": reason, "attempt": attempt}
    answer = service.post(
        f"/api/operations/{quote(operation_id, safe='')}/cancel",
        {name: value for name, value in asked.items() if value is not None},
    )
    if as_json:
        say_json(answer)
    else:
        print(f"{words.clean(answer['operationId'])} {words.clean(answer['status'])}")
    return Exit.OK


def say_json(value: object) -> None:
    """Print *value* as one line of JSON."""
    print(json.encode(value).decode(), flush=True)


def _row(operation: Mapping[str, Any]) -> list[str]:
    return [words.clean(operation["id"]), words.clean(operation["kind"]), words.state(operation)]


def _history(service: Service, operation_id: str, most: int) -> list[Any]:
    """Read the whole history page by page, and keep the last *most* events of it."""
    kept: list[Any] = []
    query: dict[str, object] = {"limit": 1_000}
    while True:
        page = service.get(f"/api/operations/{quote(operation_id, safe='')}/events", query)
        kept = [*kept, *page["events"]][-most:]
        if not page["more"]:
            return kept
        query["after"] = page["lastEventId"]
