"""What one web process has to say of itself in numbers, and where it says it.

Beside the flow: takes what was counted and where things stand, once a second and when this process is
scraped, and writes it where all processes of the host see it; gives the sums of all. Asks Redis nothing.
"""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import gevent

from tidings.replay import Reset
from webapp.exposition import write
from webapp.metrics import AWAY, GEARS, KEPT, families, row_of
from webapp.slots import Slot, Slots
from webapp.subscriber import CloseReason

if TYPE_CHECKING:
    from webapp.service import Service

PUBLISH_S: Final = 1.0
"""How old what the other processes show may be. Who is killed takes along what it counted since."""

logger = logging.getLogger(__name__)


class Measuring:
    """One per process, started once (`start`), running until the process ends."""

    def __init__(self, here: "Service") -> None:
        self._here = here
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self.share(Slots(1), 0)

    def share(self, slots: Slots, index: int) -> None:
        """Show this process' numbers in that row from now on; until then nobody else sees them."""
        self._slots = slots
        self._slot = Slot(slots, index, KEPT)

    def start(self) -> None:
        """Start copying once a second, unless it was started before."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def publish(self) -> None:
        """Show what this process has counted, and where it stands. Never blocks."""
        self._slot.write(row_of(numbers(self._here)))

    def text(self) -> bytes:
        """Write what all processes have counted, and where they stand, as Prometheus reads it."""
        self.publish()
        return write(families([row.tolist() for row in self._slots], time.monotonic()))

    def _run(self) -> None:
        while True:
            try:
                self.publish()
            except Exception:
                # The top of a supervised loop: the others would go on showing what was last said.
                logger.exception("publishing the metrics failed and goes on")
            gevent.sleep(PUBLISH_S)


def numbers(here: "Service") -> dict[str, Sequence[float]]:
    """Give this process' numbers, by the metrics' names, in the order of their labels' values."""
    hub, counts = here.hub, here.hub.counts
    return {
        "tidings_streams_open": (hub.parked, len(hub) - hub.parked),
        "tidings_streams_opened_total": [counts.opened[gear] for gear in GEARS],
        "tidings_streams_ended_total": [hub.closed[reason] for reason in CloseReason],
        "tidings_streams_turned_away_total": [counts.turned_away[reason] for reason in AWAY],
        "tidings_requests_limited_total": [counts.limited],
        "tidings_events_read_total": [counts.read],
        "tidings_events_written_total": (counts.live, counts.replayed),
        "tidings_events_conflated_total": [counts.conflated],
        "tidings_replays_total": [counts.replays],
        "tidings_resets_total": [counts.resets[reason] for reason in Reset],
        "tidings_report_to_write_seconds": (*counts.latency, counts.latency_sum_s),
        "tidings_events_ahead_total": [counts.ahead],
        "tidings_upload_bytes_total": [counts.uploaded_bytes],
        "tidings_foreign_messages_total": [counts.foreign],
        "tidings_redis_up": [here.feed.degraded is None],
        "tidings_feed_lag_seconds": [here.feed.contact_at],
        "tidings_log_era": [hub.mark.position.era if hub.mark else 0],
        "tidings_operations_running": [here.leases.running],
        "tidings_reporter_waiting_events": [here.process.reporter.waiting],
        "tidings_web_processes": [1],
    }
