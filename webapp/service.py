"""What one web process has once: its log, hub, feed, and the producer of tasks.

Made by the app factory; started by the worker, or by the first stream. Views reach it through
`service`.
"""

import logging
from typing import Final, cast

import gevent
from celery import Celery
from flask import current_app

from tasks.catalog import QUEUE
from tasks.incoming import Incoming
from tidings.errors import LogUnavailable
from tidings.log import Log
from tidings.process import configure
from tidings.redis_advice import Advice
from tidings.tickets import Tickets
from webapp.feed import Feed
from webapp.housekeeping import Housekeeping
from webapp.hub import Hub
from webapp.inspection import Inspection
from webapp.leases import Leases
from webapp.limits import Limits
from webapp.measuring import Measuring
from webapp.opening import Openings
from webapp.revoked import Revoked
from webapp.settings import ServiceSettings
from webapp.shared_log import SharedLog
from webapp.slots import Slots
from webapp.wakeups import ANSWER_S

EXTENSION: Final = "tidings"
MAX_IN_GENERATORS: Final = 1_500
"""Streams that cannot be parked hold a greenlet and 20 KB each, and a place of their server's pool."""

logger = logging.getLogger(__name__)


class Service:
    """The parts of the service, connected. Connects to nothing before it is used."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.process = configure(settings.log)
        self.hub = Hub(settings.ring_events, settings.heartbeat_s, settings.lifetime_s)
        self.log = SharedLog(settings.log, lambda: self.hub.mark)
        self.max_in_generators = MAX_IN_GENERATORS
        self.openings = Openings(self.log, self.hub.ring)
        self.hub.max_streams = settings.max_streams
        # The feed has connections of its own: openings that wait for theirs must not hold it up.
        feed_log = Log(settings.log, connections=3, timeout_s=ANSWER_S)
        self.feed = Feed(feed_log, self.hub, self._leave, self.process.traces)
        self.leases = Leases(Log(settings.log, connections=1), settings.log.lease_s)
        self.keys = settings.keys
        self.origins = settings.origins
        self.own_names = settings.own_names
        self.proxies = settings.proxies
        self.limits = self.hub.limits = Limits(
            settings.streams_per_address, settings.streams_per_subject, settings.requests_per_s
        )
        self.tickets = Tickets(self.log)
        self.revoked = Revoked(Log(settings.log, connections=1), self.hub.end_revoked)
        self.hub.is_revoked = self.revoked.has
        self.incoming = Incoming(settings.uploads, settings.log.namespace)
        self.housekeeping = Housekeeping(self)
        self.measuring = Measuring(self)
        self.inspection = Inspection(self)
        self.redis_warnings: tuple[str, ...] = ()
        self._adviser: gevent.Greenlet[[], None] | None = None
        self.producer = Celery("tidings-web", broker=settings.log.address.broker_url)
        self.producer.conf.update(
            task_default_queue=QUEUE,
            broker_connection_timeout=2,
            broker_transport_options={
                "socket_timeout": 3,
                "socket_connect_timeout": 2,
                **settings.log.address.broker_options,
            },
        )

    def start(self) -> None:
        """Start following the log and watching the leases; once is enough."""
        self.feed.start()
        self.leases.start()
        self.housekeeping.start()
        self.measuring.start()
        self.inspection.start()
        if self.settings.auth == "required":
            self.revoked.start()
        if self._adviser is None:
            self._adviser = gevent.spawn(self._take_advice)

    def share(self, slots: Slots, row: int) -> None:
        """Have this process tell the others of this host, and be told by them: *slots* has all their rows."""
        self.measuring.share(slots, row)
        self.inspection.share(slots, row)

    def _leave(self) -> None:
        """Let go of every idle connection: one to a primary that was frozen could take what it will lose."""
        for log in (self.log, self.process.log):
            log.leave()

    def _take_advice(self) -> None:
        """Say once what is wrong with the Redis that we have found, if anything."""
        self.hub.wait_until_ready(None)
        try:
            advice = Advice.of(self.log)
        except LogUnavailable as error:
            logger.info("Redis' settings could not be looked at: %s", error)
            return
        self.redis_warnings = advice.warnings
        for warning in advice.warnings:
            logger.warning("Redis: %s", warning)
        for doubt in advice.doubts:
            logger.info("Redis: %s", doubt)

    @property
    def has_room(self) -> bool:
        """Tell whether this process can take another stream, parked or in a generator."""
        in_generators = len(self.hub) - self.hub.parked
        return len(self.hub) < self.hub.max_streams and in_generators < self.max_in_generators


def service() -> Service:
    """Return the service of the app that handles this request."""
    return cast("Service", current_app.extensions[EXTENSION])
