"""The gunicorn worker: gevent's, with a service to start, sockets to hand over, streams to drain.

Knows gunicorn and nothing of events. The stock worker lets go of nothing while a stream is
open, and on TERM leaves open streams to graceful_timeout and a SIGKILL (PITFALLS 0.6).
"""

import gc
import os
import resource
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import gevent
from gunicorn.http.wsgi import Response
from gunicorn.workers.base import Worker
from gunicorn.workers.ggevent import GeventWorker

from webapp.app import SECURITY_HEADERS
from webapp.connection import CONNECTION, GunicornConnection
from webapp.door import Door
from webapp.head import MAX_BYTES
from webapp.malformed import status_of, written
from webapp.service import EXTENSION, Service
from webapp.shortcut import Shortcut
from webapp.slots import Slots

LISTENERS_CLOSED_S: Final = 1.1
"""gunicorn's loop looks once a second whether to stop accepting; only then may streams be sent
away, or they come back to this very process (PARKING.md, 2)."""
OTHER_DESCRIPTORS: Final = 100
"""For Redis, the broker, listeners and files beside the streams and the pool. Guessed, generous."""
SPARE_DESCRIPTORS: Final = OTHER_DESCRIPTORS + 100
"""Kept from the streams, so that the pool has some: for ordinary requests, and for openings under way."""
TAKEN_S: Final = 30.0
"""Who takes nothing of an answer for so long is let go, so that it holds no place for ever. Guessed."""
ERROR_TAKEN_S: Final = 1.0
"""The same for who is told that it speaks no HTTP: it fits into any buffer."""
GENERATORS_SHARE: Final = 0.75
"""Of the pool, for streams that cannot be parked: if they filled it, nothing would be answered at all."""

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class StreamWorker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """One web process."""

    service: Service | None = None
    shortcut: Shortcut | None = None
    tidings_slots: Slots
    tidings_slot: int | None
    alive: bool
    wsgi: Any
    worker_connections: int

    def load_wsgi(self) -> None:
        """Load the app, offer it the connections, and have its service follow the log from now on."""
        super().load_wsgi()
        self.service = getattr(self.wsgi, "extensions", {}).get(EXTENSION)
        if self.service is None:
            self.log.warning(
                "the application has no service in app.extensions: streams are neither parked nor drained; "
                "a middleware goes around app.wsgi_app, not around app"
            )
            return
        self._share_descriptors(self.service)
        if self._knows_all_of_a_request():
            self.shortcut = Shortcut(self.service, SECURITY_HEADERS)
        if not self.cfg.is_ssl:
            self.wsgi = offer_connections(self.wsgi)
        if getattr(self, "tidings_slot", None) is not None:  # gunicorn.conf.py gives it, where that is used
            self.service.share(self.tidings_slots, self.tidings_slot)
        self.service.start()
        # What is loaded stays: the collector need not look at it again (PARKING.md, 2: 27 ms → 7 ms).
        gc.collect()
        gc.freeze()

    def server_class(self, listener: Any, *, spawn: Any, **options: Any) -> Door:
        """Make a listener's server, in place of gunicorn's own."""
        tls = {name: value for name, value in options.items() if name == "ssl_context"}
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = partial(self._room, most - OTHER_DESCRIPTORS)
        patience_s = self.service.settings.request_s if self.service else float(self.cfg.keepalive)
        return Door(
            listener, partial(self.handle, listener), spawn=spawn, room=room, patience_s=patience_s, **tls
        )

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection: a stream by the short way if it may, anything else as gunicorn does."""
        peer = addr[0] if isinstance(addr, tuple) else ""
        if self.shortcut is None or not self.shortcut.serve(client, peer):
            super().handle(listener, client, addr)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve a request. A reader that takes nothing of its answer is no error worth a traceback."""
        sock.settimeout(TAKEN_S)
        try:
            super().handle_request(listener_name, req, sock, addr)
        except TimeoutError:
            raise StopIteration from None

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002 - gunicorn's
        """Answer a request that could not be read, or at which something broke outside of the app."""
        status = status_of(exc)
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("unexpected error outside of the app", exc_info=exc)
        else:
            self.log.info("answered %d to a request: %s", status, type(exc).__name__)
        with suppress(OSError):
            client.settimeout(ERROR_TAKEN_S)
            client.sendall(written(status, SECURITY_HEADERS))
            client.settimeout(0)
            client.recv(MAX_BYTES)  # left unread it would make a reset of the end, and that drop the answer

    def notify(self) -> None:
        """Tell the master that we live; if it does not, drain as on TERM (gevent's worker just exits)."""
        Worker.notify(self)
        if self.alive and self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False

    def run(self) -> None:
        """Serve until told to stop, then until every stream has been told."""
        drain = gevent.spawn(self._drain_when_told)
        super().run()
        while not drain.ready():
            self.notify()
            drain.join(1)

    def _drain_when_told(self) -> None:
        """End the streams once this process has stopped accepting: TERM, HUP, max_requests."""
        while self.alive:
            gevent.sleep(0.2)
        if self.service is not None:
            self.service.hub.draining = True
            gevent.sleep(LISTENERS_CLOSED_S)
            self.service.hub.drain(self.service.settings.drain_s)

    def _room(self, most: int) -> int:
        """Say how many of *most* descriptors the streams leave for connections that are not parked yet."""
        return most - (self.service.hub.parked if self.service else 0)

    def _knows_all_of_a_request(self) -> bool:
        """Tell whether a stream needs nothing else: nobody wraps the app, or decodes, logs, counts."""
        cfg = self.cfg
        wrapped = "wsgi_app" in vars(self.wsgi)
        decodes = cfg.is_ssl or cfg.proxy_protocol != "off" or cfg.http_protocols != ["h1"]
        return not (wrapped or decodes or self.log.access_log_enabled or cfg.max_requests)

    def _share_descriptors(self, service: Service) -> None:
        """Have streams and pool together need no more descriptors than there may be.

        One too many, and gunicorn accepts nothing for up to a second (PARKING.md, 2).
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        streams = service.hub.max_streams = self._affordable(service.settings.max_streams, hard)
        self.worker_connections = max(min(self.worker_connections, hard - streams - OTHER_DESCRIPTORS), 1)
        service.max_in_generators = int(self.worker_connections * GENERATORS_SHARE)

    def _affordable(self, wanted: int, hard: int) -> int:
        """Say how many streams the descriptor limit leaves room for."""
        if wanted + SPARE_DESCRIPTORS <= hard:
            return wanted
        self.log.warning(
            "TIDINGS_MAX_STREAMS=%d needs %d descriptors, and this process may have %d: "
            "taking at most %d streams; raise the limit (ulimit -Hn, LimitNOFILE=) or WEB_CONCURRENCY",
            wanted, wanted + SPARE_DESCRIPTORS, hard, hard - SPARE_DESCRIPTORS,
        )  # fmt: skip
        return max(hard - SPARE_DESCRIPTORS, 1)


def offer_connections(wsgi: WSGI) -> WSGI:
    """Wrap *wsgi* so that each request's environment can give its connection away, where there is one."""

    def offering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = getattr(start_response, "__self__", None)
        if type(response) is Response and "gunicorn.socket" in environ:
            environ[CONNECTION] = partial(GunicornConnection, response, environ["gunicorn.socket"])
        return wsgi(environ, start_response)

    return offering
