"""The list of operations against a real server: its order, its pages, what is looked for, and counts."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.test_log import Author
from tidings.descriptor import Descriptor
from tidings.errors import InvalidValue
from tidings.events import QUEUED, Complete, Error, Progress, Status
from tidings.log import LISTED, OPEN, Listing, Log
from tidings.record import NEW, OWN, Record
from tidings.settings import Settings
from webapp import listing as listing_module
from webapp.listing import Page, Wanted, read_before, read_page, read_wanted
from webapp.query import Args

RUN = "mine.1"


@pytest.fixture
def author(log: Log) -> Author:
    """A reporter named "mine"."""
    return Author(log)


def named(operation_id: str) -> Descriptor:
    """Describe an operation."""
    return Descriptor.of(operation_id, "batch")


def begin(author: Author, *names: str) -> None:
    """Begin operations in this order."""
    author.append(*[Record.beginning(named(name), RUN, 1) for name in names])


def complete(author: Author, *names: str) -> None:
    """Let operations succeed in this order."""
    author.append(*[Record.of(named(name), Complete, condition=OWN, run=RUN) for name in names])


def fail(author: Author, name: str, code: str = "failed", message: str = "No.") -> None:
    """Let an operation end with an error."""
    said: dict[str, Any] = {"code": code, "message": message, "terminal": True}
    author.append(Record.of(named(name), Error, condition=OWN, run=RUN, **said))


def say(author: Author, name: str, status: str) -> None:
    """Change an operation's status."""
    author.append(Record.of(named(name), Status, condition=OWN, run=RUN, status=status))


def ids(found: Listing | Page) -> list[str]:
    """Give the ids of what was found."""
    states = found.states if isinstance(found, Page) else [state for _, state in found.states]
    return [state.descriptor.id for state in states]


def every(log: Log, *wanted: str) -> list[str]:
    """Read the list at once."""
    return ids(log.listing(wanted or LISTED, None, 500))


def pages(log: Log, wanted: Wanted, limit: int) -> list[list[str]]:
    """Read page after page until there are no more."""
    found, before = [], None
    while True:
        page = read_page(log, wanted, before, limit)
        found.append(ids(page))
        before = page.before
        if before is None:
            return found


def test_open_operations_come_first_by_their_beginning_then_the_others_by_their_end(
    author: Author, log: Log
) -> None:
    """A word of a status moves nothing: only an end does, from the open ones to the top of the others."""
    begin(author, "a", "b", "c", "d", "e")
    complete(author, "d")
    fail(author, "b")
    say(author, "a", "phase")
    assert every(log) == ["e", "c", "a", "b", "d"]
    assert every(log, OPEN) == ["e", "c", "a"]
    assert every(log, "failed", "succeeded") == ["b", "d"]


def test_an_operation_that_is_announced_is_open_from_then_on(author: Author, log: Log) -> None:
    """Its place is that of its first word, not of its first attempt."""
    queued: dict[str, Any] = {"condition": NEW, "run": "", "status": QUEUED}
    author.append(Record.of(named("a"), Status, **queued), Record.of(named("b"), Status, **queued))
    begin(author, "a")
    assert every(log) == ["b", "a"]


def test_pages_give_each_operation_once_whatever_changes_meanwhile(author: Author, log: Log) -> None:
    """What begins or ends does so in front of the reader; one that has ended since is met again."""
    begin(author, *"abcdef")
    complete(author, *"ab")
    first = read_page(log, Wanted(), None, 2)
    assert ids(first) == ["f", "e"]
    complete(author, "f", "d")
    begin(author, "g")
    second = read_page(log, Wanted(), first.before, 2)
    assert ids(second) == ["c", "d"]
    third = read_page(log, Wanted(), second.before, 9)
    assert (ids(third), third.before) == (["f", "b", "a"], None)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_pages_of_any_size_have_all_in_order_and_no_empty_one_at_the_end(
    author: Author, log: Log, limit: int
) -> None:
    """The last page says that it is."""
    begin(author, *"abcdef")
    complete(author, *"ace")
    found = pages(log, Wanted(), limit)
    assert [name for page in found for name in page] == ["f", "d", "b", "e", "c", "a"]
    assert len(found) == -(-6 // limit)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["words", "new", "bad", "done"]),
        (Wanted(statuses=frozenset({OPEN})), ["words", "new"]),
        (Wanted(statuses=frozenset({"counting"})), ["words"]),
        (Wanted(statuses=frozenset({"running", "failed"})), ["new", "bad"]),
        (Wanted(statuses=frozenset({"succeeded"})), ["done"]),
        (Wanted(kinds=frozenset({"import"})), ["new"]),
        (Wanted(text="customers"), ["new"]),
        (Wanted(text="zlib"), ["words"]),
        (Wanted(text="no such column"), ["bad"]),
        (Wanted(text="o"), ["words", "new", "bad", "done"]),
        (Wanted(text="don", statuses=frozenset({OPEN})), []),
        (Wanted(text="terminal"), []),
    ],
)
def test_what_is_looked_for(author: Author, log: Log, wanted: Wanted, found: list[str]) -> None:
    """By status, kind, or a text in the id, the name or the last message; any of them together."""
    begin(author, "done", "bad")
    new = Descriptor.of("new", "import", name="Import of Customers")
    author.append(Record.beginning(new, RUN, 1))
    begin(author, "words")
    complete(author, "done")
    fail(author, "bad", message="No such column: o")
    said: dict[str, Any] = {"current": 1, "total": None, "percentage": None, "message": "Zlib.py"}
    author.append(Record.of(named("words"), Progress, condition=OWN, run=RUN, **said))
    say(author, "words", "counting")
    assert ids(read_page(log, wanted, None, 10)) == found


def test_a_request_reads_a_bounded_part_and_the_next_one_goes_on(
    author: Author, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is rare is found by several requests, each of which says that there may be more."""
    monkeypatch.setattr(listing_module, "MOST_AT_ONCE", 3)
    monkeypatch.setattr(listing_module, "MOST_LOOKED_AT", 6)
    begin(author, "rare")
    begin(author, *(f"o{number}" for number in range(13)))
    assert pages(log, Wanted(text="rare"), 5) == [[], [], ["rare"]]


def test_counts_are_of_all_operations_however_the_list_is_narrowed(author: Author, log: Log) -> None:
    """By how they stand; what has expired is not counted, and ends the list."""
    begin(author, *"abcdefgh")
    complete(author, *"abc")
    fail(author, "d")
    fail(author, "e", code="cancelled")
    wanted = Wanted(statuses=frozenset({"failed"}))
    assert read_page(log, wanted, None, 1).counts == {"open": 3, "succeeded": 3, "failed": 1, "cancelled": 1}
    log.redis.delete(*(log.key(f"op:{name}") for name in "ab"))
    page = read_page(log, Wanted(), None, 10)
    assert page.counts == {"open": 3, "succeeded": 1, "failed": 1, "cancelled": 1}
    assert (ids(page), page.before) == ([*"hgfedc"], None)
    assert read_page(log, Wanted(), page_before(log, 6), 1).before is None


def page_before(log: Log, count: int) -> int | None:
    """Give where the page after *count* operations begins."""
    return log.listing(LISTED, None, count).before


def test_an_id_that_is_used_again_is_listed_once_as_open(author: Author, log: Log) -> None:
    """Its end before is forgotten."""
    for use in ("first", "second"):
        author.append(Record.beginning(Descriptor.of("a", "batch", use=use), RUN, 1))
        if use == "first":
            author.append(Record.of(Descriptor.of("a", "batch", use=use), Complete, condition=OWN, run=RUN))
    found = log.listing(LISTED, None, 10)
    assert (ids(found), found.counts["succeeded"], found.counts["open"]) == (["a"], 0, 1)


def test_the_list_is_as_long_as_the_index_and_expires_with_it(settings: Settings) -> None:
    """Past its length it drops what began, or ended, longest ago."""
    log = Log(replace(settings, index_operations=2))
    author = Author(log)
    begin(author, *"abc")
    assert every(log) == ["c", "b"]
    complete(author, *"abc")
    assert every(log) == ["c", "b"]
    assert 0 < log.redis.ttl(log.key("s:succeeded")) <= settings.running_ttl_s
    log.close()


def test_a_list_that_was_lost_fills_again(author: Author, log: Log) -> None:
    """With the next status of whatever is open; a foreign value under its keys undoes nothing."""
    begin(author, "a")
    log.redis.delete(log.key("s:open"))
    log.redis.set(log.key("s:succeeded"), "foreign")
    assert every(log) == []
    say(author, "a", "phase")
    assert every(log) == ["a"]
    complete(author, "a")
    assert every(log) == []


def test_a_listing_says_its_place_in_the_log_also_in_an_empty_one(log: Log) -> None:
    """A stream from there misses nothing; a log that was emptied is greeted first."""
    assert log.listing(LISTED, None, 10).mark == log.hello()
    log.redis.delete(log.key("meta"), log.key("log"))
    assert log.listing(LISTED, None, 10).mark == log.hello()


def test_one_read_of_many_is_short(author: Author, log: Log) -> None:
    """However many there are, a page costs what it gives, and a few looks for how many are kept."""
    names = [f"o{number}" for number in range(1_000)]
    begin(author, *names)
    complete(author, *names)
    before = commands(log)
    log.listing(LISTED, None, 50)
    assert commands(log) - before < 50 + 40


def commands(log: Log) -> int:
    """Count what the server was asked by scripts and clients, of the commands that a listing may need."""
    stats: dict[str, dict[str, int]] = log.redis.info("commandstats")
    names = ("hgetall", "exists", "zrevrange", "zcount", "zcard")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names) // 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"before": "x"}, "before"),
        ({"before": "1" * 17}, "before"),
        ({"q": "x" * 201}, "q"),
        ({"kinds": "a b"}, "kinds"),
    ],
)
def test_a_wrong_word_is_refused_by_name(query: dict[str, str], field: str) -> None:
    """As anywhere in the API."""
    args = Args(_items(query))
    read = read_before if field == "before" else read_wanted
    with pytest.raises(InvalidValue) as refused:
        read(args)
    assert refused.value.field == field


def _items(query: dict[str, str]) -> Iterable[tuple[str, str]]:
    return query.items()
