"""What streams wait for, as their process describes it, and how processes answer one another."""

from typing import Final, cast

import gevent
import pytest

from tests.parked_streams import EVERYTHING, LEAST_BUFFER_BYTES, HubStreams, at, make_entry
from tests.stack import READ_S
from tidings.settings import Settings
from tidings.topics import Filter
from webapp.access import Grant
from webapp.app import create_app
from webapp.inspection import Inspection
from webapp.ring import Ring
from webapp.service import EXTENSION, Service
from webapp.settings import ServiceSettings
from webapp.sheets import SHEET_BYTES, Sheets
from webapp.slots import ALIVE, Slots
from webapp.waiting import WaitingSubscriber

SOON_S: Final = 0.05


@pytest.fixture
def here() -> Service:
    """The service of an app that was never started."""
    settings = ServiceSettings(log=Settings(redis_url="redis://127.0.0.1:1/0"), auth="open", host="127.0.0.1")
    return cast("Service", create_app(settings).extensions[EXTENSION])


def test_a_sheet_is_read_by_who_asked_before_it_was_written() -> None:
    """Each has its own; what was written before one asked is no answer."""
    sheets = Sheets(2)
    sheets.sign(1, 4711)
    asked_at = sheets.ask()
    assert sheets.asked_at == asked_at
    assert sheets.read(1, asked_at) is None
    sheets.write(1, b"what is so", asked_at)
    assert (sheets.read(0, asked_at), sheets.read(1, asked_at)) == (None, b"what is so")
    assert sheets.pid(1) == 4711
    assert sheets.read(1, sheets.ask() + 1) is None
    sheets.write(1, b"", asked_at + 2)
    assert sheets.read(1, asked_at) == b""


def test_a_sheet_has_its_bounds() -> None:
    """It fits exactly, and what does not is not written over the next one."""
    sheets = Sheets(2)
    asked_at = sheets.ask()
    sheets.write(1, b"b", asked_at)
    sheets.write(0, b"a" * SHEET_BYTES, asked_at)
    assert sheets.read(1, asked_at) == b"b"
    assert sheets.read(0, asked_at) == b"a" * SHEET_BYTES
    with pytest.raises(ValueError, match="no room"):
        sheets.write(0, b"a" * (SHEET_BYTES + 1), asked_at)


def test_a_stream_says_what_it_waits_for_and_what_waits_for_its_reader(here: Service) -> None:
    """What is asked for, whose it is, and of what was said meanwhile only what is for it."""
    wanted = Filter.of(["operations:op"], ["status"], ["import"])
    with HubStreams() as streams:
        here.hub = streams.hub
        slow = streams.open(wanted, send_buffer_bytes=LEAST_BUFFER_BYTES, grant=Grant("ann"))
        streams.open(EVERYTHING)
        quiet, _ = here.inspection.ask()[0].held
        assert (quiet.waiting_events, quiet.waiting_bytes, quiet.stuck_s) == (0, 0, 0)
        for n in range(1, 21):
            streams.route(make_entry(n, "status" if n % 2 else "progress", size_bytes=1_000))
        (share,) = here.inspection.ask()
        behind, even = share.held
        assert (behind.topics, behind.types, behind.kinds) == (("operations:op",), ("status",), ("import",))
        assert (behind.gear, behind.subject, even.subject) == ("parked", "ann", "")
        assert 0 < behind.waiting_events < 10
        assert behind.waiting_bytes > 900 * behind.waiting_events
        assert (even.topics, even.waiting_events, even.position) == (("*",), 0, at(20).wire)
        assert (share.streams, share.position, share.draining) == (2, at(20).wire, False)
        slow.connection.close()


def test_a_stream_in_a_generator_says_the_same(here: Service) -> None:
    """It takes from the ring itself: what it has not taken waits."""
    with HubStreams() as streams:
        here.hub = streams.hub
        subscriber = WaitingSubscriber(EVERYTHING, at(0))
        streams.hub.join(subscriber, streams.mark)
        streams.route(make_entry(1), make_entry(2))
        (held,) = here.inspection.ask()[0].held
        assert (held.gear, held.waiting_events, held.stuck_s) == ("generator", 2, 0)
        assert subscriber.take(streams.hub.ring)
        assert here.inspection.ask()[0].held[0].waiting_events == 0
        streams.hub.leave(subscriber)


@pytest.mark.parametrize(
    ("topics", "topic", "hears"),
    [
        (["operations:a"], "operations:a", True),
        (["operations:a"], "operations:b", False),
        (["operations:*"], "operations:a", True),
        (["agents:*"], "operations:a", False),
        ([], "operations:a", True),
    ],
)
def test_who_waits_for_a_topic_is_found(here: Service, topics: list[str], topic: str, *, hears: bool) -> None:
    """By its name, by a pattern, and as one who hears everything."""
    with HubStreams() as streams:
        here.hub = streams.hub
        streams.open(Filter.of(topics))
        assert here.inspection.ask()[0].held[0].hears(topic) is hears


def test_of_more_streams_than_there_is_room_for_the_furthest_behind_are_told_of(here: Service) -> None:
    """How many there are is said, and the answer stays within the sheet."""

    class Late(WaitingSubscriber):
        """A stream whose reader is behind by as much as its place in the registry."""

        def waiting(self, ring: Ring) -> tuple[int, int]:  # noqa: ARG002 - it has made it up
            """Say how much waits."""
            return 1, self.position.n

    with HubStreams() as streams:
        here.hub = streams.hub
        wanted = Filter.of(f"operations:{'x' * 100}{n}" for n in range(60))
        many = [Late(wanted, at(n)) for n in range(600)]
        for each in many:
            streams.hub.join(each, streams.mark)
        (share,) = here.inspection.ask()
        assert share.streams == 600
        assert 100 < len(share.held) < 600
        assert [held.waiting_bytes for held in share.held] == list(range(599, 599 - len(share.held), -1))
        for each in many:
            streams.hub.leave(each)


def test_each_living_process_answers_and_one_that_hangs_is_named(
    here: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has ended is not asked, and an answer of before it was asked is none."""
    monkeypatch.setattr("webapp.inspection.ANSWER_S", SOON_S)
    slots = Slots(4)
    for row in (0, 1, 2):
        slots.row(row)[ALIVE] = 1
    here.share(slots, 0)
    other, hanging = Inspection(here), Inspection(here)
    other.share(slots, 1)
    hanging.share(slots, 2)
    slots.sheets.sign(2, 4711)
    assert [share.answered for share in here.inspection.ask()] == [True, False, False]
    other.look()
    assert [share.answered for share in other.ask()] == [False, True, False]
    slots.row(1)[ALIVE] = 0
    assert [(share.answered, share.pid == 4711) for share in here.inspection.ask()] == [
        (True, False),
        (False, True),
    ]


def test_two_who_ask_at_once_are_both_answered(here: Service) -> None:
    """By a process that describes its streams for the first when the others ask: once more, for them all."""
    described = []

    class Counted(WaitingSubscriber):
        """A stream that notes when it is described."""

        def waiting(self, ring: Ring) -> tuple[int, int]:
            """Say how much waits."""
            described.append(self)
            return super().waiting(ring)

    with HubStreams() as streams:
        here.hub = streams.hub
        many = [Counted(EVERYTHING, at(0)) for _ in range(300)]
        for each in many:
            streams.hub.join(each, streams.mark)
        asking = [gevent.spawn(here.inspection.ask) for _ in range(5)]
        gevent.joinall(asking, timeout=READ_S, raise_error=True)
        assert [[share.streams for share in each.value or ()] for each in asking] == [[300]] * 5
        assert len(described) == 2 * 300
        for each in many:
            streams.hub.leave(each)


def test_nothing_is_described_that_nobody_asks_for(here: Service) -> None:
    """One answer for one question, whoever asked it."""
    sheets = Slots(1)
    here.share(sheets, 0)
    here.inspection.look()
    assert sheets.sheets.read(0, 0) == b""
    here.inspection.ask()
    asked_at = sheets.sheets.asked_at
    assert sheets.sheets.read(0, asked_at)
    sheets.sheets.write(0, b"as it was", asked_at)
    here.inspection.look()
    assert sheets.sheets.read(0, asked_at) == b"as it was"
