"""The list of operations as people ask for it: narrowed, and a page at a time.

Takes what a request wants and where the page before ended, gives the next page. Guarantee: a request reads a
bounded part of the log's list, in reads that are short; what it has not looked at, a further one will.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from msgspec import json

from tidings.errors import InvalidValue
from tidings.events import FINAL_STATUSES
from tidings.log import LISTED, OPEN, Log, Mark, OperationState
from tidings.replay import MAX_STATES
from tidings.topics import Filter, check_identifier
from webapp.query import Args, read_words

MOST_AT_ONCE: Final = 500
"""Operations per read: some 2 ms of Redis."""
MOST_LOOKED_AT: Final = 2_000
"""Operations that one request looks at for those that it wants: some 50 ms of one core in all."""
MAX_TEXT_CHARS: Final = 200
OVER: Final = frozenset({*FINAL_STATUSES})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which operations are asked for; what is empty narrows nothing.

    ``statuses``: words of a status, or `OPEN` for all that are not over; ``text``, in lower case, is in
    their id, name, or what they said last.
    """

    statuses: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    text: str = ""

    @property
    def listed(self) -> tuple[str, ...]:
        """The parts of the log's list in which there may be any."""
        if not self.statuses:
            return LISTED
        return tuple(
            name for name in LISTED if (self.statuses - OVER if name == OPEN else name in self.statuses)
        )

    @property
    def reads_all(self) -> bool:
        """Tell whether everything in those parts is wanted."""
        return not self.kinds and not self.text and self.statuses <= {OPEN, *OVER}

    def has(self, state: OperationState) -> bool:
        """Tell whether *state* is asked for."""
        return self._has_status(state) and self._has_kind(state) and self._has_text(state)

    def _has_status(self, state: OperationState) -> bool:
        return (
            not self.statuses
            or state.status in self.statuses
            or (OPEN in self.statuses and state.end is None)
        )

    def _has_kind(self, state: OperationState) -> bool:
        return not self.kinds or state.descriptor.kind in self.kinds

    def _has_text(self, state: OperationState) -> bool:
        return not self.text or any(self.text in said.lower() for said in _texts(state))


class Page(NamedTuple):
    """Some of the operations, in the list's order; ``before`` is None where there are no more.

    ``mark``: where a stream is to begin so that nothing is missed; ``counts``: of all operations, however the
    list is narrowed.
    """

    mark: Mark
    counts: Mapping[str, int]
    states: list[OperationState]
    before: int | None


def read_wanted(args: Args) -> Wanted:
    """Read ``status``, ``kinds`` and ``q``. Raises: InvalidValue naming the parameter."""
    kinds = frozenset(check_identifier("kinds", kind) for kind in read_words(args, "kinds"))
    text = args.get("q", "").strip().lower()
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidValue("q", f"at most {MAX_TEXT_CHARS} characters", text)
    return Wanted(frozenset(read_words(args, "status")), kinds, text)


def read_before(args: Args) -> int | None:
    """Read ``before``, the ``next`` of another page. Raises: InvalidValue."""
    text = args.get("before", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16):  # noqa: PLR2004 - of 2^53
        raise InvalidValue("before", "the `next` of another page", text)
    return int(text)


def read_page(log: Log, wanted: Wanted, before: int | None, limit: int) -> Page:
    """Read *limit* operations that are *wanted* and follow *before*, or fewer: the rest is behind the page.

    Raises: LogUnavailable.
    """
    listed = wanted.listed
    first = log.listing(listed, before, min(MOST_AT_ONCE, limit) if wanted.reads_all else MOST_AT_ONCE)
    states: list[OperationState] = []
    listing, looked_at = first, 0
    while True:
        for place, state in listing.states:
            if wanted.has(state):
                states.append(state)
                if len(states) == limit:
                    is_last = place == listing.states[-1][0] and listing.before is None
                    return Page(first.mark, first.counts, states, None if is_last else place)
        looked_at += MOST_AT_ONCE
        if listing.before is None or looked_at >= MOST_LOOKED_AT:
            return Page(first.mark, first.counts, states, listing.before)
        listing = log.listing(listed, listing.before, MOST_AT_ONCE)


def page_on(log: Log, on: Filter, wanted: Wanted, limit: int) -> Page:
    """Read operations on topics: at most `MAX_STATES`, and no more behind them; ``counts`` are theirs.

    Raises: LogUnavailable.
    """
    mark, states = log.state(on.topics, MAX_STATES)
    seen = [state for state in states if on.covers(state.topics)]
    counts = Counter(state.status if state.end else OPEN for state in seen)
    shown = [state for state in seen if wanted.has(state)]
    shown.sort(key=lambda state: (state.end is None, state.end or state.born), reverse=True)
    return Page(mark, {name: counts[name] for name in LISTED}, shown[:limit], None)


def _texts(state: OperationState) -> Iterator[str]:
    what = state.descriptor
    yield what.id
    yield what.name or ""
    yield from _messages(state.events.get(name) for name in ("progress", "error"))


def _messages(events: Iterable[bytes | None]) -> Iterator[str]:
    for data in events:
        if data is not None:
            event: dict[str, Any] = json.decode(data)
            yield event.get("message", "")
