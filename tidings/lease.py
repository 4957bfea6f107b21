"""The sign of life of a process that works on operations: a beat, from a thread that nothing holds up.

Beside the reporter: takes the operations that run in this process, gives the log a beat while
there are any. Web processes watch the beats; what falls silent is lost (webapp/leases.py). In
passing it reads what past runs of the same tasks took, for which no other thread here may wait. Also
says what only this process can know: that an operation is silent while its process lives, and
that one was left without an end. It does not send events; the reporter does.
"""

import _thread
import itertools
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from tidings.errors import LogUnavailable
from tidings.log import CANCEL, Log
from tidings.past import Pasts
from tidings.record import Record
from tidings.writer import Writer

BEATS_PER_LEASE: Final = 10 / 3
"""A beat every 3 s of a lease of 10: two may be lost, and the third still comes in time (LOG.md, C8)."""
TRIES_PER_BEAT: Final = 4
"""How much sooner than its turn a beat is tried again that Redis did not take."""

logger = logging.getLogger(__name__)


class Held(Protocol):
    """What a lease asks of an operation that runs in this process."""

    run: str

    @property
    def task(self) -> str:
        """What it has in common with the runs before it."""

    def stalled(self, after_s: float) -> Record | None:
        """Give, once per silence, the warning that it is longer than *after_s* and than usual."""

    def heed_cancel(self) -> None:
        """Hear that somebody asked for it to be cancelled. Called again and again, by any thread."""

    def lost(self) -> list[Record]:
        """Give what ends this attempt, if nobody has ended it better."""


class Lease:
    """One process' lease: what it holds, and one native thread, started with the first operation.

    Any thread or greenlet may call it; nothing here waits for Redis. It lives as long as the process, and
    starts anew in a forked child, whose parent keeps what it holds.
    """

    def __init__(self, log: Log, *, lease_s: float, stalled_s: float) -> None:
        self._log = log
        self.beat_s = lease_s / BEATS_PER_LEASE
        self._stalled_s = stalled_s
        self.pasts = Pasts()
        self.start_anew("", lambda: True)

    def start_anew(self, reporter_id: str, is_idle: Callable[[], bool]) -> None:
        """Beat for the reporter of that id, also while it is not idle; hold nothing yet."""
        self._reporter_id = reporter_id
        self._is_idle = is_idle
        self._held: dict[str, Held] = {}
        self._abandoned: dict[str, float] = {}
        self._guests: dict[int, Held] = {}
        self._beats = itertools.count(1)
        self._holds = itertools.count(1)

    def hold(self, operation: Held) -> None:
        """Keep *operation* alive from now on."""
        self._held[operation.run] = operation
        if next(self._holds) == 1:  # atomic: one thread, whoever comes first
            _start_native_thread(self._beat_for_ever)

    def release(self, operation: Held) -> None:
        """Let go of *operation*: it has said its last. No matter if it is not held."""
        self._held.pop(operation.run, None)
        self._abandoned.pop(operation.run, None)

    def tell(self, guest: Held) -> None:
        """Have *guest* hear of its cancelling as well: a run that another process keeps alive."""
        self._guests[id(guest)] = guest

    def forget(self, guest: Held) -> None:
        """Tell *guest* no more."""
        self._guests.pop(id(guest), None)

    def cancel(self, run: str) -> None:
        """Tell the operation of that *run* that it is to be cancelled; no matter if it is over."""
        held = self._held.get(run)
        if held is not None:
            held.heed_cancel()
        for guest in list(self._guests.values()):
            if guest.run == run:
                guest.heed_cancel()

    def abandon(self, operation: Held) -> None:
        """Let go of *operation* that was left without an end: lost, unless it is ended within a beat.

        Where the process dies of what made it leave, it is lost with the process.
        """
        if operation.run in self._held:
            self._abandoned[operation.run] = time.monotonic()

    def _beat_for_ever(self) -> None:
        sleep = _original("time", "sleep")
        log = Log(self._log.settings, connections=1) if _is_patched() else self._log
        writer = Writer(log)
        pause_s = self.beat_s
        while True:
            sleep(pause_s)
            pause_s = self.beat_s
            try:
                self._beat(log, writer)
            except LogUnavailable:
                pause_s = self.beat_s / TRIES_PER_BEAT  # the reporter says that Redis is away
            except Exception:
                # The top of a supervised loop: whatever it is, this process must not seem dead.
                logger.exception("the lease failed and goes on")

    def _beat(self, log: Log, writer: Writer) -> None:
        if not self._held and self._is_idle():
            return
        for outcome in log.append(self._reporter_id, 0, [], str(next(self._beats))):
            if outcome.code == CANCEL:
                self.cancel(outcome.message)
        held = list(self._held.values())
        self.pasts.refresh(log, {operation.task for operation in held})
        for operation in held:
            records = self._said_of(operation)
            if records:
                writer.append_all(records)

    def _said_of(self, operation: Held) -> list[Record]:
        """Give what there is to say of *operation* in its stead."""
        since = self._abandoned.get(operation.run)
        if since is not None:
            if time.monotonic() - since < self.beat_s:
                return []
            self.release(operation)
            return operation.lost()
        record = operation.stalled(self._stalled_s) if self._stalled_s else None
        return [record] if record else []


def _is_patched() -> bool:
    """Tell whether gevent has put greenlets in the place of threads here."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _original(module: str, name: str) -> Callable[..., Any]:
    """Give the function as it was before gevent replaced it, if it did. Imports no gevent."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return cast("Callable[..., Any]", monkey.get_original(module, name))
    return cast("Callable[..., Any]", getattr(sys.modules[module], name))


def _start_native_thread(run: Callable[[], None]) -> None:
    """Run it beside everything else, greenlets that never give way included (CELERY.md, 0.8)."""
    _original(_thread.__name__, "start_new_thread")(run, ())
