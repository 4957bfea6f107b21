"""Who talks to the log in the model: a process with one road to a server, and logs to be interfered with.

The logs are the real ones. Before each call of theirs the model may do something else, as another process, or
another greenlet of the same one, would do while this one waits; or the call fails.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from tests.model.servers import Servers
from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.errors import LogUnavailable
from tidings.log import Log, Mark, OperationState, Outcome, TopicPage
from tidings.record import Record
from tidings.settings import Settings
from webapp.shared_log import SharedLog

CLOCK: Final = "local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])"
"""The line of hello.lua that asks the server's clock; the model's stands in for it."""


class Recorder(Protocol):
    """Who takes down what happens to the servers."""

    def now_us(self) -> int:
        """Tell the time by the servers' clock."""

    def note_era(self, era: int, server: int) -> None:
        """Hear that *server* answered in *era*."""

    def note_outcomes(self, reporter: str, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """Hear what became of a batch."""


class Party:
    """One process: where its road leads, and what happens at its next calls."""

    def __init__(self, name: str, servers: Servers, recorder: Recorder) -> None:
        self.name = name
        self.recorder = recorder
        self.server: int | None = 0
        self._servers = servers
        self._logs: list[Log] = []
        self._ahead: list[tuple[int, Callable[[], object]]] = []
        self.disturbed = 0
        """How often something came between its calls."""
        servers.lead(name, 0)

    def adopt(self, log: Log) -> None:
        """Count *log* among this process' own."""
        self._logs.append(log)

    def lead(self, server: int | None) -> None:
        """Have the road lead to *server*, or nowhere; what was connected is cut."""
        self.server = server
        self._servers.lead(self.name, server)
        for log in self._logs:
            log.close()

    def close(self) -> None:
        """Cut all connections and forget the logs."""
        for log in self._logs:
            log.close()
        self._logs.clear()
        self._ahead.clear()

    def interrupt(self, call: int, action: Callable[[], object]) -> None:
        """Have *action* done just before the *call*-th call from now on."""
        self._ahead.append((call, action))

    def calm(self) -> None:
        """Forget what was to come between the calls."""
        self._ahead.clear()

    def before_call(self) -> None:
        """Do what is to be done before this call."""
        due = [action for call, action in self._ahead if call <= 1]
        self._ahead = [(call - 1, action) for call, action in self._ahead if call > 1]
        for action in due:
            self.disturbed += 1
            action()


def fail() -> None:
    """Have a call fail, as if Redis had gone."""
    raise LogUnavailable("the model says so")


class WatchedLog(Log):
    """A log of one party's."""

    def __init__(self, settings: Settings, party: Party, **more: Any) -> None:
        super().__init__(settings, **more)
        self.party = party
        party.adopt(self)

    def _hello_args(self) -> list[Any]:
        script, *rest = super()._hello_args()
        assert CLOCK in script
        return [script.replace(CLOCK, f"local now_us = {self.party.recorder.now_us()}"), *rest]

    def _mark(self, reply: list[bytes]) -> Mark:
        mark = super()._mark(reply)
        assert self.party.server is not None
        self.party.recorder.note_era(mark.position.era, self.party.server)
        return mark

    def hello(self) -> Mark:
        """Greet the log (see Log.hello)."""
        self.party.before_call()
        return super().hello()

    def read(self, after: Cursor) -> list[Entry]:
        """Read the log (see Log.read)."""
        self.party.before_call()
        return super().read(after)

    def page(self, topic: str, after: Cursor | None, upto: Cursor) -> TopicPage:
        """Read a page (see Log.page)."""
        self.party.before_call()
        return super().page(topic, after, upto)

    def state(self, topics: Sequence[str], most: int) -> tuple[Mark, list[OperationState]]:
        """Read states (see Log.state)."""
        self.party.before_call()
        return super().state(topics, most)

    def knows(self, topic: str) -> bool:
        """Ask for a topic (see Log.knows)."""
        self.party.before_call()
        return super().knows(topic)


class WatchedSharedLog(WatchedLog, SharedLog):
    """The log of a web process' openings."""

    def __init__(self, settings: Settings, party: Party, stands_at: Callable[[], Any]) -> None:
        super().__init__(settings, party, stands_at=stands_at)


class AuthorsLog(WatchedLog):
    """A reporter's log: its requests and replies may be lost, and copies of its batches may come late."""

    def __init__(self, settings: Settings, party: Party) -> None:
        super().__init__(settings, party)
        self.lose = ""
        """``request`` or ``reply``: what the network takes of the next append."""
        self.calls: list[tuple[str, tuple[Record, ...], tuple[list[str], list[Any]]]] = []

    def append(self, reporter: str, first: int, records: Sequence[Record], *args: Any, **kwargs: Any) -> Any:
        """Append, unless the network has it otherwise (see Log.append)."""
        lose, self.lose = self.lose, ""
        self.party.before_call()
        if lose == "request":
            fail()
        outcomes = super().append(reporter, first, records, *args, **kwargs)
        self.party.recorder.note_outcomes(reporter, records, outcomes)
        if lose == "reply":
            fail()
        return outcomes

    def _append_call(
        self, reporter: str, first: int, records: Sequence[Record], *args: Any
    ) -> tuple[list[str], list[Any]]:
        call = super()._append_call(reporter, first, records, *args)
        self.calls.append((reporter, tuple(records), call))
        return call

    def append_late_copy(self, number: int) -> None:
        """Have a copy of an earlier batch arrive, as it left, from a connection that was thought dead."""
        reporter, records, (keys, args) = self.calls[number % len(self.calls)]
        words = self._append(keys=keys, args=args)
        if words != [b"era"]:
            self.party.recorder.note_outcomes(reporter, records, [outcome_of(word) for word in words])


def outcome_of(word: bytes) -> Outcome:
    """Read one word of the append script's answer."""
    text = word.decode()
    if text[0].isdigit():
        return Outcome("stored", Cursor.from_stream(word.partition(b" ")[0]))
    return Outcome(text.partition(" ")[0])
