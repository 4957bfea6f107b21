"""The short way to a stream says what Flask says: the same app is asked both ways."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gevent
import pytest
from flask import Flask
from werkzeug.test import Client
from werkzeug.wrappers import Response

from tests.sse import parse
from tidings.descriptor import Descriptor
from tidings.events import Complete, Progress
from tidings.log import Log
from tidings.record import OWN, Record
from tidings.settings import Settings
from webapp.app import SECURITY_HEADERS, create_app
from webapp.service import EXTENSION, Service
from webapp.settings import ServiceSettings
from webapp.shortcut import WSGI, Shortcut

RUNNING, OVER = (
    Descriptor.of("running", "batch", workflow="w", agent="g"),
    Descriptor.of("over", "batch"),
)
RECORDS = [
    Record.beginning(RUNNING, "me.1", 1),
    Record.of(RUNNING, Progress, condition=OWN, run="me.1", current=1, total=2, percentage=50),
    Record.beginning(OVER, "me.2", 1),
    Record.of(OVER, Complete, condition=OWN, run="me.2"),
]


class Ways:
    """One app: ``short`` asks the shortcut, ``long`` Flask; ``went_on`` counts what was left to Flask."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.here: Service = app.extensions[EXTENSION]
        self.went_on = 0
        flask: WSGI = partial(Flask.wsgi_app, app)

        def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            self.went_on += 1
            return flask(environ, start_response)

        self.long = Client(flask)
        self.short = Client(Shortcut(counted, self.here, SECURITY_HEADERS))


@pytest.fixture
def made(settings: Settings, log: Log) -> Iterator[Callable[..., Ways]]:
    """Make an app whose feed stands at the end of a log with two operations. Nothing of it runs by itself."""
    apps: list[Ways] = []
    greenlets: list[Any] = []
    gevent.Greenlet.add_spawn_callback(greenlets.append)
    log.append("me", 1, RECORDS)

    def make(**changed: Any) -> Ways:
        ways = Ways(
            create_app(replace(ServiceSettings(log=settings, host="127.0.0.1", auth="open"), **changed))
        )
        ways.here.hub.start_over(log.hello())
        apps.append(ways)
        return ways

    yield make
    gevent.Greenlet.remove_spawn_callback(greenlets.append)
    gevent.killall(greenlets)
    for ways in apps:
        ways.here.log.close()


def told(response: Response) -> tuple[int, dict[str, str], list[str]]:
    """Give the status, the headers, and of a stream its events up to the first heartbeat, else the body."""
    headers = dict(response.headers)
    if response.content_type != "text/event-stream":
        return response.status_code, headers, [response.get_data(as_text=True)]
    types: list[str] = []
    for piece in response.response:
        assert isinstance(piece, bytes)
        types += [message.type for message in parse(piece)]
        if "heartbeat" in types:
            break
    response.close()
    return response.status_code, headers, types


ALL = "/api/events/stream"
ANSWERED = {
    "everything": (ALL, "", 200),
    "a running operation": ("/api/events/operations/running", "", 200),
    "an operation that is over": ("/api/events/operations/over", "", 200),
    "a workflow": ("/api/events/workflows/w", "", 200),
    "an agent": ("/api/events/agents/g?types=progress&kinds=batch", "", 200),
    "chosen topics": (f"{ALL}?topics=operations:running,operations:over&history=all", "", 200),
    "nothing of before": (f"{ALL}?history=none", "", 200),
    "a cursor": (ALL, "here", 200),
    "a cursor of nowhere": (ALL, "evt_1-1", 200),
    "a malformed cursor": (ALL, "nonsense", 200),
    "the end that was seen": ("/api/events/operations/over", "here", 204),
}
LEFT_TO_FLASK = {
    "an unknown operation": ("/api/events/operations/nobody", "", 404),
    "an unknown agent": ("/api/events/agents/nobody", "", 404),
    "all operations": ("/api/events/operations/*", "", 400),
    "a malformed name": ("/api/events/operations/a%20b", "", 400),
    "an empty name": ("/api/events/operations/", "", 404),
    "a longer path": ("/api/events/operations/a/b", "", 404),
    "an unknown type": (f"{ALL}?types=nonsense", "", 400),
    "a malformed id": (f"{ALL}?last_event_id=nonsense", "", 400),
    "another path": ("/api/events/jobs/a", "", 404),
    "another page": ("/healthz", "", 200),
}


@pytest.mark.parametrize(("path", "cursor", "status"), ANSWERED.values(), ids=ANSWERED)
def test_stream_is_the_same_either_way(
    made: Callable[..., Ways], path: str, cursor: str, status: int
) -> None:
    """Status, headers and events are Flask's, and Flask is not asked."""
    ways = made()
    mark = ways.here.hub.mark
    assert mark is not None
    headers = {"Last-Event-ID": mark.position.wire if cursor == "here" else cursor} if cursor else {}
    long, short = (told(way.get(path, headers=headers)) for way in (ways.long, ways.short))
    if status == 204:
        del long[1]["Content-Type"]  # Flask's word for a body that there is none of
    assert short == long
    assert short[0] == status
    assert ways.went_on == 0


@pytest.mark.parametrize(("path", "cursor", "status"), LEFT_TO_FLASK.values(), ids=LEFT_TO_FLASK)
def test_what_is_no_stream_is_left_to_flask(
    made: Callable[..., Ways], path: str, cursor: str, status: int
) -> None:
    """What is wrong or not there is said by Flask."""
    ways = made()
    long, short = (told(way.get(path)) for way in (ways.long, ways.short))
    assert short == long
    assert short[0] == status
    assert ways.went_on == 1


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_other_methods_are_left_to_flask(made: Callable[..., Ways], method: str) -> None:
    """Only a GET is a stream."""
    ways = made()
    long, short = (told(way.open(ALL, method=method)) for way in (ways.long, ways.short))
    assert short == long
    assert ways.went_on == 1


@pytest.mark.parametrize("path", [ALL, "/api/events/operations/running", "/api/events/operations/nobody"])
def test_closed_service_refuses_either_way(made: Callable[..., Ways], path: str) -> None:
    """Without the right to, nobody gets a stream, nor learns what there is."""
    ways = made(auth="required")
    long, short = (told(way.get(path)) for way in (ways.long, ways.short))
    assert short == long
    assert short[0] == 401
    assert ways.went_on == 1
    assert len(ways.here.hub) == 0


def test_full_or_draining_service_sends_away_either_way(made: Callable[..., Ways]) -> None:
    """Overload and drain are a stream that says when to come back."""
    ways = made(max_streams=1)
    ways.here.hub.draining = True
    for way in (ways.long, ways.short):
        response = way.get(ALL)
        assert response.status_code == 200
        assert response.get_data().startswith(b"retry: ")


def test_flask_does_nothing_to_a_stream_that_the_shortcut_leaves_out(made: Callable[..., Ways]) -> None:
    """What is hung on every request of Flask must be hung on the shortcut too; then change this."""
    app = made().app
    before, after = app.before_request_funcs, app.after_request_funcs
    assert {scope: len(hooks) for scope, hooks in before.items()} == {None: 1}  # auth
    assert {scope: len(hooks) for scope, hooks in after.items()} == {None: 1}  # SECURITY_HEADERS
    assert not app.teardown_request_funcs
    assert not app.url_value_preprocessors
