"""What a stream is asked for: taken as it is spelt, or refused by name; and cut down to what may be seen."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from tests.corpus import corpus, many, taken, tried
from tidings.claims import Claims
from tidings.errors import InvalidValue
from tidings.events import TYPES
from tidings.topics import ALL_FAMILIES, EVERYTHING, Filter, check_identifier, owner_topic
from webapp.access import Access
from webapp.errors import NotFound
from webapp.listing import read_wanted
from webapp.query import Asked, read_filter, read_limit, read_stream

FILTERS = corpus("filters")
ASCII = "".join(map(chr, range(33, 127)))
FIELDS = ("topics", "types", "kinds", "history", "last_event_id")
MOST = 64
TAKEN = {
    "nothing", "dots", "two of the same", "all of a family", "all families", "an owner", "64 topics",
    "128 characters", "an encoded comma", "an encoded colon", "a name with brackets",
    "a name in capitals", "a name with NUL", "types", "a kind", "a prototype", "10,000 kinds",
    "history", "an empty history", "two histories", "an id", "two ids", "a ticket", "a token",
    "nothing but separators", "10,000 parameters",
}  # fmt: skip


def read(query: str | list[str]) -> Asked | None:
    """Read a query; None where it is refused by the name of one of its parameters."""
    tried["filters"] += 1
    text = quote("".join(query), safe=ASCII, errors="surrogatepass").encode()  # all that gunicorn lets pass
    asked = taken(lambda: read_stream("", text, "", MOST), *FIELDS)
    if asked is not None:
        check(asked.wanted)
    return asked


def check(wanted: Filter) -> None:
    """Whatever was read is topics, types and kinds of ours, and no more than may be."""
    assert 0 < len(wanted.topics) <= MOST
    for topic in wanted.topics:
        family, _, name = topic.partition(":")
        assert topic == EVERYTHING or family in ALL_FAMILIES
        assert name in {"", EVERYTHING} or check_identifier("id", name)
        assert name or topic == EVERYTHING
    assert wanted.types is None or wanted.types <= TYPES.keys()
    assert all(check_identifier("kind", kind) for kind in wanted.kinds or ())


@pytest.mark.parametrize("name", FILTERS)
def test_a_query_is_taken_as_it_is_spelt_or_refused_by_name(name: str) -> None:
    """Of the corpus those are taken that are ours, however odd, and the rest is refused."""
    assert (read(FILTERS[name]) is not None) == (name in TAKEN)


words = st.sampled_from(
    ["operations", "workflows", "agents", "owners", "*", ":", ",", "a", "b", "%00", "%2C", "%", "&", "=",
     "topics=", "types=", "kinds=", "history=", "last_event_id=", "progress", "all", "evt_1-1", "..", "/",
     "{a}", "é", "\ud800"]
)  # fmt: skip


@many()
@given(st.lists(words, max_size=30).map("".join) | st.text(max_size=100))
def test_any_query_is_taken_or_refused_by_name(query: str) -> None:
    """Nothing else is raised, and nothing is read that is no topic, type or kind."""
    read(query)


@many(0.5)
@given(
    st.dictionaries(
        st.sampled_from(["topics", "types", "kinds", "status", "q", "limit", "before"]), st.text()
    )
)
def test_a_list_is_asked_for_by_the_same_rule(asked: dict[str, str]) -> None:
    """The parameters of lists, whatever they hold."""
    tried["filters"] += 1
    args = MultiDict(asked)
    taken(lambda: read_filter(args, (), MOST), "topics", "types", "kinds")
    taken(lambda: read_limit(args, 100), "limit")
    taken(lambda: read_wanted(args), "status", "kinds", "q")


NAMES = ("a", "b", "ann", "bob", "A", "a.b", "~")
carried = st.tuples(  # every event is on its operation's own topic
    st.sampled_from([f"operations:{name}" for name in NAMES]),
    st.lists(st.sampled_from([f"{family}:{name}" for family in ALL_FAMILIES for name in NAMES]), max_size=3),
).map(lambda topics: [topics[0], *topics[1]])
topics = st.sampled_from([f"{family}:{name}" for family in ALL_FAMILIES for name in (*NAMES, EVERYTHING)])
subjects = st.sampled_from(["ann", "bob", "a", "*", "a|b", "é"])


@many(2)
@given(
    subjects,
    st.lists(topics | st.just(EVERYTHING), max_size=4),
    st.lists(topics, max_size=4),
    st.lists(carried, max_size=6),
)
def test_no_event_goes_to_who_may_not_see_it(
    subject: str, given: list[str], asked: list[str], events: list[list[str]]
) -> None:
    """Whatever a token names and whatever is asked for: what the filter takes, the token shows."""
    tried["filters"] += 1
    access = Access.of(Claims(iss="i", aud="a", sub=subject, exp=1, topics=tuple(given)))
    try:
        narrow = access.narrow(Filter.of(asked), lambda _: False)
    except NotFound:
        return
    mine = owner_topic(subject)
    for event in events:
        shown = narrow.covers(event)
        assert not shown or _may_see([*given, mine], event)
        assert not shown or not asked or Filter.of(asked).covers(event) or mine in event


def _may_see(given: list[str], event: list[str]) -> bool:
    """Say it again, in other words than the service does."""
    seen: set[Any] = {EVERYTHING} & set(given)
    for topic in event:
        family, _, name = topic.partition(":")
        names = {f"{family}:{name}", f"{family}:*"}
        names |= {f"workflows:{name}", "workflows:*"} if family == "members" else set()
        seen |= names & set(given)
    return bool(seen)


@many(0.2)
@given(st.text(max_size=200), st.text(max_size=200))
def test_no_two_owners_share_a_topic(one: str, other: str) -> None:
    """Nor does any have one that is no topic, or stands for several."""
    tried["filters"] += 1
    mine, theirs = owner_topic(one), owner_topic(other)
    assert (mine == theirs) == (one == other) or not mine
    if mine:
        assert Filter.of([mine]).named == (mine,)


def test_a_refusal_says_what_would_have_been_taken() -> None:
    """All of it, in one sentence."""
    with pytest.raises(InvalidValue, match="operations:<id>, workflows:<id>"):
        read_stream("", b"topics=secrets:a", "", MOST)
