"""What one asker may see, start and cancel: the one rule of streams, API, uploads and pages.

Takes the claims of a token, and what an operation's topics are; gives yes, no, or a filter cut down to what
may be seen. Rights are topics (docs/adr/0014), so a stream that is open needs no further check. Pure.
"""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from tidings.claims import Claims
from tidings.topics import EVERYTHING, Filter, owner_topic, wildcard
from webapp.errors import NotFound

ALL_OPERATIONS: Final = wildcard("operations:")
ANONYMOUS: Final = "anonymous"


class Grant(NamedTuple):
    """Whom something was granted to, by which token, and until when; times in seconds since 1970."""

    subject: str
    token_id: str = ""
    issued_at: float = 0
    expires_at: float = math.inf

    @classmethod
    def of(cls, claims: Claims) -> Self:
        """Give what a token, or a ticket, is."""
        return cls(claims.sub, claims.jti, claims.iat, claims.exp)


@dataclass(frozen=True, slots=True)
class Access:
    """One asker's rights, for one request or one stream. ``own``: the topic of what is theirs.

    ``operates``: may see who waits for what (`webapp.views.debug`).
    """

    grant: Grant | None
    topics: tuple[str, ...]
    start: frozenset[str] = frozenset()
    cancel: tuple[str, ...] = ()
    own: str = ""
    operates: bool = False

    @classmethod
    def of(cls, claims: Claims) -> Self:
        """Give what a token gives: what it names, and what belongs to its subject."""
        own = owner_topic(claims.sub)
        return cls(
            Grant.of(claims),
            tuple(dict.fromkeys((*claims.topics, own))),
            frozenset(claims.start),
            (*claims.cancel, own),
            own,
            claims.operator,
        )

    @classmethod
    def by_ticket(cls, claims: Claims) -> Self:
        """Give what a ticket gives: what it names, and no more of what is its subject's."""
        return cls(Grant.of(claims), claims.topics)

    @property
    def subject(self) -> str:
        """Who it is, as events may show it."""
        return ANONYMOUS if self.grant is None else self.grant.subject

    @property
    def owner(self) -> str | None:
        """Whose what is started now is: nobody's where nobody is known."""
        return None if self.grant is None else self.grant.subject

    @property
    def sees_everything(self) -> bool:
        """Whether nothing is kept from it."""
        return EVERYTHING in self.topics

    def names(self, topic: str) -> bool:
        """Tell whether *topic* is given by name, or by a pattern."""
        return _names(self.topics, topic)

    def sees(self, topics: Iterable[str]) -> bool:
        """Tell whether what is on *topics* may be seen."""
        return any(self.names(topic) for topic in topics)

    def leads(self, topic: str, about: Collection[str]) -> bool:
        """Tell whether the operation that *topic* is called after, itself on the topics *about*, opens it.

        An operation does if it may be seen; a workflow and an agent if they are the asker's own.
        """
        if topic.startswith("operations:"):
            return self.sees(about)
        head = topic.replace("members:", "workflows:")
        return bool(self.own) and self.own in about and head in about

    def may_start(self, kind: str) -> bool:
        """Tell whether an operation of *kind* may be started."""
        return EVERYTHING in self.start or kind in self.start

    def may_name(self, topics: Iterable[str]) -> bool:
        """Tell whether an operation on these *topics* may be given its id by the asker.

        Who could choose any would own names that others' operations are filed under.
        """
        return all(self.names(topic) for topic in topics)

    def may_cancel(self, topics: Iterable[str]) -> bool:
        """Tell whether an operation on *topics* may be cancelled."""
        return any(_names(self.cancel, topic) for topic in topics)

    def owns(self, owner: str) -> bool:
        """Tell whether what is *owner*'s is the asker's own; everything is where nobody is known."""
        return self.grant is None or owner == self.grant.subject

    def narrow(self, wanted: Filter, leads: Callable[[str], bool]) -> Filter:
        """Cut *wanted* down to what may be seen. *leads* looks whether a named topic's operation opens it.

        Raises: NotFound for a topic of which nothing may be seen, whether or not there is any.
        """
        if self.sees_everything:
            return wanted
        allowed = [topic for asked in wanted.topics for topic in self._within(asked, leads)]
        return Filter.of(allowed, wanted.types or (), wanted.kinds or ())

    def _within(self, topic: str, leads: Callable[[str], bool]) -> Iterable[str]:
        if self.names(topic):
            return (topic,)
        if topic in {EVERYTHING, ALL_OPERATIONS}:  # every event is an operation's
            return self.topics
        if topic.endswith(EVERYTHING):
            found = [given for given in self.topics if wildcard(given) == topic]
        else:
            found = [topic] if leads(topic) else []
        if not found:
            raise NotFound(topic.replace("s:", " "))
        return found


OPEN: Final = Access(None, (EVERYTHING,), frozenset((EVERYTHING,)), (EVERYTHING,), operates=True)
"""What everybody has where nobody is asked for a token."""


def _names(given: Collection[str], topic: str) -> bool:
    """Tell whether *topic* is among those *given*; who has a workflow has the members of its groups."""
    if EVERYTHING in given or topic in given or wildcard(topic) in given:
        return True
    return topic.startswith("members:") and _names(given, topic.replace("members:", "workflows:"))
