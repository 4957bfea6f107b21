"""The log against a real server: what an append takes and writes, and how eras open (LOG.md (b))."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from dev.redis_server import RedisServer
from tests.waiting import wait_until
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.events import QUEUED, RETRYING, Complete, Error, Event, Progress, Status, Warning  # noqa: A004 - the wire's name
from tidings.log import Log, Outcome
from tidings.record import ANY, ATTEMPT, DUE, NEW, OWN, Record
from tidings.settings import Settings

OP = Descriptor.of("op", "batch")
CHILD = Descriptor.of("child", "batch", workflow="flow", agent="smith", parent="flow", owner="me")
MINE, OTHERS = "mine.1", "other.1"
BEGINNING = Record.beginning(OP, MINE, 1)
COMPLETE = Record.of(OP, Complete, condition=OWN, run=MINE)
DAY_S = 86_400


def status(
    said: str, condition: str = OWN, run: str = MINE, attempt: int = 1, about: Descriptor = OP
) -> Record:
    """Make a status record."""
    return Record.of(about, Status, condition=condition, run=run, attempt=attempt, status=said)


def warning(condition: str = OWN, run: str = MINE, about: Descriptor = OP, message: str = "m") -> Record:
    """Make a warning record."""
    return Record.of(about, Warning, condition=condition, run=run, code="c", message=message)


class Author:
    """One reporter as the log sees it; it numbers what it appends."""

    def __init__(self, log: Log, name: str = "mine") -> None:
        self.log = log
        self.name = name
        self.number = 0

    def append(self, *records: Record, beat: str = "") -> list[Outcome]:
        """Append *records* with the next numbers."""
        outcomes = self.log.append(self.name, self.number + 1, records, beat)
        self.number += len(records)
        return outcomes

    def codes(self, *records: Record) -> list[str]:
        """Append *records*; give what became of each in one word."""
        return [outcome.code for outcome in self.append(*records)]


@pytest.fixture
def author(log: Log) -> Author:
    """A reporter named "mine"."""
    return Author(log)


@pytest.fixture
def own_log(own_redis: RedisServer) -> Iterator[Log]:
    """A log on a server of the test's own."""
    log = Log(Settings(redis_url=own_redis.url))
    yield log
    log.close()


def hash_of(log: Log, name: str) -> dict[str, str]:
    """Read a hash of the namespace as text."""
    raw: Any = log.redis.hgetall(log.key(name))
    return {field.decode(): value.decode() for field, value in raw.items()}


def stream_of(log: Log, name: str) -> list[tuple[str, dict[str, str]]]:
    """Read a stream of the namespace as text."""
    raw: Any = log.redis.xrange(log.key(name))
    return [
        (entry_id.decode(), {field.decode(): value.decode() for field, value in fields.items()})
        for entry_id, fields in raw
    ]


def everything(log: Log) -> list[tuple[str, str]]:
    """List the log's entries by type and operation, without the eras' first ones."""
    return [(entry.type, entry.operation_id) for entry in log.read(Cursor(0, 0)) if entry.cursor.n]


def ended(*, ends_with: type[Event] = Complete) -> list[Record]:
    """Begin the operation and end it."""
    said: dict[str, Any] = (
        {} if ends_with is Complete else {"code": "failed", "message": "m", "terminal": True}
    )
    return [BEGINNING, Record.of(OP, ends_with, condition=OWN, run=MINE, **said)]


def use(name: str) -> Descriptor:
    """Give the operation in a use of its id."""
    return Descriptor.of("op", "batch", use=name)


def queued(name: str) -> Record:
    """Announce that use."""
    return status(QUEUED, NEW, about=use(name))


def used(name: str, run: str = MINE) -> list[Record]:
    """Begin the operation and end it, in that use."""
    about = use(name)
    return [Record.beginning(about, run, 1), Record.of(about, Complete, condition=OWN, run=run)]


LATER = Record.beginning(OP, OTHERS, 2)
HANDED_ON = Record.of(OP, Status, condition=ATTEMPT, run=MINE, leaves=True, redelivery_s=60, status=RETRYING)
CONDITIONS: dict[str, tuple[list[Record], Record, str]] = {
    "new is stored while the operation is unknown": ([], status(QUEUED, NEW), "stored"),
    "new is late once it was announced": ([status(QUEUED, NEW)], status(QUEUED, NEW), "late"),
    "new is late once it runs": ([BEGINNING], status(QUEUED, NEW), "late"),
    "new is over once it has ended": (ended(), status(QUEUED, NEW), "over"),
    "begin is stored for an unknown operation": ([], BEGINNING, "stored"),
    "begin is stored for an announced one": ([status(QUEUED, NEW)], BEGINNING, "stored"),
    "begin of a later attempt takes over": ([BEGINNING], LATER, "stored"),
    "begin of the same attempt takes over": ([BEGINNING], Record.beginning(OP, OTHERS, 1), "stored"),
    "begin of an earlier attempt is stale": ([LATER], BEGINNING, "stale"),
    "begin is over once it has ended": (ended(), LATER, "over"),
    "own is stored from the owner": ([BEGINNING], warning(), "stored"),
    "own is stale from another run": ([BEGINNING], warning(run=OTHERS), "stale"),
    "own is stale once a later attempt began": ([BEGINNING, LATER], warning(), "stale"),
    "own is unknown while nobody runs it": ([status(QUEUED, NEW)], warning(), "unknown"),
    "own is unknown once it was handed on": ([BEGINNING, HANDED_ON], warning(), "unknown"),
    "own is stale once another run took over what was handed on": (
        [BEGINNING, HANDED_ON, Record.beginning(OP, OTHERS, 1)],
        warning(),
        "stale",
    ),
    "own is stale once another attempt is awaited": (
        [BEGINNING, status(RETRYING)._replace(leaves=True)],
        warning(run=OTHERS),
        "stale",
    ),
    "begin takes back what was handed on": ([BEGINNING, HANDED_ON], BEGINNING, "stored"),
    "own is unknown for an unknown operation": ([], warning(), "unknown"),
    "own is over after complete": (ended(), warning(), "over"),
    "own is over after a terminal error": (ended(ends_with=Error), warning(), "over"),
    "own goes on after an error that is not terminal": (
        [BEGINNING, Record.of(OP, Error, condition=OWN, run=MINE, code="c", message="m")],
        warning(),
        "stored",
    ),
    "own is over for a second end": (ended(), COMPLETE, "over"),
    "any is stored from anybody": ([BEGINNING], warning(ANY, OTHERS), "stored"),
    "any is stored while it waits": ([status(QUEUED, NEW)], warning(ANY), "stored"),
    "any is unknown for an unknown operation": ([], warning(ANY), "unknown"),
    "any is over once it has ended": (ended(), warning(ANY), "over"),
    "attempt is stored about the one that runs": ([BEGINNING], status("x", ATTEMPT), "stored"),
    "attempt is stored while none has begun": ([status(QUEUED, NEW)], status("x", ATTEMPT), "stored"),
    "attempt is stale once a later one began": ([LATER], status("x", ATTEMPT), "stale"),
    "attempt is stale before it began": ([BEGINNING], status("x", ATTEMPT, attempt=2), "stale"),
    "attempt ends what was handed on": ([BEGINNING, HANDED_ON], status("x", ATTEMPT), "stored"),
    "attempt is not handed on twice": ([BEGINNING, HANDED_ON], HANDED_ON, "stale"),
    "attempt is unknown for an unknown operation": ([], status("x", ATTEMPT), "unknown"),
    "due is alive while it runs": ([BEGINNING], status("x", DUE), "alive"),
    "due is alive before its time": ([BEGINNING, HANDED_ON], status("x", DUE), "alive"),
    "new begins another use of the id once it has ended": (used("one"), queued("two"), "stored"),
    "new is late while another use of the id is not over": (used("one")[:1], queued("two"), "late"),
    "new is over once the same use has ended": (used("one"), queued("one"), "over"),
    "new is over if it is of a use before": ([*used("one"), *used("two")], queued("one"), "over"),
    "new is over if nobody said which use has ended": (ended(), queued("two"), "over"),
    "begin begins another use of the id once it has ended": (used("one"), used("two")[0], "stored"),
    "begin is over once the same use has ended": (used("one"), used("one", OTHERS)[0], "over"),
    "begin is stale if it is of a use before": ([*used("one"), queued("two")], used("one")[0], "stale"),
    "any is stale about another use": (used("one")[:1], warning(ANY, about=use("two")), "stale"),
    "attempt is stale about another use": (used("one")[:1], status("x", ATTEMPT, about=use("two")), "stale"),
    "a condition that nobody knows is an error": ([BEGINNING], status("x", "lost:1:"), "error"),
}


@pytest.mark.parametrize(("before", "record", "code"), CONDITIONS.values(), ids=CONDITIONS)
def test_an_append_counts_on_the_terms_of_its_condition(
    author: Author, before: list[Record], record: Record, code: str
) -> None:
    """Each condition lets in what it says, and what is refused leaves no trace."""
    author.append(*before) if before else None
    kept = everything(author.log)
    (outcome,) = author.append(record)
    assert outcome.code == code
    assert len(everything(author.log)) - len(kept) == (code == "stored")
    assert (outcome.cursor is not None) == (code == "stored")


def test_another_use_of_an_id_begins_with_nothing_of_the_one_before(author: Author, log: Log) -> None:
    """Its state is new; the log has both in their order, and an end of each."""
    author.append(used("one")[0], warning(), used("one")[1])
    author.append(queued("two"))
    state = log.operation("op")
    assert state is not None
    assert (state.status, state.end, list(state.events)) == ("queued", None, ["status"])
    assert json.loads(state.events["status"]).get("previousStatus") is None
    author.append(*used("two", OTHERS))
    types = [kind for kind, _ in everything(log)]
    assert types == ["status", "warning", "complete", "status", "status", "complete"]


def test_an_id_that_is_used_again_while_it_runs_ends_what_it_was_used_for(author: Author, log: Log) -> None:
    """There is one end of each use; whoever works on the first has no say any more."""
    first, second = used("one"), used("two", OTHERS)
    outcomes = author.append(first[0], second[0], first[1], second[1])
    assert [outcome.code for outcome in outcomes] == ["stored", "stored", "stale", "stored"]
    entries = [entry for entry in log.read(Cursor(0, 0)) if entry.cursor.n]
    assert [entry.type for entry in entries] == ["status", "error", "status", "complete"]
    said = json.loads(entries[1].data)
    assert (said["code"], said["terminal"], said["operationId"]) == ("id_reused", True, "op")


class TestLost:
    """A claim that a run was lost, which compares with what the log last saw of its reporter."""

    @staticmethod
    def claim(n: int, beat: int, run: str = MINE) -> Record:
        """Say that *run*, last seen at its *n*-th record and *beat*, is lost."""
        said: dict[str, Any] = {"code": "worker_lost", "message": "m", "terminal": True}
        return Record.of(OP, Error, condition=f"lost:{n}:{beat}", run=run, **said)

    def test_it_ends_the_operation_if_nothing_was_heard_since(self, author: Author, log: Log) -> None:
        """An unchanged count and beat make the claim true."""
        author.append(BEGINNING, beat="7")
        assert Author(log, "web").codes(self.claim(1, 7)) == ["stored"]
        assert author.codes(warning()) == ["over"]

    @pytest.mark.parametrize(("n", "beat"), [(0, 7), (2, 7), (1, 6), (1, 8)])
    def test_it_is_refused_if_anything_was_heard_since(
        self, author: Author, log: Log, n: int, beat: int
    ) -> None:
        """Another count or beat shows that the reporter lives."""
        author.append(BEGINNING, beat="7")
        assert Author(log, "web").codes(self.claim(n, beat)) == ["alive"]
        assert author.codes(warning()) == ["stored"]

    def test_an_event_leaves_the_beat_as_it_was(self, author: Author, log: Log) -> None:
        """An append without a beat, as those of events are, is compared by its count alone."""
        author.append(BEGINNING, beat="7")
        author.append(warning())
        assert Author(log, "web").codes(self.claim(2, 7)) == ["stored"]

    def test_a_beat_alone_keeps_a_silent_run_alive(self, author: Author, log: Log) -> None:
        """An empty batch with a beat is a sign of life."""
        author.append(BEGINNING, beat="7")
        assert author.append(beat="8") == []
        assert Author(log, "web").codes(self.claim(1, 7)) == ["alive"]
        assert Author(log, "web2").codes(self.claim(1, 8)) == ["stored"]

    def test_it_is_refused_if_another_run_has_taken_over(self, author: Author, log: Log) -> None:
        """The run that is claimed lost no longer owns the operation."""
        author.append(BEGINNING, beat="7")
        Author(log, "other").append(LATER)
        assert Author(log, "web").codes(self.claim(1, 7)) == ["alive"]

    def test_only_one_of_two_claims_counts(self, author: Author, log: Log) -> None:
        """Two web processes that say it end the operation once (C9)."""
        author.append(BEGINNING, beat="7")
        assert [Author(log, web).codes(self.claim(1, 7)) for web in ("web1", "web2")] == [
            ["stored"],
            ["over"],
        ]


def test_a_batch_repeated_with_its_numbers_is_stored_once(author: Author, log: Log) -> None:
    """A reply that was lost costs nothing: what was seen is a duplicate."""
    batch = [BEGINNING, warning(), COMPLETE]
    assert author.codes(*batch) == ["stored"] * 3
    kept = everything(log)
    assert [outcome.code for outcome in log.append("mine", 1, batch)] == ["dup"] * 3
    assert everything(log) == kept


def test_a_batch_repeated_with_more_stores_only_what_is_new(author: Author, log: Log) -> None:
    """Numbers tell the part that was seen from the part that was not."""
    author.append(BEGINNING, warning())
    assert [outcome.code for outcome in log.append("mine", 2, [warning(), COMPLETE])] == ["dup", "stored"]


def test_a_refused_record_is_seen_all_the_same(author: Author, log: Log) -> None:
    """What was refused once is not stored by a late copy of its batch."""
    other = Author(log, "other")
    other.append(BEGINNING)
    assert author.codes(warning(run=OTHERS)) == ["stale"]
    other.append(Record.beginning(OP, OTHERS, 2))
    assert [outcome.code for outcome in log.append("mine", 1, [warning(run=OTHERS)])] == ["dup"]


def test_what_an_unknown_operation_says_is_not_seen(author: Author, log: Log) -> None:
    """A batch stops there, and repeated for a lost reply it is told the same, not that all was stored."""
    known = Author(log, "other")
    known.append(Record.beginning(CHILD, MINE, 1))
    batch = [warning(about=CHILD), warning(), warning(about=CHILD)]
    assert author.codes(*batch) == ["stored", "unknown"]
    assert [outcome.code for outcome in log.append("mine", 1, batch)] == ["dup", "unknown"]
    assert [outcome.code for outcome in log.append("mine", 3, [BEGINNING, *batch[1:]])] == ["stored"] * 3
    assert [outcome.code for outcome in log.append("mine", 1, batch)] == ["dup"] * 3


def test_what_anybody_says_of_an_unknown_operation_holds_nothing_up(author: Author, log: Log) -> None:
    """It is refused for good, and the rest of its batch goes on."""
    assert author.codes(warning(ANY), BEGINNING) == ["unknown", "stored"]


def test_reporters_are_counted_apart(log: Log) -> None:
    """The same number of two reporters is two records."""
    first, second = Author(log, "first"), Author(log, "second")
    assert first.codes(BEGINNING) == ["stored"]
    assert second.codes(warning(ANY)) == ["stored"]
    assert everything(log) == [("status", "op"), ("warning", "op")]


def test_ids_count_without_holes_in_their_era(author: Author, log: Log) -> None:
    """An entry follows the one before it, whoever wrote them, and refused ones take no number."""
    position = log.hello().position
    author.append(BEGINNING, warning(run=OTHERS), warning())
    Author(log, "other").append(warning(ANY))
    cursors = [entry.cursor for entry in log.read(position)]
    assert cursors == [Cursor(position.era, position.n + n) for n in (1, 2, 3)]


def test_a_status_carries_the_one_before_it(author: Author, log: Log) -> None:
    """The log adds previousStatus, since only it knows the order."""
    author.append(status(QUEUED, NEW), BEGINNING, status('odd "\\ one\n'), COMPLETE)
    said = [json.loads(entry.data) for entry in log.read(log.hello().position._replace(n=0))]
    assert [one.get("previousStatus") for one in said] == [None, "queued", "running", None]
    Author(log, "x").append(
        Record.beginning(CHILD, MINE, 1), status('odd "\\ one\n', about=CHILD), status("z", about=CHILD)
    )
    assert json.loads(log.read(Cursor(0, 0))[-1].data)["previousStatus"] == 'odd "\\ one\n'


def test_every_entry_stays_one_line(author: Author, log: Log) -> None:
    """A status of line breaks stays one line when the log quotes it back as previousStatus."""
    breaks = "\r\n\0\x0b\x0c\x1c\x85\u2028\u2029"
    author.append(BEGINNING, status(breaks), status("after"))
    entries = log.read(Cursor(0, 0))[1:]
    assert json.loads(entries[-1].data)["previousStatus"] == breaks
    assert [len(entry.data.decode().splitlines()) for entry in entries] == [1, 1, 1]


def test_the_operations_hash_is_its_current_state(author: Author, log: Log) -> None:
    """The hash has the descriptor, who runs it, where it began and stands, and the latest of each type."""
    author.append(status(QUEUED, NEW, about=CHILD))
    assert set(hash_of(log, "op:child")) == {
        "about",
        "owner",
        "status",
        "born",
        "last",
        "created",
        "updated",
        "e:status",
    }
    progress = Record.of(
        CHILD, Progress, condition=OWN, run=MINE, attempt=2, current=1, total=2, percentage=50
    )
    outcomes = author.append(Record.beginning(CHILD, MINE, 2), progress, warning(about=CHILD))
    kept = hash_of(log, "op:child")
    assert (kept["status"], kept["run"], kept["attempt"]) == ("running", MINE, "2")
    assert Descriptor.decode(kept["about"].encode()) == CHILD
    assert outcomes[-1].cursor is not None
    assert (kept["born"], kept["last"]) == (
        f"{outcomes[-1].cursor.era}-1",
        outcomes[-1].cursor.stream_id,
    )
    assert kept["e:progress"].encode() == progress.data
    assert "end" not in kept
    end = author.append(Record.of(CHILD, Complete, condition=OWN, run=MINE, attempt=2))[0].cursor
    state = log.operation("child")
    assert state is not None
    assert (state.status, state.end, state.last, state.attempt) == ("succeeded", end, end, 2)
    assert set(state.events) == {"status", "progress", "warning", "complete"}
    assert abs(state.updated_ms - state.created_ms) < 60_000


def test_an_operation_goes_to_its_own_topic_its_workflows_and_its_agents(author: Author, log: Log) -> None:
    """Each topic's stream has the entry under the log's id, and says from where on it is complete."""
    author.append(BEGINNING, Record.beginning(CHILD, MINE, 1), warning(about=CHILD))
    log_entries = stream_of(log, "log")[1:]
    for topic in (*CHILD.topics, "owners:me"):
        (first_id, first), (second_id, second) = stream_of(log, f"t:{topic}")
        assert [first_id, second_id] == [log_entries[1][0], log_entries[2][0]]
        assert first["f"] == log_entries[0][0]
        assert "f" not in second
        assert second == {"t": "warning", "d": log_entries[2][1]["d"]}
    assert log_entries[2][1]["k"] == "operations:child workflows:flow agents:smith owners:me"


def test_a_topic_that_was_deleted_says_anew_from_where_it_is_complete(author: Author, log: Log) -> None:
    """The first entry after a stream came back has a mark at the log's entry before it (A5)."""
    author.append(BEGINNING, warning())
    log.redis.delete(log.key("t:operations:op"))
    author.append(warning(), warning())
    (_, first), (_, second) = stream_of(log, "t:operations:op")
    assert first["f"] == stream_of(log, "log")[2][0]
    assert "f" not in second
    assert 0 < log.redis.ttl(log.key("t:operations:op")) <= log.settings.running_ttl_s


def test_a_topic_that_is_ahead_of_the_log_is_made_anew(author: Author, log: Log) -> None:
    """A stream with larger ids, of another history, does not keep an event out of its topic (B1)."""
    author.append(BEGINNING)
    log.redis.xadd(log.key("t:operations:op"), {"t": "x"}, id="9000000000000000-1")
    assert author.codes(warning()) == ["stored"]
    ((entry_id, fields),) = stream_of(log, "t:operations:op")
    assert (entry_id, fields["f"]) == (stream_of(log, "log")[2][0], stream_of(log, "log")[1][0])


def test_a_topic_of_the_wrong_type_is_made_anew(author: Author, log: Log) -> None:
    """A foreign value under a topic's key does not keep an event out of its topic (B1)."""
    log.redis.set(log.key("t:operations:op"), "foreign")
    assert author.codes(BEGINNING) == ["stored"]
    assert "f" in stream_of(log, "t:operations:op")[0][1]


def test_a_foreign_value_under_an_index_does_not_undo_an_append(author: Author, log: Log) -> None:
    """Nothing after the commit may raise: the event is stored, in its topic, and announced (B1)."""
    log.redis.set(log.key("i:*"), "foreign")
    assert author.codes(BEGINNING) == ["stored"]
    assert len(stream_of(log, "t:operations:op")) == 1


def test_keys_expire_as_the_table_of_keys_says(author: Author, log: Log) -> None:
    """Running operations are kept long, ended ones as long as history and state are wanted."""
    limits = log.settings
    author.append(Record.beginning(CHILD, MINE, 1))
    running = {
        "op:child",
        "t:operations:child",
        "t:workflows:flow",
        "t:agents:smith",
        "i:*",
        "i:workflows:flow",
    }
    for name in running:
        assert limits.running_ttl_s - 5 < log.redis.ttl(log.key(name)) <= limits.running_ttl_s, name
    author.append(Record.of(CHILD, Complete, condition=OWN, run=MINE))
    assert limits.state_ttl_s - 5 < log.redis.ttl(log.key("op:child")) <= limits.state_ttl_s
    assert limits.history_ttl_s - 5 < log.redis.ttl(log.key("t:operations:child")) <= limits.history_ttl_s
    assert log.redis.ttl(log.key("t:workflows:flow")) > limits.history_ttl_s
    assert DAY_S - 5 < log.redis.ttl(log.key("r:mine")) <= DAY_S
    assert [log.redis.ttl(log.key(name)) for name in ("meta", "log")] == [-1, -1]


@pytest.mark.parametrize(
    ("said", "beat", "renewed"), [("progress", "", False), ("progress", "8", True), ("warning", "", True)]
)
def test_a_counter_is_kept_by_beats_and_by_what_is_no_progress(
    author: Author, log: Log, said: str, beat: str, *, renewed: bool
) -> None:
    """Progress leaves its expiry alone, as whoever reports it beats; a writer, who never beats, renews it."""
    progress = Record.of(OP, Progress, condition=OWN, run=MINE, current=1, total=None, percentage=None)
    author.append(BEGINNING)
    log.redis.expire(log.key("r:mine"), 60)
    author.append(progress if said == "progress" else warning(), beat=beat)
    assert (log.redis.ttl(log.key("r:mine")) > DAY_S - 5) == renewed


def test_a_counter_that_progress_makes_anew_expires(author: Author, log: Log) -> None:
    """One that was lost, as by eviction, does not come back for ever."""
    author.append(BEGINNING)
    log.redis.delete(log.key("r:mine"))
    author.append(Record.of(OP, Progress, condition=OWN, run=MINE, current=1, total=None, percentage=None))
    assert 0 < log.redis.ttl(log.key("r:mine")) <= DAY_S


def test_the_log_and_the_topics_are_bounded(redis_server: RedisServer, settings: Settings) -> None:
    """Trimming is by whole nodes, so a little more than the bound may stay, and never less."""
    log = Log(replace(settings, log_events=200, topic_events=100))
    author = Author(log)
    author.append(BEGINNING)
    for _ in range(20):
        author.append(*[warning()] * 50)
    assert 200 <= log.redis.xlen(log.key("log")) < 400
    assert 100 <= log.redis.xlen(log.key("t:operations:op")) < 300
    log.close()


def test_the_index_has_running_operations_first_then_by_last_status_change(author: Author, log: Log) -> None:
    """Of many operations a page shows those that run, then those that changed last; states by last event."""
    many = [Descriptor.of(f"o{n}", "batch", workflow="flow") for n in range(4)]
    author.append(*[Record.beginning(about, MINE, 1) for about in many])
    author.append(*[Record.of(many[n], Complete, condition=OWN, run=MINE) for n in (3, 0)])
    author.append(warning(about=many[1]), status("phase", about=many[1]))
    assert log.redis.zrevrange(log.key("i:*"), 0, -1) == [b"o1", b"o2", b"o0", b"o3"]
    assert log.redis.zrevrange(log.key("i:workflows:flow"), 0, -1) == log.redis.zrevrange(
        log.key("i:*"), 0, -1
    )
    assert [state.descriptor.id for state in log.state(["workflows:flow"], 3)[1]] == ["o2", "o0", "o1"]
    assert not log.redis.exists(log.key("i:operations:o1"))


def test_the_index_forgets_the_operations_that_ended_first(settings: Settings) -> None:
    """Past its length the index drops what ended longest ago, and keeps what runs."""
    log = Log(replace(settings, index_operations=2))
    author = Author(log)
    many = [Descriptor.of(f"o{n}", "batch") for n in range(3)]
    for about in many[:2]:
        author.append(Record.beginning(about, MINE, 1))
    author.append(Record.of(many[1], Complete, condition=OWN, run=MINE))
    author.append(Record.beginning(many[2], MINE, 1))
    assert set(log.redis.zrange(log.key("i:*"), 0, -1)) == {b"o0", b"o2"}
    log.close()


def test_a_state_leaves_out_what_has_expired_and_gives_nothing_twice(author: Author, log: Log) -> None:
    """An operation named by two topics is one state; one whose hash is gone is none."""
    author.append(BEGINNING, Record.beginning(CHILD, MINE, 1))
    log.redis.delete(log.key("op:op"))
    mark, states = log.state(["operations:child", "operations:op", "workflows:flow", "*"], 10)
    assert [state.descriptor.id for state in states] == ["child"]
    assert mark == log.hello()


def test_a_batch_is_announced_once_by_its_last_id(author: Author, log: Log) -> None:
    """The wake-up comes once per batch that stored anything, after all of it, and carries an id only."""
    heard = subscribed(log)
    author.append(warning())
    outcomes = author.append(BEGINNING, warning(), warning(run=OTHERS))
    author.append(beat="1")
    log.append("mine", 1, [warning()])
    (last,) = author.append(COMPLETE)
    assert outcomes[1].cursor is not None
    assert last.cursor is not None
    messages = heard(2)
    assert [message.decode() for message in messages] == [outcomes[1].cursor.stream_id, last.cursor.stream_id]


def test_who_is_woken_can_read_what_woke_them(author: Author, log: Log) -> None:
    """The announcement is the script's last act: state and topic are there when it comes."""
    heard = subscribed(log)
    author.append(*ended())
    (message,) = heard(1)
    state = log.operation("op")
    assert state is not None
    assert state.end == Cursor.from_stream(message)


def subscribed(log: Log) -> Callable[[int], list[bytes]]:
    """Subscribe to the log's channel; give what waits for so many messages and shows that no more came."""
    pubsub = log.redis.pubsub()  # type: ignore[no-untyped-call]
    pubsub.subscribe(log.channel)
    messages: list[dict[str, Any]] = []

    def next_message() -> dict[str, Any] | None:
        message: dict[str, Any] | None = pubsub.get_message(timeout=1)
        if message is not None:
            messages.append(message)
        return message

    def said() -> list[bytes]:
        return [message["data"] for message in messages if message["type"] == "message"]

    def heard(count: int) -> list[bytes]:
        wait_until(lambda: next_message() and len(said()) >= count, timeout_s=5)
        log.redis.publish(log.channel, "the end")
        wait_until(lambda: next_message() and said()[-1] == b"the end", timeout_s=5)
        pubsub.close()
        return said()[:-1]

    wait_until(next_message, timeout_s=5)
    return heard


def test_a_full_server_stores_nothing_and_announces_nothing(own_log: Log) -> None:
    """Out of memory the first write is refused, so there is no half of an event and no phantom (B4)."""
    author = Author(own_log)
    author.append(BEGINNING)
    heard = subscribed(own_log)
    kept = {key: own_log.redis.dump(key) for key in own_log.redis.keys("*")}
    own_log.redis.config_set("maxmemory", 1)
    (outcome,) = own_log.append("mine", 2, [warning(), COMPLETE], "9")
    assert outcome.code == "error"
    assert outcome.message.startswith("OOM")
    own_log.redis.config_set("maxmemory", 0)
    assert {key: own_log.redis.dump(key) for key in own_log.redis.keys("*")} == kept
    assert [outcome.code for outcome in own_log.append("mine", 2, [warning(), COMPLETE])] == [
        "stored",
        "stored",
    ]
    assert len(heard(1)) == 1


def test_an_error_stops_the_batch_there(author: Author, log: Log) -> None:
    """What comes behind a record that failed is untouched, so that order holds when it is sent again (C1)."""
    author.append(BEGINNING)
    log.redis.set(log.key("op:child"), "foreign")
    outcomes = author.append(warning(), Record.beginning(CHILD, MINE, 1), COMPLETE)
    assert [outcome.code for outcome in outcomes] == ["stored", "error"]
    assert outcomes[1].message.startswith("WRONGTYPE")
    assert everything(log) == [("status", "op"), ("warning", "op")]
    log.redis.delete(log.key("op:child"))
    again = log.append("mine", 3, [Record.beginning(CHILD, MINE, 1), COMPLETE])
    assert [outcome.code for outcome in again] == ["stored", "stored"]


def test_an_append_with_an_older_eras_token_is_not_taken_as_it_is(author: Author, log: Log) -> None:
    """A server that opened an era since is greeted first, and then takes the batch (B2)."""
    before = log.hello()
    log.redis.hset(log.key("meta"), "tok", f"{before.position.era}:another")
    Log(log.settings).hello()
    (outcome,) = author.append(BEGINNING)
    assert outcome.cursor is not None
    assert outcome.cursor.era > before.position.era
    assert log.token != before.token


def test_a_log_evicted_under_a_living_era_opens_another_history(author: Author, log: Log) -> None:
    """Ids are never used twice: what is appended next is in an era that continues nothing (B3)."""
    author.append(BEGINNING, warning())
    before = log.hello()
    log.redis.delete(log.key("log"))
    (outcome,) = author.append(warning())
    assert outcome.cursor is not None
    assert outcome.cursor.n == 1
    assert outcome.cursor.era != before.position.era
    (genesis, _) = log.read(Cursor(0, 0))
    assert genesis.previous is None
    assert set(hash_of(log, "meta")) == {"tok"}


def test_a_server_that_forgot_the_script_is_told_it(author: Author, log: Log) -> None:
    """A restart or SCRIPT FLUSH costs nothing but another round trip."""
    author.append(BEGINNING)
    log.redis.script_flush()
    assert author.codes(warning(), COMPLETE) == ["stored", "stored"]
    assert everything(log) == [("status", "op"), ("warning", "op"), ("complete", "op")]


def test_saying_hello_again_changes_nothing(log: Log) -> None:
    """The same process of the same server is the same era, and the last entry the position."""
    first = log.hello()
    assert log.hello() == first
    assert Log(log.settings).hello() == first
    Author(log).append(BEGINNING)
    assert log.hello() == (first.token, Cursor(first.position.era, 1))


def test_a_log_is_never_empty(log: Log) -> None:
    """Opening an era writes its first entry, which is the position (A11)."""
    position = log.hello().position
    assert position.n == 0
    (genesis,) = log.read(Cursor(0, 0))
    assert (genesis.cursor, genesis.type, genesis.previous) == (position, "era", None)


def test_a_restarted_server_opens_an_era_that_continues_the_last(
    own_redis: RedisServer, own_log: Log
) -> None:
    """With the data kept, the new era names the last entry of the one before, which is closed there."""
    author = Author(own_log)
    author.append(BEGINNING)
    before = own_log.hello()
    own_redis.stop()
    own_redis.start()
    after = Log(replace(own_log.settings, redis_url=own_redis.url)).hello()
    assert after.position.era > before.position.era
    genesis = Log(replace(own_log.settings, redis_url=own_redis.url)).read(before.position)[0]
    assert (genesis.cursor, genesis.previous) == (after.position, before.position)
    assert hash_of(own_log, "meta") == {"tok": after.token, str(before.position.era): str(before.position.n)}
    assert author.codes(warning()) == ["stored"]


def test_a_server_that_lost_its_data_opens_an_era_that_continues_nothing(log: Log) -> None:
    """After a flush nothing that was given out is known any more."""
    Author(log).append(BEGINNING)
    before = log.hello()
    log.redis.delete(*log.redis.keys(log.key("*")))
    after = log.hello()
    assert after.position.era != before.position.era
    assert log.read(Cursor(0, 0))[0].previous is None
    assert set(hash_of(log, "meta")) == {"tok"}


@pytest.mark.parametrize("name", ["meta", "log"])
def test_a_foreign_value_under_our_keys_is_another_history(log: Log, name: str) -> None:
    """Whatever lies under meta or log that is not ours is replaced by a new, unlinked era."""
    before = log.hello()
    log.redis.set(log.key(name), "foreign")
    after = log.hello()
    assert after.token != before.token
    assert log.read(Cursor(0, 0))[0].previous is None


def test_an_era_is_later_than_every_era_before_it_whatever_the_clock_says(log: Log) -> None:
    """A clock that goes back does not make a linked era smaller (A13)."""
    far = 8 * 10**15
    log.redis.xadd(log.key("log"), {"t": "era", "prev": ""}, id=f"{far}-0")
    log.redis.hset(log.key("meta"), "tok", f"{far}:another")
    assert log.hello().position.era > far
    assert log.read(Cursor(far, 0))[0].previous == Cursor(far, 0)


def test_of_closed_eras_the_latest_64_are_kept(log: Log) -> None:
    """However often the server restarts, meta stays small, and forgets the oldest."""
    eras = []
    for _ in range(70):
        eras.append(log.hello().position.era)
        log.redis.hset(log.key("meta"), "tok", f"{eras[-1]}:another")
    now = log.hello().position.era
    closed = set(hash_of(log, "meta")) - {"tok"}
    assert closed == {str(era) for era in eras[-64:]}
    assert now > eras[-1]


def test_two_greetings_at_once_open_one_era(settings: Settings) -> None:
    """Whoever comes second finds the era that the first has opened."""
    logs = [Log(settings) for _ in range(8)]
    at_once = threading.Barrier(len(logs))

    def greet(log: Log) -> object:
        at_once.wait(10)
        return log.hello()

    with ThreadPoolExecutor(len(logs)) as pool:
        marks = set(pool.map(greet, logs))
    assert len(marks) == 1
    assert logs[0].redis.xlen(logs[0].key("log")) == 1
    for log in logs:
        log.close()


def test_each_connection_is_greeted_before_its_first_command(own_redis: RedisServer, own_log: Log) -> None:
    """A read after a restart comes from a server that has opened its era (B2)."""
    Author(own_log).append(BEGINNING)
    own_redis.stop()
    own_redis.start()
    entries = Log(replace(own_log.settings, redis_url=own_redis.url)).read(Cursor(0, 0))
    assert [entry.type for entry in entries] == ["era", "status", "era"]


def test_foreign_entries_are_left_out_of_what_is_read(author: Author, log: Log) -> None:
    """An entry that we did not write is no event, and keeps nobody from reading the others."""
    author.append(BEGINNING)
    era = log.hello().position.era
    strangers: list[dict[Any, Any]] = [
        {"t": "status", "d": "no json"},
        {"t": "gossip", "d": "{}"},
        {"x": "y"},
        {"t": b"\xff", "d": "{}"},
        {"t": "status", "d": b"\xff", "k": b"\xff"},
        {"t": "warning", "d": '{"operationId":"a","operationType":"b"}', "k": b"\xff"},
        {"t": "era", "prev": "yesterday"},
    ]
    for fields in strangers:
        log.redis.xadd(log.key("log"), fields, id=f"{era}-*")
    author.append(warning())
    assert everything(log) == [("status", "op"), ("warning", "op")]


def test_a_foreign_entry_that_is_no_single_line_is_left_out(author: Author, log: Log) -> None:
    """Pretty-printed JSON of somebody else's would break every stream it is framed for."""
    author.append(BEGINNING)
    era = log.hello().position.era
    data = '{"operationId": "op",\n "operationType": "batch"}'
    log.redis.xadd(log.key("log"), {"t": "warning", "d": data, "k": "operations:op"}, id=f"{era}-*")
    assert everything(log) == [("status", "op")]


def test_a_server_that_is_away_is_one_error_of_ours(own_redis: RedisServer, own_log: Log) -> None:
    """Every method says LogUnavailable, and that trying again may help."""
    own_log.hello()
    own_redis.kill()
    calls: list[Callable[[], object]] = [
        own_log.hello,
        own_log.ping,
        lambda: own_log.append("mine", 1, [BEGINNING]),
        lambda: own_log.read(Cursor(0, 0)),
        lambda: own_log.page("*", None, Cursor(1, 0)),
        lambda: own_log.state(["*"], 1),
        lambda: own_log.knows("operations:op"),
    ]
    for call in calls:
        with pytest.raises(LogUnavailable) as caught:
            call()
        assert caught.value.temporary


def test_a_topic_is_known_while_anything_of_it_is_kept(author: Author, log: Log) -> None:
    """The stream, the index or the operation's hash is enough."""
    author.append(Record.beginning(CHILD, MINE, 1))
    assert all(log.knows(topic) for topic in CHILD.topics)
    assert not any(log.knows(topic) for topic in ("operations:op", "workflows:child", "agents:op"))
    for topic in (*CHILD.topics, "owners:me"):
        log.redis.delete(log.key(f"t:{topic}"))
    assert all(log.knows(topic) for topic in CHILD.topics)
