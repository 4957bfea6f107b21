"""Replay against a real server: every row of the resume table (LOG.md (b)), then a model of it.

A topic is trimmed, expired and evicted by hand here, so that each test says which proof is missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dev.redis_server import RedisServer
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.entry import ERA, Entry
from tidings.errors import HistoryChanged
from tidings.events import Event, Progress, Status, Warning  # noqa: A004 - the wire's name
from tidings.log import PAGE_ENTRIES, Log, Mark
from tidings.record import OWN, Record
from tidings.replay import Opening, Reset, from_the_beginning, resume, start_over
from tidings.settings import Settings
from tidings.topics import Filter

W1 = Descriptor.of("w1", "workflow")
B1 = Descriptor.of("b1", "batch", workflow="w1", parent="w1")
B2 = Descriptor.of("b2", "batch", workflow="w1", agent="a1")
A1 = Descriptor.of("a1", "agent")
DESCRIPTORS = (W1, B1, B2, A1)
FIELDS: dict[type[Event], dict[str, Any]] = {
    Progress: {"current": 1, "total": 2, "percentage": 50},
    Status: {"status": "working"},
    Warning: {"code": "c", "message": "m"},
}
_namespaces = count(1)


@dataclass(frozen=True)
class Said:
    """One event as the model remembers it."""

    cursor: Cursor
    topics: tuple[str, ...]
    kind: str
    type: str


class Story:
    """A log and, beside it, all that was ever said in it; ``said`` has what its present history holds.

    ``cursors`` has every place that a reader can stand at in the present history, ``lost`` those of others.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.said: list[Said] = []
        self.cursors: list[Cursor] = []
        self.lost: list[Cursor] = []
        self.forgotten = False
        """Whether anything was trimmed or removed, so that a reset can be right."""
        self._number = 0
        self.follow_era()

    @property
    def mark(self) -> Mark:
        """Where a feed stands that has read everything."""
        return Mark(self.log.token, self.cursors[-1])

    def follow_era(self) -> None:
        """Take note of the era that a greeting opened; what it does not continue is lost."""
        position = self.log.hello().position
        (genesis,) = [entry for entry in self.log.read(Cursor(position.era - 1, 0)) if entry.cursor.n == 0][
            -1:
        ]
        if genesis.previous is None:
            self.lost += self.cursors
            self.said, self.cursors = [], []
        self.cursors.append(genesis.cursor)

    def say(self, descriptor: Descriptor, event: type[Event] = Warning, times: int = 1) -> list[Cursor]:
        """Append *times* events of an operation, which is announced if the log does not know it."""
        record = Record.of(descriptor, event, condition=OWN, run=f"me.{descriptor.id}", **FIELDS[event])
        cursors = self.append([record] * times)
        if not cursors:
            self.begin(descriptor)
            cursors = self.append([record] * times)
        return cursors

    def begin(self, descriptor: Descriptor) -> Cursor:
        """Announce an operation, or its run anew."""
        (cursor,) = self.append([Record.beginning(descriptor, f"me.{descriptor.id}", 1)])
        return cursor

    def append(self, records: list[Record]) -> list[Cursor]:
        """Append *records*; give the places of those that were stored."""
        token = self.log.token
        outcomes = self.log.append("me", self._number + 1, records)
        self._number += len(outcomes)
        if self.log.token != token:
            self.follow_era()
        stored = []
        for record, outcome in zip(records, outcomes, strict=False):  # none behind one of the unknown
            if outcome.cursor is not None:
                about = record.descriptor
                self.said.append(Said(outcome.cursor, about.topics, about.kind, record.event_type))
                self.cursors.append(outcome.cursor)
                stored.append(outcome.cursor)
        return stored

    def keep_only(self, name: str, entries: int) -> None:
        """Trim the stream *name* (``log`` or ``t:<topic>``) to its last *entries*, as an append would."""
        self.forgotten = True
        if self.log.redis.exists(self.log.key(name)):
            self.log.redis.xtrim(self.log.key(name), maxlen=entries, approximate=False)

    def remove(self, name: str) -> None:
        """Let a key expire, or be evicted."""
        self.forgotten = True
        self.log.redis.delete(self.log.key(name))
        if name == "log":
            self.follow_era()

    def restart(self) -> None:
        """Make the log believe that another server process holds it now: a linked era."""
        self.log.redis.hset(self.log.key("meta"), "tok", self.log.token.partition(":")[0] + ":another")
        self.follow_era()

    def flush(self) -> None:
        """Remove everything that the namespace has: another history."""
        self.log.redis.delete(*self.log.redis.keys(self.log.key("*")))
        self.forgotten = False
        self.follow_era()

    def expected(self, wanted: Filter, after: Cursor | None, upto: Cursor) -> list[Cursor]:
        """Filter all that was said, by the plainest means."""
        return [
            event.cursor
            for event in self.said
            if (after is None or after < event.cursor)
            and event.cursor <= upto
            and any(_matches(topic, one) for topic in wanted.topics for one in event.topics)
            and (wanted.types is None or event.type in wanted.types)
            and (wanted.kinds is None or event.kind in wanted.kinds)
        ]


def _matches(pattern: str, topic: str) -> bool:
    return topic.startswith(pattern[:-1]) if pattern.endswith("*") else topic == pattern


def cursors_of(opening: Opening) -> list[Cursor]:
    """Draw all entries of an opening."""
    return [entry.cursor for entry in opening.entries]


@pytest.fixture
def story(log: Log) -> Story:
    """An empty log and its model."""
    return Story(log)


def test_a_stream_without_cursor_begins_with_the_state_and_the_place_it_is_true_at(story: Story) -> None:
    """The states of the topics asked for come with the server's position, even if the feed is behind it."""
    behind = story.mark
    story.begin(W1)
    last = story.say(B1, Progress)[-1]
    opening = start_over(story.log, Filter.of(["operations:b1"]), behind)
    assert [state.descriptor for state in opening.states] == [B1]
    assert (opening.position, opening.reset, cursors_of(opening)) == (last, None, [])


def test_a_state_of_another_era_than_the_feeds_is_refused(story: Story) -> None:
    """State and live stream of different worlds are never put together."""
    feed = story.mark
    story.restart()
    with pytest.raises(HistoryChanged):
        start_over(story.log, Filter(), feed)


def test_a_wildcard_begins_with_the_states_of_its_family_only(story: Story) -> None:
    """An opening on agents:* shows the operations that belong to an agent, and no others."""
    for descriptor in DESCRIPTORS:
        story.begin(descriptor)
    opening = start_over(story.log, Filter.of(["agents:*"]), story.mark)
    assert {state.descriptor.id for state in opening.states} == {"b2", "a1"}


def test_a_cursor_of_an_unknown_era_is_history_lost(story: Story) -> None:
    """What an era said that the log never heard of cannot be continued; the state comes instead."""
    story.begin(B1)
    opening = resume(story.log, Filter(), Cursor(story.mark.position.era - 1, 3), story.mark)
    assert opening.reset is Reset.HISTORY_LOST
    assert [state.descriptor.id for state in opening.states] == ["b1"]
    assert opening.position == story.mark.position


def test_a_cursor_beyond_the_current_eras_end_is_history_lost(story: Story) -> None:
    """A reader that has more of this era than the server lost its tail in a failover."""
    last = story.begin(B1)
    for wanted in (Filter(), Filter.of(["operations:b1"])):
        opening = resume(story.log, wanted, Cursor(last.era, last.n + 1), story.mark)
        assert opening.reset is Reset.HISTORY_LOST


def test_a_cursor_beyond_a_closed_eras_end_is_history_lost(story: Story) -> None:
    """After a failover to a copy without the last event, who has that event is told (A9, A10)."""
    kept = story.begin(B1)
    log = story.log
    copy = {key: log.redis.dump(key) for key in log.redis.keys(log.key("*"))}
    (missing,) = story.say(B1)
    for key, value in copy.items():
        log.redis.restore(key, 0, value or b"", replace=True)
    story.restart()
    (after,) = story.say(B1, Status)
    for wanted in (Filter(), Filter.of(["operations:b1"])):
        assert resume(log, wanted, missing, story.mark).reset is Reset.HISTORY_LOST
        exact = resume(log, wanted, kept, story.mark)
        assert (exact.reset, cursors_of(exact)) == (None, [after])


def test_a_cursor_of_another_history_with_a_larger_era_is_still_lost(story: Story) -> None:
    """Lineage is checked before ids are compared: a larger number from elsewhere is not ahead (A8, A15)."""
    story.begin(B1)
    for wanted in (Filter(), Filter.of(["operations:b1"])):
        opening = resume(story.log, wanted, Cursor(story.mark.position.era + 10**9, 0), story.mark)
        assert opening.reset is Reset.HISTORY_LOST


def test_a_cursor_at_or_ahead_of_the_feed_has_nothing_to_replay(story: Story) -> None:
    """A reader that has more than this process has read keeps its place (A1)."""
    behind = Mark(story.log.token, story.begin(B1))
    ahead = story.say(B1)[0]
    for cursor in (behind.position, ahead):
        opening = resume(story.log, Filter.of(["operations:b1"]), cursor, behind)
        assert (opening.position, opening.reset, cursors_of(opening)) == (cursor, None, [])


def test_a_replay_ends_where_the_feed_stands(story: Story) -> None:
    """What came after the feed's place is left to the live stream, so that nothing comes twice (A2)."""
    cursor = story.begin(B1)
    (replayed,) = story.say(B1)
    feed = Mark(story.log.token, replayed)
    story.say(B1, times=PAGE_ENTRIES + 1)
    for wanted in (Filter(), Filter.of(["operations:b1"])):
        opening = resume(story.log, wanted, cursor, feed)
        assert (opening.position, cursors_of(opening)) == (replayed, [replayed])


def test_a_topic_that_keeps_an_entry_at_the_cursor_is_exact_without_the_log(story: Story) -> None:
    """An operation outlives the log: its own stream proves what the log has long trimmed."""
    cursor = story.begin(B1)
    expected = story.say(B1, times=3)
    story.keep_only("log", 1)
    opening = resume(story.log, Filter.of(["operations:b1"]), cursor, story.mark)
    assert (opening.reset, cursors_of(opening)) == (None, expected)


def test_a_topic_that_was_made_after_the_cursor_is_exact_from_its_mark_on(story: Story) -> None:
    """The first entry's ``f`` proves that the topic said nothing between the cursor and itself."""
    cursor = story.begin(W1)
    expected = [story.begin(B1), *story.say(B1)]
    story.keep_only("log", 1)
    opening = resume(story.log, Filter.of(["operations:b1"]), cursor, story.mark)
    assert (opening.reset, cursors_of(opening)) == (None, expected)


def test_a_cursor_before_a_topics_mark_proves_nothing(story: Story) -> None:
    """``f`` says nothing about what lies before it."""
    cursor = story.begin(W1)
    story.say(W1)
    story.begin(B1)
    story.keep_only("log", 1)
    assert resume(story.log, Filter.of(["operations:b1"]), cursor, story.mark).reset is Reset.HISTORY_TRIMMED


def test_an_expired_topic_is_read_from_the_log(story: Story) -> None:
    """Absence proves nothing, so the log answers while it reaches back to the cursor (A4)."""
    cursor = story.begin(B1)
    expected = story.say(B1)
    story.remove("t:operations:b1")
    opening = resume(story.log, Filter.of(["operations:b1"]), cursor, story.mark)
    assert (opening.reset, cursors_of(opening)) == (None, expected)


def test_an_expired_topic_and_a_trimmed_log_are_a_reset(story: Story) -> None:
    """What neither the topic nor the log can prove is said to be trimmed (A4)."""
    cursor = story.begin(B1)
    story.say(B1, times=2)
    story.remove("t:operations:b1")
    story.keep_only("log", 1)
    assert resume(story.log, Filter.of(["operations:b1"]), cursor, story.mark).reset is Reset.HISTORY_TRIMMED


def test_a_topic_that_somebody_wrote_over_is_read_from_the_log(story: Story) -> None:
    """A key that is no stream holds nothing of ours, and holds nobody up."""
    cursor = story.begin(B1)
    expected = story.say(B1)
    story.log.redis.set(story.log.key("t:operations:b1"), "somebody's")
    opening = resume(story.log, Filter.of(["operations:b1"]), cursor, story.mark)
    assert (opening.reset, cursors_of(opening)) == (None, expected)


def test_a_topic_that_was_made_again_does_not_hide_what_it_lost(story: Story) -> None:
    """A stream that expired and came back is complete only from its mark on (A5)."""
    cursor = story.begin(B1)
    story.say(B1)
    story.remove("t:operations:b1")
    story.say(B1)
    story.keep_only("log", 1)
    assert resume(story.log, Filter.of(["operations:b1"]), cursor, story.mark).reset is Reset.HISTORY_TRIMMED


@pytest.mark.parametrize("topic", ["operations:b1", "*"])
def test_a_trimmed_topic_is_read_from_the_log_up_to_its_own_edge(story: Story, topic: str) -> None:
    """The log proves its oldest entry and the place just before it, and no earlier one."""
    wanted = Filter() if topic == "*" else Filter.of([topic])
    before = story.begin(B1)
    edge, oldest, last = story.say(B1, times=3)
    story.keep_only("t:operations:b1", 1)
    story.keep_only("log", 2)
    answers = {
        cursor: resume(story.log, wanted, cursor, story.mark) for cursor in (before, edge, oldest, last)
    }
    assert answers[before].reset is Reset.HISTORY_TRIMMED
    assert [cursors_of(answers[cursor]) for cursor in (edge, oldest, last)] == [[oldest, last], [last], []]
    assert [answers[cursor].reset for cursor in (edge, oldest, last)] == [None, None, None]


def test_the_logs_edge_may_be_an_eras_beginning(story: Story) -> None:
    """The entry before a linked era's first one is where the era before ended."""
    story.begin(B1)
    (end,) = story.say(B1)
    story.restart()
    (after,) = story.say(B1)
    story.keep_only("log", 2)
    story.remove("t:operations:b1")
    opening = resume(story.log, Filter.of(["operations:b1"]), end, story.mark)
    assert (opening.reset, cursors_of(opening)) == (None, [after])


def test_a_resume_crosses_a_restart_of_the_server(story: Story) -> None:
    """Eras that follow each other are one history."""
    cursor = story.begin(B1)
    first = story.say(B1)
    story.restart()
    second = story.say(B1)
    for wanted in (Filter(), Filter.of(["operations:b1"])):
        opening = resume(story.log, wanted, cursor, story.mark)
        assert (opening.reset, cursors_of(opening)) == (None, first + second)


@pytest.mark.parametrize("topic", ["operations:b1", "operations:nobody", "*"])
def test_a_feed_of_another_era_than_the_server_ends_the_stream(story: Story, topic: str) -> None:
    """Any read whose token is not the feed's says that the worlds differ."""
    cursor = story.begin(B1)
    feed = story.mark
    story.restart()
    with pytest.raises(HistoryChanged):
        resume(story.log, Filter() if topic == "*" else Filter.of([topic]), cursor, feed)


def test_several_topics_come_in_log_order_each_event_once(story: Story) -> None:
    """One cursor resumes any set of topics, an event on two of them included (A2)."""
    cursor = [story.begin(descriptor) for descriptor in DESCRIPTORS][-1]
    expected = [c for descriptor in (B1, B2, A1, B2, B1, W1) for c in story.say(descriptor)]
    story.keep_only("log", 1)
    topics = ["agents:a1", "workflows:w1", "operations:b2", "operations:b1"]
    opening = resume(story.log, Filter.of(topics), cursor, story.mark)
    assert cursors_of(opening) == expected


@pytest.mark.parametrize(
    "topics", [["operations:b1", "operations:a1"], ["operations:b1"], [], ["operations:*"]]
)
def test_more_than_a_page_per_topic_arrives_whole_and_in_order(story: Story, topics: list[str]) -> None:
    """Pages of several topics are merged only up to where each of them has been read."""
    cursor = [story.begin(descriptor) for descriptor in (B1, A1)][-1]
    for times in (PAGE_ENTRIES + 10, 1, PAGE_ENTRIES, 3):
        story.say(B1, times=times)
        story.say(A1, times=7)
    story.say(A1, times=PAGE_ENTRIES)
    wanted = Filter.of(topics)
    if wanted.named:
        story.keep_only("log", 1)
    opening = resume(story.log, wanted, cursor, story.mark)
    assert opening.reset is None
    assert cursors_of(opening) == story.expected(wanted, cursor, story.mark.position)


@pytest.mark.parametrize("wanted", [Filter(), Filter.of(["operations:b1"])])
def test_a_trim_between_two_pages_ends_the_stream(story: Story, wanted: Filter) -> None:
    """Each page is proved again, so that a partial replay never looks like a full one (A3)."""
    cursor = story.begin(B1)
    story.say(B1, times=PAGE_ENTRIES + 50)
    opening = resume(story.log, wanted, cursor, story.mark)
    first = [next(iter(opening.entries)) for _ in range(PAGE_ENTRIES)]
    story.keep_only("t:operations:b1", 1)
    story.keep_only("log", 1)
    assert [entry.cursor for entry in first] == story.expected(wanted, cursor, first[-1].cursor)
    with pytest.raises(HistoryChanged):
        next(iter(opening.entries))


def test_a_topic_removed_between_two_pages_ends_the_stream(story: Story) -> None:
    """A stream that has gone while it was read proves nothing about its rest."""
    cursor = story.begin(B1)
    story.say(B1, times=PAGE_ENTRIES + 50)
    opening = resume(story.log, Filter.of(["operations:b1"]), cursor, story.mark)
    assert isinstance(next(iter(opening.entries)), Entry)
    story.remove("t:operations:b1")
    with pytest.raises(HistoryChanged):
        list(opening.entries)


@pytest.mark.parametrize("topics", [[], ["workflows:w1"], ["agents:*"]])
def test_types_and_kinds_narrow_a_replay(story: Story, topics: list[str]) -> None:
    """Of the topics' events only those of the types and kinds asked for are replayed."""
    cursor = story.begin(W1)
    for descriptor in DESCRIPTORS:
        for event in FIELDS:
            story.say(descriptor, event)
    wanted = Filter.of(topics, ["progress", "warning"], ["batch"])
    opening = resume(story.log, wanted, cursor, story.mark)
    expected = story.expected(wanted, cursor, story.mark.position)
    assert cursors_of(opening) == expected
    assert expected


def test_a_wildcard_is_read_from_the_log_alone(story: Story) -> None:
    """With one wildcard among the topics no topic's own stream can prove anything."""
    cursor = story.begin(B1)
    story.say(B1, times=2)
    story.keep_only("log", 1)
    wanted = Filter.of(["operations:b1", "agents:*"])
    assert resume(story.log, wanted, cursor, story.mark).reset is Reset.HISTORY_TRIMMED


def test_an_eras_first_entry_is_never_replayed(story: Story) -> None:
    """Genesis entries are between the log and its readers."""
    cursor = story.cursors[0]
    story.restart()
    story.begin(B1)
    assert [entry.type for entry in resume(story.log, Filter(), cursor, story.mark).entries] == ["status"]
    assert ERA not in {entry.type for entry in from_the_beginning(story.log, Filter(), story.mark).entries}


def test_the_whole_history_of_an_operation_has_no_reset(story: Story) -> None:
    """While its first event is kept, all of it is sent and nothing is announced (A20)."""
    story.begin(W1)
    expected = [story.begin(B1), *story.say(B1, times=2)]
    story.keep_only("log", 1)
    opening = from_the_beginning(story.log, Filter.of(["operations:b1"]), story.mark)
    assert (opening.reset, cursors_of(opening), opening.position) == (None, expected, story.mark.position)


@pytest.mark.parametrize("log_keeps", [1, 1_000])
def test_the_whole_history_of_a_trimmed_operation_is_behind_a_reset(story: Story, log_keeps: int) -> None:
    """What is left of a trimmed topic does not look like all of it, whatever the log still has (A20)."""
    story.begin(B1)
    story.say(B1, times=3)
    story.keep_only("t:operations:b1", 2)
    story.keep_only("log", log_keeps)
    _assert_all_or_reset(story, Filter.of(["operations:b1"]))


@pytest.mark.parametrize("log_keeps", [1, 1_000])
def test_the_whole_history_of_an_expired_operation_is_behind_a_reset(story: Story, log_keeps: int) -> None:
    """An operation whose stream has expired does not look as if nothing had ever been said of it (A20)."""
    story.begin(B1)
    story.say(B1, times=3)
    story.remove("t:operations:b1")
    story.keep_only("log", log_keeps)
    _assert_all_or_reset(story, Filter.of(["operations:b1"]))


def test_the_whole_history_of_a_topic_made_again_is_behind_a_reset(story: Story) -> None:
    """A stream that expired and came back has a mark, but not the operation's first event (A20)."""
    story.begin(B1)
    story.remove("t:operations:b1")
    story.say(B1, times=2)
    story.keep_only("log", 1)
    opening = from_the_beginning(story.log, Filter.of(["operations:b1"]), story.mark)
    assert opening.reset is Reset.HISTORY_TRIMMED
    assert [state.descriptor for state in opening.states] == [B1]


def test_a_long_history_beside_a_short_one_comes_behind_a_reset(story: Story) -> None:
    """A topic that begins behind another's first page was not trimmed while they were replayed."""
    long = [story.begin(B1), *story.say(B1, times=PAGE_ENTRIES)]
    story.begin(B2)
    short = story.say(B2)
    story.keep_only("t:operations:b2", 1)
    story.keep_only("log", 1)
    opening = from_the_beginning(story.log, Filter.of(["operations:b1", "operations:b2"]), story.mark)
    assert opening.reset is Reset.HISTORY_TRIMMED
    assert cursors_of(opening) == [*long, *short]


@pytest.fixture
def bounded(log: Log) -> Story:
    """A story whose streams may have three events read of the log."""
    return Story(Log(replace(log.settings, replay_events=3)))


@pytest.mark.parametrize("topics", [[], ["operations:*"], ["workflows:*", "owners:*"]])
@pytest.mark.parametrize("behind", [3, 4])
def test_of_the_log_so_much_is_replayed_as_may_be(bounded: Story, behind: int, topics: list[str]) -> None:
    """Up to the bound it is exact, and beyond it a reset, whether a stream wants few of the events or all."""
    cursor = bounded.begin(B1)
    bounded.say(B1, times=behind)
    wanted = Filter.of(topics)
    opening = resume(bounded.log, wanted, cursor, bounded.mark)
    if behind > 3:
        assert opening.reset is Reset.HISTORY_TRIMMED
        assert opening.position == bounded.mark.position
        assert cursors_of(opening) == []
    else:
        assert opening.reset is None
        assert cursors_of(opening) == bounded.expected(wanted, cursor, bounded.mark.position)


def test_the_bound_counts_what_earlier_eras_have_as_well(bounded: Story) -> None:
    """Two before the server was another one and two behind it are four."""
    first = bounded.begin(B1)
    second, _ = bounded.say(B1, times=2)
    bounded.restart()
    bounded.say(B1, times=2)
    assert resume(bounded.log, Filter(), first, bounded.mark).reset is Reset.HISTORY_TRIMMED
    opening = resume(bounded.log, Filter(), second, bounded.mark)
    assert opening.reset is None
    assert cursors_of(opening) == bounded.expected(Filter(), second, bounded.mark.position)


def test_a_topics_own_events_are_bounded_by_what_it_keeps_alone(bounded: Story) -> None:
    """However far behind in the log: its own stream has them, and no other's are read for them."""
    cursor = bounded.begin(B1)
    bounded.say(B2, times=10)
    bounded.say(B1, times=5)
    wanted = Filter.of(["operations:b1"])
    opening = resume(bounded.log, wanted, cursor, bounded.mark)
    assert opening.reset is None
    assert cursors_of(opening) == bounded.expected(wanted, cursor, bounded.mark.position)


def test_a_history_longer_than_the_bound_has_its_end_behind_a_reset(bounded: Story) -> None:
    """And the state, so that nobody takes it for all there was."""
    bounded.begin(B1)
    bounded.say(B1, times=5)
    opening = from_the_beginning(bounded.log, Filter(), bounded.mark)
    assert opening.reset is Reset.HISTORY_TRIMMED
    assert [state.descriptor.id for state in opening.states] == ["b1"]
    assert cursors_of(opening) == bounded.expected(Filter(), None, bounded.mark.position)[-3:]


def test_a_history_over_two_eras_has_its_end_behind_a_reset(bounded: Story) -> None:
    """Two of the server that is gone are the oldest of three."""
    bounded.begin(B1)
    bounded.say(B1, times=5)
    bounded.restart()
    bounded.say(B1, times=1)
    opening = from_the_beginning(bounded.log, Filter(), bounded.mark)
    assert opening.reset is Reset.HISTORY_TRIMMED
    assert cursors_of(opening) == bounded.expected(Filter(), None, bounded.mark.position)[-3:]


def test_a_history_as_long_as_the_bound_is_whole(bounded: Story) -> None:
    """Without a reset."""
    bounded.begin(B1)
    bounded.say(B1, times=2)
    opening = from_the_beginning(bounded.log, Filter(), bounded.mark)
    assert opening.reset is None
    assert cursors_of(opening) == bounded.expected(Filter(), None, bounded.mark.position)


@pytest.mark.parametrize("trimmed", [False, True])
def test_the_whole_history_of_everything_is_complete_from_the_genesis_on(story: Story, trimmed: bool) -> None:  # noqa: FBT001 - a case
    """The global stream is all there ever was while the log keeps the first entry of an unlinked era."""
    for descriptor in DESCRIPTORS:
        story.say(descriptor)
    if trimmed:
        story.keep_only("log", 3)
    opening = from_the_beginning(story.log, Filter(), story.mark)
    assert opening.reset is (Reset.HISTORY_TRIMMED if trimmed else None)
    assert cursors_of(opening) == story.expected(Filter(), None, story.mark.position)[-3 if trimmed else 0 :]


def test_a_linked_eras_first_entry_does_not_make_the_history_whole(story: Story) -> None:
    """A log that was trimmed to the start of a linked era has lost what came before it."""
    story.begin(B1)
    story.restart()
    story.say(B1)
    story.keep_only("log", 2)
    assert from_the_beginning(story.log, Filter(), story.mark).reset is Reset.HISTORY_TRIMMED


def _assert_all_or_reset(story: Story, wanted: Filter) -> None:
    opening = from_the_beginning(story.log, wanted, story.mark)
    if cursors_of(opening) != story.expected(wanted, None, story.mark.position):
        assert opening.reset is Reset.HISTORY_TRIMMED


TOPICS = ("operations:w1", "operations:b1", "operations:b2", "operations:a1", "workflows:w1", "agents:a1")
KEYS = ("log", *(f"t:{topic}" for topic in TOPICS))
PATTERNS = (*TOPICS, "operations:*", "workflows:*", "agents:*")
steps = st.one_of(
    st.tuples(
        st.just(Story.say), st.sampled_from(DESCRIPTORS), st.sampled_from(list(FIELDS)), st.integers(1, 3)
    ),
    st.tuples(st.just(Story.begin), st.sampled_from(DESCRIPTORS)),
    st.tuples(st.just(Story.keep_only), st.sampled_from(KEYS), st.integers(1, 4)),
    st.tuples(st.just(Story.remove), st.sampled_from(KEYS)),
    st.tuples(st.just(Story.restart)),
    st.tuples(st.just(Story.flush)),
)
filters = st.builds(
    Filter.of,
    st.lists(st.sampled_from(PATTERNS), max_size=3),
    st.lists(st.sampled_from(["progress", "status", "warning"]), max_size=2),
    st.lists(st.sampled_from(["batch", "agent"]), max_size=1),
)


@pytest.fixture(scope="module")
def new_story(redis_server: RedisServer) -> Iterator[Callable[[], Story]]:
    """Make empty logs, each in a namespace of its own."""
    logs: list[Log] = []

    def make() -> Story:
        for log in logs:
            log.close()
        logs[:] = [Log(Settings(redis_url=redis_server.url, namespace=f"replay{next(_namespaces)}"))]
        return Story(logs[0])

    yield make
    for log in logs:
        log.close()


@given(st.lists(steps, min_size=1, max_size=14), filters, st.data())
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_resume_is_what_a_filter_of_the_list_gives_or_a_reset(
    new_story: Callable[[], Story],
    story_so_far: list[tuple[Callable[..., object], ...]],
    wanted: Filter,
    data: st.DataObject,
) -> None:
    """Whatever was said, trimmed, lost or restarted, a resume gives each missed event once, or says so."""
    story = new_story()
    for act, *args in story_so_far:
        act(story, *args)
    feed = replace_position(story.mark, data.draw(st.sampled_from(story.cursors), label="feed"))
    cursor = data.draw(st.sampled_from(story.cursors + story.lost), label="cursor")
    opening = resume(story.log, wanted, cursor, feed)
    if cursor in story.cursors:
        assert opening.reset in ({None, Reset.HISTORY_TRIMMED} if story.forgotten else {None})
    else:
        assert opening.reset is Reset.HISTORY_LOST
    if opening.reset is None:
        assert cursors_of(opening) == story.expected(wanted, cursor, feed.position)
        assert opening.position == max(cursor, feed.position)
    else:
        assert opening.position == story.mark.position


@given(st.lists(steps, min_size=1, max_size=14), filters)
@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_whole_history_is_whole_or_behind_a_reset(
    new_story: Callable[[], Story], story_so_far: list[tuple[Callable[..., object], ...]], wanted: Filter
) -> None:
    """Whatever was said, trimmed, lost or restarted, a partial history never looks like a full one."""
    story = new_story()
    for act, *args in story_so_far:
        act(story, *args)
    opening = from_the_beginning(story.log, wanted, story.mark)
    expected = story.expected(wanted, None, story.mark.position)
    given_now = [cursor for cursor in cursors_of(opening) if cursor not in story.lost]
    if opening.reset is None:
        assert given_now == expected
    else:
        assert opening.reset is Reset.HISTORY_TRIMMED
        assert set(given_now) <= set(expected)


def replace_position(mark: Mark, position: Cursor) -> Mark:
    """Give the place of a feed that has read less."""
    return mark._replace(position=position)
