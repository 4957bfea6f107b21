"""What an operator should know of the Redis behind the log: settings that take a promise back.

Asked once, when a process has found its Redis. Nothing of it is an error: the service works, and
loses what is written here when it comes to it.
"""

from dataclasses import dataclass
from typing import Final, Self

from tidings.log import Log

EVICTS: Final = (
    "maxmemory-policy is {policy}: once memory is full, Redis drops the log, or what keeps an event "
    "from being stored twice; set maxmemory-policy noeviction"
)
FORGETS: Final = (
    "nothing is written to disk: a restart loses the history, and every stream is told reset; "
    "set appendonly yes"
)
UNREAD_POLICY: Final = "maxmemory-policy could not be read; it should be noeviction"
UNREAD_SAVES: Final = (
    "whether anything is written to disk could not be read; if nothing is, a restart loses the history"
)
_HELLOS: Final = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """What is wrong (*warnings*, each with its remedy), and what could not be found out (*doubts*)."""

    warnings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @classmethod
    def of(cls, log: Log) -> Self:
        """Look at the server behind *log*. Waits for Redis. Raises: LogUnavailable."""
        for _ in range(_HELLOS):
            log.hello()  # a connection that reaches different servers says so itself
        memory, persistence = log.server("memory"), log.server("persistence")
        saves = "" if persistence.get("aof_enabled") else log.configured("save")
        return cls(*_judged(memory, persistence, saves))


def _judged(
    memory: dict[str, object], persistence: dict[str, object], saves: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    warnings, doubts = [], []
    policy = memory.get("maxmemory_policy")
    if policy is None:
        doubts.append(UNREAD_POLICY)
    elif memory.get("maxmemory") != 0 and policy != "noeviction":
        warnings.append(EVICTS.format(policy=policy))
    if saves is None:
        doubts.append(UNREAD_SAVES)
    elif not saves and not persistence.get("aof_enabled"):
        warnings.append(FORGETS)
    return tuple(warnings), tuple(doubts)
