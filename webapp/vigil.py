"""Who has been silent for a whole lease: the rule, apart from clocks and Redis.

Takes what each look at the leases showed and when, gives who did not change all that time. Pure.
"""

from collections.abc import Mapping
from typing import Final

MISSED_LOOKS: Final = 2
"""So many looks may fail before what was seen before counts no more (LOG.md, C8)."""


class Vigil:
    """One web process' memory of the leases. Used by one greenlet.

    It counts only time through which this process was in contact with one server: whatever interrupts
    that (an outage, a pause of this process, another life of the log) begins every count anew. So an
    unknown is never taken for a silence; who is lost is said a lease later.
    """

    def __init__(self, lease_s: float, look_s: float) -> None:
        self._lease_s = lease_s
        self._gap_s = (MISSED_LOOKS + 1) * look_s
        self._token = ""
        self._looked_at = float("-inf")
        self._since: dict[str, tuple[str, float]] = {}

    def silent(self, token: str, leases: Mapping[str, str], asked_at: float, answered_at: float) -> list[str]:
        """Take one look; give who is silent for a lease.

        *asked_at*, *answered_at*: on a monotonic clock, in s. What a look shows was so from its answer on,
        at the latest, and until its question, at the least.
        """
        known = self._since
        if token != self._token or answered_at - self._looked_at > self._gap_s:
            known = {}
        self._token, self._looked_at = token, answered_at
        self._since = {
            name: known[name] if known.get(name, ("",))[0] == mark else (mark, answered_at)
            for name, mark in leases.items()
        }
        return [name for name, (_, since) in self._since.items() if asked_at - since >= self._lease_s]
