"""Operations as JSON: what there is, one by one, its history, and starting a new one."""

from itertools import islice
from typing import Annotated, Any, Final, TypeVar

import gevent
from flask import Blueprint, Response, request
from msgspec import UNSET, DecodeError, Meta, Struct, UnsetType, json
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

import tidings.celery
from tasks.catalog import kind_named
from tidings.checking import check
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.errors import InvalidValue, LogUnavailable
from tidings.events import CANCELLED, CANCELLING, QUEUED
from tidings.log import Log
from tidings.replay import Opening, from_the_beginning, resume
from tidings.topics import Filter, check_identifier
from tidings.values import MAX_MESSAGE_CHARS
from webapp.access import Access
from webapp.allowed import check_references, check_start, found, narrowed
from webapp.auth import access
from webapp.cancelling import cancel, cancel_leaves
from webapp.documents import event_document, events_url, operation_document
from webapp.errors import Conflict, Forbidden, NotFound
from webapp.listing import page_on, read_before, read_page, read_wanted
from webapp.query import read_cursor, read_filter, read_limit
from webapp.service import Service, service

DEFAULT_LIMIT: Final = 100

T = TypeVar("T", bound=Struct)

blueprint = Blueprint("operations", __name__, url_prefix="/api/operations")


class StartRequest(Struct, forbid_unknown_fields=True):
    """What a POST asks for; ``id`` is the caller's choice, or made here."""

    kind: Any
    params: Any = {}
    id: str | UnsetType = UNSET


class CancelRequest(Struct, forbid_unknown_fields=True):
    """What a POST to cancel may say: why, and which attempt it means."""

    reason: Annotated[str, Meta(max_length=MAX_MESSAGE_CHARS)] | None = None
    attempt: Annotated[int, Meta(ge=1)] | None = None


@blueprint.get("")
def list_operations() -> Response:
    """List operations, the open ones first, with the cursor to open a stream from without a hole.

    Narrowed by ``status``, ``kinds`` and ``q``; with what is ``next`` the list goes on. On a stream's
    ``topics`` it lists at most `MAX_STATES`, without a next page.
    """
    here = service()
    on = narrowed(here, access(), read_filter(request.args, (), here.settings.max_topics))
    wanted, before = read_wanted(request.args), read_before(request.args)
    limit = read_limit(request.args, DEFAULT_LIMIT)
    all_of_them = not on.names_topics
    page = read_page(here.log, wanted, before, limit) if all_of_them else page_on(here.log, on, wanted, limit)
    body: dict[str, Any] = {
        "operations": [operation_document(state) for state in page.states],
        "lastEventId": page.mark.position.wire,
    }
    if all_of_them:
        body["counts"] = page.counts
    if page.before is not None:
        body["next"] = str(page.before)
    return _json(body)


@blueprint.get("/<operation_id>")
def show_operation(operation_id: str) -> Response:
    """Show one operation, with the cursor to open a stream from without a hole."""
    topic = f"operations:{check_identifier('id', operation_id)}"
    mark, states = service().log.state([topic], 0)
    if not states or not access().sees(states[0].topics):
        raise NotFound(f"operation {operation_id}")
    return _json({"operation": operation_document(states[0]), "lastEventId": mark.position.wire})


@blueprint.get("/<operation_id>/events")
def list_events(operation_id: str) -> Response:
    """List the operation's events after ``after``, for those who cannot hold a stream open.

    Narrowed by ``types``. What cannot be told exactly is said: ``reset`` with its reason, and
    the operation as it is.
    """
    here = service()
    log = here.log
    topic = f"operations:{check_identifier('id', operation_id)}"
    wanted = narrowed(here, access(), read_filter(request.args, (topic,), here.settings.max_topics))
    after = read_cursor(request.args, "after")
    limit = read_limit(request.args, DEFAULT_LIMIT)
    opening = _history(log, wanted, after)
    entries = list(islice(opening.entries, limit + 1))
    shown, more = entries[:limit], len(entries) > limit
    if not entries and after is None and not log.knows(topic):
        raise NotFound(f"operation {operation_id}")
    body: dict[str, Any] = {
        "events": [event_document(entry) for entry in shown],
        "lastEventId": (shown[-1].cursor if more else opening.position).wire,
        "more": more,
    }
    if opening.reset is not None:
        body["reset"] = {"reason": opening.reset.value}
        body["operations"] = [operation_document(state) for state in opening.states]
    return _json(body)


@blueprint.post("")
def start_operation() -> Response:
    """Start an operation of one of our kinds; refused before anything is queued if anything is wrong."""
    asked = _read_body(StartRequest)
    here, asker = service(), access()
    kind = kind_named(asked.kind)
    check_start(asker, kind.name)
    kwargs = kind.check(asked.params)
    chosen = None if asked.id is UNSET else asked.id
    if chosen is not None and not asker.may_name(Descriptor.of(chosen, kind.name).topics):
        raise Forbidden("id may only be chosen by who has a token that names the operation's topics")
    check_references(here, asker, kind.references(kwargs))
    started = tidings.celery.dispatch(
        here.producer, kind.task, kwargs, kind=kind.name, id=chosen, owner=asker.owner
    )
    url = events_url(started.id)
    body = {"operationId": started.id, "kind": kind.name, "status": QUEUED, "eventsUrl": url}
    body |= _ticket(here, asker, started.topics)
    return _json(body, 202, Location=f"/api/operations/{started.id}")


@blueprint.post("/<operation_id>/cancel")
def cancel_operation(operation_id: str) -> Response:
    """Ask for an operation to be cancelled; it ends at once if it waits for its turn.

    Of a workflow, all that it has begun or is about to. Asking again changes nothing. Refused if it is over,
    or if another attempt than the one named is at it.
    """
    here = service()
    asked = _read_body(CancelRequest)
    check_identifier("id", operation_id)
    asker = access()
    state = found(here, asker, operation_id)
    if not asker.may_cancel(state.topics):
        raise Forbidden("this operation may be seen and not cancelled")
    codes = cancel(here, state, asker.subject, reason=asked.reason, attempt=asked.attempt)
    match codes[0]:
        case "over":
            raise Conflict(f"operation {operation_id} is over", operationStatus=_status(operation_id))
        case "stale":
            raise Conflict(f"operation {operation_id} is at another attempt", field="attempt")
        case "unknown":
            raise NotFound(f"operation {operation_id}")
    if "error" in codes:
        raise LogUnavailable("the cancelling could not be appended")
    if state.descriptor.workflow_id == operation_id:
        cancel_leaves(here, operation_id, asker.subject, reason=asked.reason)
    status = CANCELLED if codes[-1] == "stored" else CANCELLING
    return _json({"operationId": operation_id, "status": status, "eventsUrl": events_url(operation_id)}, 202)


def _ticket(here: Service, asker: Access, topics: tuple[str, ...]) -> dict[str, str]:
    """Give a ticket for what was started: it is no error if Redis has just gone, since it was started."""
    if asker.grant is None:
        return {}
    try:
        return {"ticket": here.tickets.issue(topics, *asker.grant)}
    except LogUnavailable:
        return {}


def _status(operation_id: str) -> str:
    state = service().log.operation(operation_id)
    return state.status if state else ""


def _history(log: Log, wanted: Filter, after: Cursor | None) -> Opening:
    mark = log.hello()
    return from_the_beginning(log, wanted, mark) if after is None else resume(log, wanted, after, mark)


def _read_body(struct: type[T]) -> T:
    """Read the request's JSON. Waits for all of it.

    Raises: InvalidValue naming the field, RequestEntityTooLarge, RequestTimeout.
    """
    if request.mimetype != "application/json":
        raise InvalidValue("Content-Type", "application/json", request.mimetype)
    settings = service().settings
    with gevent.Timeout(settings.request_s, RequestTimeout("the body has not come in time")):
        data = request.get_data()
    if len(data) > settings.max_body_bytes:  # a chunked one: its length was not known before
        raise RequestEntityTooLarge
    try:
        return check(json.decode(data), struct)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("body", f"JSON ({error})") from error


def _json(body: object, status: int = 200, **headers: str) -> Response:
    response = Response(json.encode(body), status, headers, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
