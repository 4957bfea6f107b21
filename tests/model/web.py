"""A web process in the model: the real app, hub, ring and parking; its feed looks when it is told to."""

import itertools
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, Final

from flask import Flask

from tests.model.party import Party, WatchedLog, WatchedSharedLog
from tidings.errors import LogUnavailable
from tidings.settings import Settings
from webapp.app import create_app
from webapp.connection import CONNECTION, Connection
from webapp.feed import Feed
from webapp.hub import Hub
from webapp.leases import Leases
from webapp.opening import Openings
from webapp.parked import ParkedSubscriber
from webapp.service import EXTENSION, Service
from webapp.settings import ServiceSettings
from webapp.subscriber import CloseReason

NEVER_S: Final = 36_000.0
RING_EVENTS: Final = 8
BETWEEN_REQUESTS_S: Final = 0.3
"""By the clock of kept openings, so that some requests find one, on every machine the same."""


class SteppedFeed(Feed):
    """A feed without its greenlet."""

    def start(self) -> None:
        """Leave it to `look`."""


class NoLeases(Leases):
    """No watch of leases: they have a clock, and tests of their own."""

    def start(self) -> None:
        """Leave it."""


class Web:
    """One web process, which can be killed and started again."""

    def __init__(self, settings: Settings, party: Party, app: Flask) -> None:
        self.party = party
        self._settings = settings
        self._app = app
        self._service: Service = app.extensions[EXTENSION]
        self._in_contact = False
        self._make()

    @property
    def hub(self) -> Hub:
        """The hub of this life of the process."""
        return self._service.hub

    @property
    def ready(self) -> bool:
        """Whether it has ever read the log."""
        return self.hub.mark is not None

    def look(self, *, woken: bool) -> None:
        """Have the feed look at the log; after a failure it makes contact anew, so it asks first."""
        try:
            self._service.feed.look(woken=woken and self._in_contact)
        except LogUnavailable:
            self._in_contact = False
        else:
            self._in_contact = True

    def beat(self) -> None:
        """Have every parked stream beat."""
        for subscriber in list(self.hub._registry):  # noqa: SLF001 - as the wheel does, without its hours
            if isinstance(subscriber, ParkedSubscriber):
                self.hub._parking.attend(subscriber)  # noqa: SLF001

    def parked_at(self, fd: int) -> ParkedSubscriber | None:
        """Give the stream that is parked under a descriptor."""
        return self.hub._parking._by_fd.get(fd)  # noqa: SLF001

    def drain(self) -> None:
        """End the process as on TERM, and start it again."""
        self.hub.drain(0)
        self.kill()

    def kill(self) -> None:
        """End the process at once, and start it again."""
        self.close()
        self._make()

    def close(self) -> None:
        """Let go of everything that the process holds."""
        parking = self.hub._parking  # noqa: SLF001 - a process that dies asks nobody
        for subscriber in list(self.hub._registry):  # noqa: SLF001
            if isinstance(subscriber, ParkedSubscriber):
                parking.drop(subscriber)
            else:
                subscriber.close(CloseReason.GONE)
        if parking._watcher is not None:  # noqa: SLF001
            parking._watcher.close()  # noqa: SLF001
            parking._epoll.close()  # noqa: SLF001
        self.party.close()

    def request(
        self, path: str, query: str, cursor: str, connect: Callable[[], Connection] | None
    ) -> tuple[int, Iterator[bytes]]:
        """Ask for a stream; give the status, and the body, of which nothing has been drawn yet."""
        environ = _environ(path, query)
        if cursor:
            environ["HTTP_LAST_EVENT_ID"] = cursor
        if connect is not None:
            environ[CONNECTION] = connect
        statuses: list[str] = []
        body = self._app.wsgi_app(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type]
        return int(statuses[0][:3]), iter(body)

    def _make(self) -> None:
        service = self._service
        hub = service.hub = Hub(RING_EVENTS, NEVER_S)
        service.log = WatchedSharedLog(self._settings, self.party, lambda: hub.mark)
        self._asked = itertools.count()
        service.openings = Openings(service.log, hub.ring, lambda: next(self._asked) * BETWEEN_REQUESTS_S)
        service.feed = SteppedFeed(WatchedLog(self._settings, self.party, connections=3), hub)
        service.leases = NoLeases(service.feed._log, lease_s=1)  # noqa: SLF001 - never used
        self._in_contact = False


def make_app(settings: Settings) -> Flask:
    """Make the app of one web process."""
    return create_app(ServiceSettings(log=settings, auth="open", host="127.0.0.1", heartbeat_s=NEVER_S))


def _environ(path: str, query: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "model",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
