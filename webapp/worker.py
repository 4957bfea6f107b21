"""The gunicorn worker: gevent's, with a service to start and streams to hand over when it ends.

Knows gunicorn and nothing of events. A stock gevent worker leaves open streams to
graceful_timeout and then kills them in mid body (PITFALLS 0.6); this one tells them.
"""

from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventWorker

from webapp.service import EXTENSION, Service
from webapp.subscriber import CloseReason

LISTENERS_CLOSED_S = 1.1
"""gunicorn's loop looks once a second whether to stop accepting; only then may streams be sent
away, or they come back to this very process (PARKING.md, 2)."""


class StreamWorker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """One web process."""

    def load_wsgi(self) -> None:
        """Load the app and have its service follow the log from now on."""
        super().load_wsgi()
        extensions: dict[str, Any] = getattr(self.wsgi, "extensions", {})
        self.service: Service | None = extensions.get(EXTENSION)
        if self.service is not None:
            self.service.start()

    def run(self) -> None:
        """Serve until told to stop, then until every stream has been told."""
        drain = gevent.spawn(self._drain_when_told)
        super().run()
        drain.kill()

    def _drain_when_told(self) -> None:
        """End the streams once this process has stopped accepting: TERM, HUP, max_requests."""
        while self.alive:
            gevent.sleep(0.2)
        if self.service is None:
            return
        self.service.hub.draining = True
        gevent.sleep(LISTENERS_CLOSED_S)
        self.service.hub.close_all(CloseReason.DRAINING)
