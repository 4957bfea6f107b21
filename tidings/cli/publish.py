"""``tidings publish``: one event from a shell script into the log.

The first stage of the flow where there is no process that lives as long as the work: each event is appended
at once and its outcome is the exit status. Nobody has a lease on what is published so, so nobody is missed:
a script that dies leaves its operation running. `tidings.cli.command` is for who wants to be missed.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidings.cli.exits import CommandFailed, Exit
from tidings.cli.operations import say_json
from tidings.descriptor import Descriptor
from tidings.errors import InvalidValue
from tidings.events import (
    CANCELLED,
    FINAL_STATUSES,
    QUEUED,
    RUNNING,
    TYPES,
    Complete,
    Error,
    Event,
    Progress,
    Status,
    Warning,  # noqa: A004 - the name that the wire has for it
)
from tidings.log import Log, OperationState, Outcome
from tidings.record import ANY, NEW, Record
from tidings.values import MAX_STATUS_CHARS, Tidy, percentage
from tidings.writer import Writer


@dataclass(frozen=True, slots=True)
class Said:
    """One event as the command line gave it; *problems* is what of it had to be put right."""

    event_type: str
    fields: Mapping[str, Any]
    problems: Sequence[InvalidValue] = ()


def progress(tidy: Tidy, current: float, total: float | None, message: str | None) -> Said:
    """Say how far it is."""
    clean, whole = tidy.count("current", current), tidy.total(total)
    fields: dict[str, Any] = {"current": clean, "total": whole, "percentage": percentage(clean, whole)}
    if message is not None:
        fields["message"] = tidy.text("message", message)
    return Said(Progress.type, fields, tidy.problems)


def status(tidy: Tidy, word: str, details: object) -> Said:
    """Say which phase it enters. Raises: InvalidValue for a final status."""
    fields = _with_details(tidy, {"status": tidy.text("status", word, MAX_STATUS_CHARS)}, details)
    if fields["status"] in FINAL_STATUSES:
        raise InvalidValue("status", "other than a final one: publish complete, or error", word)
    return Said(Status.type, fields, tidy.problems)


def warning(tidy: Tidy, code: str, message: str, details: object) -> Said:
    """Say that something went wrong and the work goes on."""
    said = {"code": tidy.code(code), "message": tidy.text("message", message)}
    return Said(Warning.type, _with_details(tidy, said, details), tidy.problems)


def error(tidy: Tidy, code: str, message: str, details: object, *, terminal: bool) -> Said:
    """Say that something failed, and with *terminal* that it is over."""
    said = {"code": tidy.code(code), "message": tidy.text("message", message), "terminal": terminal}
    return Said(Error.type, _with_details(tidy, said, details), tidy.problems)


def complete(tidy: Tidy, result: object) -> Said:
    """Say that it succeeded."""
    return Said(
        Complete.type, {} if result is None else {"result": tidy.json("result", result)}, tidy.problems
    )


def publish(
    log: Log, operation_id: str, said: Said, *, kind: str, name: str | None, strict: bool, as_json: bool
) -> Exit:
    """Append what is *said* of an operation, which begins with it if the log does not know it.

    What had to be put right is printed, or raised where *strict*. Waits for Redis.
    Raises: LogUnavailable, InvalidValue, CommandFailed if the operation is over.
    """
    for problem in said.problems:
        if strict:
            raise problem
        print(f"tidings: put right: {problem}", file=sys.stderr)
    state = log.operation(operation_id)
    about = state.descriptor if state else Descriptor.of(operation_id, kind, name=name)
    outcomes = Writer(log).append_all(_records(about, state, said))
    refused = next((each for each in outcomes if each.code not in {"stored", "late"}), None)
    if refused is not None:
        raise _refusal(operation_id, log, refused)
    if as_json:
        last = outcomes[-1].cursor
        say_json({"operationId": operation_id, "id": last.wire if last else None})
    return Exit.OK


def _records(about: Descriptor, state: OperationState | None, said: Said) -> list[Record]:
    """Give the event behind what has to precede it: the beginning, and the status of an end."""
    attempt = max(state.attempt, 1) if state else 1
    begins = said.event_type == Status.type and said.fields["status"] == QUEUED
    first = Record.of(about, Status, condition=NEW, status=QUEUED if begins else RUNNING)
    if begins and state is None:
        return [first]
    event = _record(about, attempt, TYPES[said.event_type], **said.fields)
    before = [first] if state is None else []
    if state is not None and state.status == QUEUED and not event.status:
        before.append(_record(about, attempt, Status, status=RUNNING))
    if event.ends:
        before.append(_record(about, attempt, Status, status=event.status))
    return [*before, event]


def _record(about: Descriptor, attempt: int, event: type[Event], **said: Any) -> Record:
    return Record.of(about, event, condition=ANY, attempt=attempt, **said)


def _refusal(operation_id: str, log: Log, refused: Outcome) -> CommandFailed:
    state = log.operation(operation_id)
    if refused.code == "over" and state is not None:
        status = Exit.CANCELLED if state.status == CANCELLED else Exit.FAILED
        return CommandFailed(f"operation {operation_id} is over: {state.status}", status)
    return CommandFailed(f"operation {operation_id} did not take it: {refused.message or refused.code}")


def _with_details(tidy: Tidy, fields: dict[str, Any], details: object) -> dict[str, Any]:
    return fields if details is None else fields | {"details": tidy.json("details", details)}
