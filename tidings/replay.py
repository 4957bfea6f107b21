"""How a stream that opens catches up: exactly what it missed, or a reset and the current state.

Between log and hub: takes a filter, a cursor and the place up to which the feed has read;
gives the entries in between, or says why they cannot be proved complete. Follows the resume
table of LOG.md (b), row by row. It does not know the ring of a web process, nor frames.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.errors import HistoryChanged
from tidings.log import Log, Mark, OperationState, TopicPage
from tidings.topics import EVERYTHING, OWNERS, Filter

MAX_STATES: Final = 1_000
"""Operations whose state one opening sends: about 500 KB; a page shows fewer (guessed)."""


class Reset(StrEnum):
    """Why a resume cannot be exact."""

    HISTORY_TRIMMED = "history_trimmed"
    HISTORY_LOST = "history_lost"
    UNKNOWN_CURSOR = "unknown_cursor"


class History(StrEnum):
    """What a stream without a cursor starts with."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a stream sends before it goes live, in this order: reset, states, entries.

    ``position`` is where the stream stands after them; what is live follows it. Unless they are
    ``at_hand``, ``entries`` reads Redis page by page as it is drawn from, and raises
    HistoryChanged or LogUnavailable.
    """

    position: Cursor
    entries: Iterable[Entry] = ()
    states: tuple[OperationState, ...] = ()
    reset: Reset | None = None

    @property
    def at_hand(self) -> bool:
        """Tell whether all of it is in memory: drawing from it never blocks."""
        return isinstance(self.entries, Sequence)


class _Unprovable(Exception):
    def __init__(self, reason: Reset) -> None:
        super().__init__(reason)
        self.reason = reason


def resume(log: Log, wanted: Filter, cursor: Cursor, feed: Mark) -> Opening:
    """Go on after *cursor*, as far as *feed* has read; exact, or a reset.

    Waits for Redis. Raises: LogUnavailable; HistoryChanged if feed and server are not in the
    same life of the log.
    """
    try:
        sources, pages = _provable(log, wanted, cursor, feed)
    except _Unprovable as unprovable:
        return start_over(log, wanted, feed, unprovable.reason)
    if cursor >= feed.position:
        return Opening(cursor)
    return Opening(feed.position, _merged(log, wanted, sources, pages, feed))


def start_over(log: Log, wanted: Filter, feed: Mark, reason: Reset | None = None) -> Opening:
    """Begin with the current state (after a reset, if *reason* says why).

    Waits for Redis. Raises: LogUnavailable, HistoryChanged.
    """
    position, states = _current(log, wanted, feed)
    return Opening(position, states=states, reset=reason)


def from_the_beginning(log: Log, wanted: Filter, feed: Mark) -> Opening:
    """Begin with all that is kept, behind a reset and the state unless that is provably all there was.

    Waits for Redis. Raises: LogUnavailable, HistoryChanged.
    """
    sources = wanted.named or (EVERYTHING,)
    pages = [_first_page(log, source, feed) for source in sources]
    reset, states = None, tuple[OperationState, ...]()
    if not all(
        _has_its_beginning(log, topic, page, feed) for topic, page in zip(sources, pages, strict=True)
    ):
        everything = _page(log, EVERYTHING, None, feed)
        if _has_its_beginning(log, EVERYTHING, everything, feed):
            sources, pages = (EVERYTHING,), [everything]
        else:
            reset = Reset.HISTORY_TRIMMED
            _, states = _current(log, wanted, feed)
    return Opening(feed.position, _merged(log, wanted, sources, pages, feed), states, reset)


def _current(log: Log, wanted: Filter, feed: Mark) -> tuple[Cursor, tuple[OperationState, ...]]:
    """Read the operations that *wanted* is about as they are, and the place at which they are so."""
    mark, states = log.state(wanted.topics, MAX_STATES)
    if mark.token != feed.token:
        raise HistoryChanged("the log is in another era than this process")
    return mark.position, tuple(state for state in states if wanted.covers(state.topics))


def _provable(
    log: Log, wanted: Filter, cursor: Cursor, feed: Mark
) -> tuple[tuple[str, ...], list[TopicPage]]:
    """Find the streams that hold all that matches after *cursor*, the topics' own or the log's.

    Returns them with the first page of each.
    """
    if wanted.named:
        pages = [_page(log, topic, cursor, feed) for topic in wanted.named]
        _check_lineage(cursor, pages[0])
        if all(_topic_reaches(page, cursor) for page in pages):
            return wanted.named, pages
    page = _page(log, EVERYTHING, cursor, feed)
    _check_lineage(cursor, page)
    if _log_reaches(page, cursor) and not _is_too_long(log, cursor, page, feed):
        return (EVERYTHING,), [page]
    raise _Unprovable(Reset.HISTORY_TRIMMED)


def _first_page(log: Log, source: str, feed: Mark) -> TopicPage:
    page = _page(log, source, None, feed)
    horizon = _horizon(log, page, feed) if source == EVERYTHING else None
    return page if horizon is None else _page(log, source, horizon, feed)


def _page(log: Log, topic: str, after: Cursor | None, feed: Mark) -> TopicPage:
    page = log.page(topic, after, feed.position)
    if page.token != feed.token:
        raise HistoryChanged("the log is in another era than this process")
    return page


def _check_lineage(cursor: Cursor, page: TopicPage) -> None:
    """Refuse a cursor that this history did not give out, or gave out and lost."""
    last = page.log_last
    current = last is not None and cursor.era == last.era
    end = last.n if current and last is not None else page.closed_eras.get(cursor.era)
    if end is None or cursor.n > end:
        raise _Unprovable(Reset.HISTORY_LOST)


def _topic_reaches(page: TopicPage, cursor: Cursor) -> bool:
    """Tell whether the topic's own stream provably has all of it after *cursor*."""
    complete_from, first = page.topic_complete_from, page.topic_first
    return (first is not None and first <= cursor) or (complete_from is not None and complete_from <= cursor)


def _log_reaches(page: TopicPage, cursor: Cursor) -> bool:
    """Tell whether the log provably has everything after *cursor*."""
    first = page.log_first
    return first is not None and (first.cursor <= cursor or first.follows(cursor))


def _is_too_long(log: Log, cursor: Cursor, page: TopicPage, feed: Mark) -> bool:
    """Tell whether more has to be read of the log than one stream may have read (TIDINGS_REPLAY_EVENTS)."""
    behind = sum(n for era, n in _ends(page, feed) if era >= cursor.era) - cursor.n
    return 0 < log.settings.replay_events < behind


def _horizon(log: Log, page: TopicPage, feed: Mark) -> Cursor | None:
    """Give behind what one stream may have the log read from its beginning; None: behind nothing."""
    left = log.settings.replay_events
    for era, n in _ends(page, feed) if left else ():
        if n > left:
            return Cursor(era, n - left)
        left -= n
    return None


def _ends(page: TopicPage, feed: Mark) -> list[tuple[int, int]]:
    """Give the eras up to the feed's, the latest first, and how many entries each had."""
    ends = page.closed_eras | {feed.position.era: feed.position.n}
    return sorted((each for each in ends.items() if each[0] <= feed.position.era), reverse=True)


def _log_has_the_beginning(page: TopicPage) -> bool:
    """Tell whether the log still begins where its history did: an era that continues none."""
    first = page.log_first
    return first is not None and first.cursor.n == 0 and first.previous is None


def _has_its_beginning(log: Log, source: str, page: TopicPage, feed: Mark) -> bool:
    """Tell whether what *source* keeps, and one stream may have read, is all there ever was on it."""
    if source == EVERYTHING:
        return _log_has_the_beginning(page) and _horizon(log, page, feed) is None
    family, _, name = source.partition(":")
    if page.topic_complete_from is None or family == OWNERS:  # somebody has no beginning
        return False
    root = log.operation(name)
    return root is not None and root.born == page.topic_first


def _merged(
    log: Log, wanted: Filter, sources: tuple[str, ...], pages: list[TopicPage], feed: Mark
) -> Iterator[Entry]:
    """Read on from the first *pages* of *sources* to the feed's place; give what matches, in log order, once.

    Each further page is proved again: what a trim took in between ends the stream, and the
    resume that follows says so.
    """
    while True:
        # A full page says nothing beyond its own end, so only up to there is the merge complete.
        ends = [page.ends_at for page in pages if page.ends_at is not None]
        upto = min(ends, default=feed.position)
        found = {entry.cursor: entry for page in pages for entry in page.entries if entry.cursor <= upto}
        yield from (found[cursor] for cursor in sorted(found) if found[cursor].is_for(wanted))
        if not ends:
            return
        before, pages = pages, [_page(log, source, upto, feed) for source in sources]
        if not all(_goes_on(*each, upto) for each in zip(before, pages, sources, strict=True)):
            raise HistoryChanged("entries were trimmed while they were replayed")


def _goes_on(before: TopicPage, page: TopicPage, source: str, cursor: Cursor) -> bool:
    """Tell whether *page* has all after *cursor*, or at least nothing was taken since the page *before*.

    Behind a reset a topic may begin later than that: what is missing then was missing all along.
    """
    reaches = _log_reaches(page, cursor) if source == EVERYTHING else _topic_reaches(page, cursor)
    return reaches or page.topic_first == before.topic_first
