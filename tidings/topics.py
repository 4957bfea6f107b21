"""Whom an event is for: topics, and the filter that one stream asks for.

Takes the words of a request, gives values that the hub and the log can match. Pure.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tidings.errors import InvalidValue

_IDENTIFIER: Final = "[A-Za-z0-9._~-]{1,128}"
IDENTIFIER_PATTERN: Final = rf"^{_IDENTIFIER}$(?!\n)"
"""For JSON Schema and Python alike, whose ``$`` would let a final line feed pass."""
IDENTIFIER_RULE: Final = "1 to 128 of the characters A-Z a-z 0-9 . _ ~ -"
FAMILIES: Final = ("operations", "workflows", "members", "agents")
EVERYTHING: Final = "*"
"""The topic that stands for the global stream: every event is on it."""

OWNERS: Final = "owners"
"""The family of whose operations are: it is asked for like the others, and has no path of its own."""
_MAX_NAME_CHARS: Final = 128
ALL_FAMILIES: Final = (*FAMILIES, OWNERS)

_identifier = re.compile(_IDENTIFIER, re.ASCII)
_odd_byte = re.compile(rb"[^A-Za-z0-9._-]")
_TOPIC_RULE = (
    "operations:<id>, workflows:<id>, members:<id>, agents:<id>, owners:<name>, "
    "or one of these with * as the id"
)


def check_identifier(field: str, value: object) -> str:
    """Return *value* if it may name an operation, agent, workflow or kind.

    Raises: InvalidValue naming *field* and the rule.
    """
    if not isinstance(value, str) or _identifier.fullmatch(value) is None:
        raise InvalidValue(field, IDENTIFIER_RULE, value)
    return value


def check_topic(value: str) -> str:
    """Return *value* if it is a topic, an id or ``*`` behind one of the families.

    Raises: InvalidValue naming the parameter ``topics``.
    """
    family, _, name = value.partition(":")
    if family not in ALL_FAMILIES or not (name == EVERYTHING or _identifier.fullmatch(name)):
        raise InvalidValue("topics", _TOPIC_RULE, value)
    return value


def wildcard(topic: str) -> str:
    """Name the wildcard that covers *topic*: ``agents:a1`` → ``agents:*``."""
    return topic.partition(":")[0] + ":*"


@lru_cache(maxsize=1_024)
def owner_topic(owner: str) -> str:
    """Name the topic of what belongs to *owner*, any text; empty for none, and for one that is too long.

    A byte that cannot stand in a topic is written ``~XX``, and so is ``~``: no two owners share a topic.
    """
    name = _odd_byte.sub(lambda found: b"~%02X" % ord(found[0]), owner.encode("utf-8", "surrogatepass"))
    return f"{OWNERS}:{name.decode()}" if 0 < len(name) <= _MAX_NAME_CHARS else ""


@dataclass(frozen=True, slots=True)
class Filter:
    """What one stream wants: any of *topics*, and of those only *types* and *kinds* (None = all).

    ``topics`` holds at least one; ``("*",)`` is the global stream.
    """

    topics: tuple[str, ...] = (EVERYTHING,)
    types: frozenset[str] | None = None
    kinds: frozenset[str] | None = None

    @staticmethod
    def of(topics: Iterable[str], types: Iterable[str] = (), kinds: Iterable[str] = ()) -> "Filter":
        """Build a filter; empty *topics* mean everything, empty *types* and *kinds* mean all.

        Raises: InvalidValue naming ``topics`` or ``kinds``. The caller has checked the types.
        """
        chosen = tuple(dict.fromkeys(check_topic(topic) for topic in topics)) or (EVERYTHING,)
        if EVERYTHING in chosen:
            chosen = (EVERYTHING,)
        checked = frozenset(check_identifier("kinds", kind) for kind in kinds)
        return _shared(chosen, frozenset(types) or None, checked or None)

    @property
    def named(self) -> tuple[str, ...] | None:
        """The topics, if each is one topic by name; None if any is a wildcard or everything."""
        return None if any(topic.endswith(EVERYTHING) for topic in self.topics) else self.topics

    @property
    def names_topics(self) -> bool:
        """Tell whether anything but everything is asked for."""
        return self.topics[0] != EVERYTHING

    def wants(self, kind: str, event_type: str) -> bool:
        """Tell whether an event of this kind and type, on one of our topics, is asked for."""
        return (self.types is None or event_type in self.types) and (self.kinds is None or kind in self.kinds)

    def covers(self, topics: Collection[str]) -> bool:
        """Tell whether an event that carries *topics* is on one of ours."""
        wanted = self.topics
        if wanted[0] == EVERYTHING or wanted[0] in topics:
            return True
        return any(topic in wanted or wildcard(topic) in wanted for topic in topics)


@lru_cache(maxsize=1_024)
def _shared(topics: tuple[str, ...], types: frozenset[str] | None, kinds: frozenset[str] | None) -> Filter:
    """Give equal filters the same object: ten thousand streams of everything share one."""
    return Filter(topics, types, kinds)
