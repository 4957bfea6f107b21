"""The world of the model: servers, two web processes, two authors, some browsers, and what can befall them.

Everything is the real code on real servers, moved step by step from one thread. What happens is taken down
from the servers themselves, and judged by the oracle in the end.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import gevent
from flask import Flask

from tests.history import History, Place, Stored
from tests.model.author import Author
from tests.model.client import READ_BYTES, Client, Manner
from tests.model.party import Party
from tests.model.servers import SERVERS, Servers
from tests.model.web import Web, make_app
from tests.oracle import Report, Violation, judge
from tests.transcript import Connection, Request
from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.errors import LogUnavailable
from tidings.log import Outcome
from tidings.record import ANY, Record
from tidings.settings import Settings

NAMESPACE: Final = "model"
LOG_EVENTS: Final = 14
TOPIC_EVENTS: Final = 5
START_US: Final = 1_763_800_000_000_000
TICK_US: Final = 10_000_000
"""Between two looks at the clock, so that no era's number depends on how fast a machine is."""
W1: Final = Descriptor.of("w1", "workflow")
B1: Final = Descriptor.of("b1", "batch", workflow="w1", parent="w1")
B2: Final = Descriptor.of("b2", "batch", workflow="w1", agent="a1")
A1: Final = Descriptor.of("a1", "agent")
OPERATIONS: Final = {about.id: about for about in (W1, B1, B2, A1)}
TOPICS: Final = tuple(dict.fromkeys(topic for about in OPERATIONS.values() for topic in about.topics))
MANNERS: Final = (
    Manner(),
    Manner(chunked=False),
    Manner(slow=True),
    Manner(parked=False),
)
MOST_ROUNDS: Final = 12
"""Tries that anybody needs at most to come to rest, once nothing happens any more."""

_SERIAL = re.compile(rb'"#([0-9]+)')
_KEYS_OF_OPERATIONS = ("op:", "i:")


class World:
    """One run. `close` it before the next begins on the same servers."""

    def __init__(self, servers: Servers, apps: Sequence[Flask]) -> None:
        self.servers = servers
        self.history = History()
        self.connections: list[Connection] = []
        self.reports: list[Report] = []
        self.refused: dict[int, str] = {}
        self.primary = 0
        self.clock_us = START_US
        self._said: dict[Place, dict[str, Any]] = {}
        self._stands: list[Place | None] = [None] * SERVERS
        self._copies: set[int] = set()
        self._greenlets: list[Any] = []
        self._full = False
        self._turn = gevent.get_hub().loop.timer(0)
        servers.reset()
        gevent.Greenlet.add_spawn_callback(self._greenlets.append)
        self.webs = [Web(*self._party(f"web{n}"), app) for n, app in enumerate(apps)]
        parties = [self._party(f"author{n}") for n in range(2)]
        self.authors = [Author(settings, party, self.reports) for settings, party in parties]
        self.clients = [Client(manner) for manner in MANNERS]
        for web in self.webs:
            web.look(woken=False)

    def _party(self, name: str) -> tuple[Settings, Party]:
        return settings_of(self.servers, name), Party(name, self.servers, self)

    @property
    def parties(self) -> list[Party]:
        """Everybody who talks to the log."""
        return [*(web.party for web in self.webs), *(author.party for author in self.authors)]

    def close(self) -> None:
        """Let go of everything but the servers."""
        for client in self.clients:
            client.cut()
        for process in self.webs:
            process.close()
        for author in self.authors:
            author.party.close()
        gevent.Greenlet.remove_spawn_callback(self._greenlets.append)
        gevent.killall(self._greenlets)

    # What is taken down.

    def now_us(self) -> int:
        """Tell the time by the servers' clock, which goes on."""
        self.clock_us += TICK_US
        return self.clock_us

    def note_era(self, era: int, server: int) -> None:
        """Look at a server that answers in an era that is new."""
        if era not in self.history.lives:
            self.take_down(server)

    def note_outcomes(self, reporter: str, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """Remember who said what is now stored where, and why something was refused."""
        for record, outcome in zip(records, outcomes, strict=False):
            found = _SERIAL.search(record.data)
            serial = int(found[1]) if found else None
            assert self._full or outcome.code != "error", outcome
            if outcome.cursor is not None:
                said = {
                    "reporter": reporter,
                    "run": record.run,
                    "condition": record.condition,
                    "serial": serial,
                }
                self._said[Place(*outcome.cursor)] = said
            elif serial is not None and (
                outcome.code in {"over", "late", "stale", "alive"}
                or (outcome.code == "unknown" and record.condition == ANY)
            ):
                self.refused[serial] = outcome.code
        for server in range(SERVERS):
            self.take_down(server)

    def take_down(self, server: int) -> None:
        """Take down what *server* has stored since it was last looked at."""
        key = self._key("log")
        client = self.servers.clients[server]
        for stream_id, fields in client.xrange(key) if client.type(key) == b"stream" else ():
            place = Place(*Cursor.from_stream(stream_id))
            if fields[b"t"] == b"era":
                previous = Place(*Cursor.from_stream(fields[b"prev"])) if fields[b"prev"] else None
                remembers = self._stands[server] if previous is None else None
                self.history.open_life(place.era, previous, remembers)
            else:
                author = self._said.get(place, {})
                topics = tuple(fields[b"k"].decode().split())
                event_type, data = fields[b"t"].decode(), fields[b"d"].decode()
                self.history.store(Stored.of(place, event_type, data, topics, **author))
            self._stands[server] = place

    def head(self, server: int) -> Place:
        """Give the place of a server's last entry that was taken down."""
        place = self._stands[server]
        assert place is not None
        return place

    # What authors do.

    def begin(self, author: int, operation: str, attempt: int = 1) -> None:
        """Begin an attempt of an operation."""
        self.authors[author].begin(OPERATIONS[operation], attempt)

    def say(self, author: int, operation: str, event_type: str = "warning") -> None:
        """Report something."""
        self.authors[author].say(OPERATIONS[operation], event_type)

    def announce(self, author: int, operation: str) -> None:
        """Say that an operation is queued."""
        self.authors[author].announce(OPERATIONS[operation])

    def cancel(self, author: int, operation: str) -> None:
        """Ask for an operation's end."""
        self.authors[author].cancel(OPERATIONS[operation])

    def end(self, author: int, operation: str, how: str = "complete") -> None:
        """End an operation."""
        self.authors[author].end(OPERATIONS[operation], how)

    def send(self, author: int, lose: str = "") -> None:
        """Have a reporter send what it has; the network may *lose* the request, or the reply."""
        if not self.authors[author].reporter.sending:
            self.authors[author].log.lose = lose
            self.authors[author].reporter.step()

    def append(self, operation: str, *types: str, author: int = 0) -> None:
        """Report something and send it."""
        for event_type in types:
            self.say(author, operation, event_type)
        self.send(author)

    def send_late_copy(self, author: int, number: int) -> None:
        """Have a copy of an earlier batch arrive late."""
        log = self.authors[author].log
        if log.calls and log.party.server is not None:
            log.append_late_copy(number)

    # What befalls the servers.

    def trim(self, name: str, keep: int) -> None:
        """Trim the log or a topic's stream, as more appends would."""
        key, client = self._key(name), self.servers.clients[self.primary]
        if client.type(key) == b"stream":
            client.xtrim(key, maxlen=keep, approximate=False)

    def evict(self, *names: str) -> None:
        """Take keys away, as an expiry or an eviction does."""
        self.servers.clients[self.primary].delete(*map(self._key, names))
        for name in names:
            self._note_forgotten(name)

    def evict_counter(self, author: int) -> None:
        """Take away what the log knows of a reporter's numbers."""
        reporter = self.authors[author].reporter.id
        self.servers.clients[self.primary].delete(self._key(f"r:{reporter}"))
        self.history.doubling.add(reporter)

    def spoil(self, topic: str) -> None:
        """Have somebody else write over a topic's stream."""
        self.servers.clients[self.primary].set(self._key(f"t:{topic}"), "spoilt")

    def fill_memory(self, *, full: bool) -> None:
        """Have the primary refuse what needs memory, or take it again."""
        self._full = full
        self.servers.clients[self.primary].config_set("maxmemory", 1 if full else 0)

    def flush(self) -> None:
        """Empty the primary."""
        self.servers.clients[self.primary].flushall()
        self._stands[self.primary] = None

    def copy(self, server: int) -> None:
        """Give a server what the primary has: a replica's copy, which lags from now on.

        Not to the process whose life this is, as if it were its own: that takes two failovers of which nobody
        noticed the first, and has a test of its own with real replication.
        """
        token = self.servers.clients[self.primary].hget(self._key("meta"), "tok") or b""
        if server != self.primary and self.servers.run_id(server) not in token.decode():
            self.servers.copy(self.primary, server)
            self._stands[server] = self._stands[self.primary]

    def fail_over(self, server: int, staying: Sequence[int] = ()) -> None:
        """Promote a server, with what it has; parties that are *staying* go on with the old primary."""
        self.primary = server
        for number, party in enumerate(self.parties):
            if number not in staying:
                party.lead(server)

    def restart(self) -> None:
        """Restart the primary with all that it had: another process has it now."""
        others = [server for server in range(SERVERS) if server != self.primary]
        for server in others:
            before = self._stands[server]
            self.copy(server)
            if self._stands[server] == self._stands[self.primary] != before or len(others) == 1:
                self.fail_over(server)
                return

    def part(self, party: int, server: int | None) -> None:
        """Have one party's road lead elsewhere, or nowhere."""
        self.parties[party].lead(server)

    def step_clock(self, seconds: int) -> None:
        """Set the servers' clocks forward or back."""
        self.clock_us = max(self.clock_us + seconds * 1_000_000, TICK_US)

    # What web processes do.

    def look(self, web: int, *, woken: bool = True) -> None:
        """Have a feed look at the log: for a wake-up, or after a silence."""
        self.webs[web].look(woken=woken)
        self.run()

    def look_all(self) -> None:
        """Have every feed hear of what was appended."""
        for web in range(len(self.webs)):
            self.look(web)

    def beat(self, web: int) -> None:
        """Have a web process' streams beat."""
        self.webs[web].beat()
        self.run()

    def kill_web(self, web: int) -> None:
        """Kill a web process; another one takes its place."""
        self._lose_openings(web)
        self.webs[web].kill()
        self.run()
        self.webs[web].look(woken=False)

    def drain_web(self, web: int) -> None:
        """Stop a web process properly; another one takes its place."""
        self._lose_openings(web)
        self.webs[web].drain()
        self.run()
        self.webs[web].look(woken=False)

    def _lose_openings(self, web: int) -> None:
        for client in self.clients:
            client.lose_opening(self.webs[web])

    def interrupt(self, party: int, call: int, what: str, *args: Any, **kwargs: Any) -> None:
        """Have something happen just before the *call*-th call of a party, while it waits."""
        self.parties[party].interrupt(call, lambda: getattr(self, what)(*args, **kwargs))

    def fail(self) -> None:
        """Have the call that this happens before fail."""
        raise LogUnavailable("the model says so")

    # What clients do.

    def ask(self, client: int, web: int, request: Request) -> Connection | None:
        """Have a client ask for a stream, and take nothing of it yet; a process without contact has none."""
        process = self.webs[web]
        if not process.ready:
            process.look(woken=False)
        if not process.ready:
            return None
        exact = self._exact(process, request, self._oldest(process))
        connection = self.clients[client].ask(process, request, exact=exact)
        self.connections.append(connection)
        return connection

    def open(self, client: int, web: int, request: Request) -> Connection | None:
        """Have a client ask for a stream and take its opening."""
        connection = self.ask(client, web, request)
        self.clients[client].begin()
        self.run()
        return connection

    def begin_stream(self, client: int) -> None:
        """Have a client take its opening."""
        self.clients[client].begin()
        self.run()

    def resume(self, client: int, web: int, cursor: str | None = None) -> Connection | None:
        """Have a client come back for what it asked for, with what it has."""
        here = self.clients[client]
        asked = here.asked
        cursor = here.cursor if cursor is None else cursor
        return self.open(
            client, web, Request(asked.topics, asked.types, asked.kinds, asked.history, cursor, asked.own)
        )

    def read(self, client: int) -> None:
        """Have a slow client read a little."""
        self.clients[client].read(READ_BYTES)
        self.run()

    def cut(self, client: int) -> None:
        """Have a client go away."""
        self.clients[client].cut()
        self.run()

    def storm(self, web: int, request: Request, cursors: Sequence[str]) -> None:
        """Have a client come back from each of *cursors*, one after the other."""
        visitor, process = Client(Manner(chunked=False)), self.webs[web]
        if not process.ready:
            return
        disturbed, oldest = -1, None
        for cursor in cursors:
            if disturbed != process.party.disturbed:
                disturbed, oldest = process.party.disturbed, self._oldest(process)
            asked = Request(
                request.topics, request.types, request.kinds, request.history, cursor, request.own
            )
            exact = self._exact(process, asked, oldest)
            self.connections.append(visitor.ask(process, asked, exact=exact))
            visitor.begin()
            visitor.read()
        visitor.cut()
        self.run()

    def places(self) -> list[str]:
        """Give every id that the log ever gave out."""
        return [
            Place(era, n).wire
            for era, life in self.history.lives.items()
            for n in range(len(life.events) + 1)
        ]

    def run(self) -> None:
        """Let everything run that can, and have everybody read who reads at once."""
        hub = gevent.get_hub()
        for _ in range(2):
            hub.wait(self._turn)
        for client in self.clients:
            if not client.manner.slow:
                while client.read():
                    pass

    # How it ends.

    def settle(self) -> None:
        """Let nothing happen any more, and everybody come to rest at the primary's head."""
        for party in self.parties:
            party.calm()
            party.lead(self.primary)
        for author in self.authors:
            for _ in range(MOST_ROUNDS):
                author.reporter.step()
            assert author.idle
        for _ in range(MOST_ROUNDS):
            asked = len(self.connections)
            self._bring_back()
            if asked == len(self.connections):  # nobody had to come back
                break
        for client in self.clients:
            if client.connection is not None and self._wants_a_stream(client):
                client.connection.head = self.head(self.primary)

    def _bring_back(self) -> None:
        """Have the feeds look, everybody read, and whoever has lost its stream come back."""
        for number in range(len(self.clients)):
            self.begin_stream(number)
        for web in range(len(self.webs)):
            self.look(web, woken=False)
            self.look(web)
        for web in range(len(self.webs)):
            self.beat(web)
        while any(client.read() for client in self.clients):
            self.run()
        for number, client in enumerate(self.clients):
            if not client.open and self._wants_a_stream(client):
                self.resume(number, number % len(self.webs))

    def _wants_a_stream(self, client: Client) -> bool:
        """Tell whether a client has asked, and not been told that there is nothing to wait for."""
        return client.connection is not None and client.connection.status == 200

    def judge(self) -> list[Violation]:
        """Say which promises were broken."""
        return judge(self.history, self.connections, self.reports, self.refused)

    # The rest.

    def _oldest(self, process: Web) -> Place | None:
        """Give the place of the oldest entry in the log that *process* talks to."""
        if process.party.server is None:
            return None
        first = self.servers.clients[process.party.server].xrange(self._key("log"), count=1)
        place = Place(*Cursor.from_stream(first[0][0])) if first else None
        return place if place is not None and self.history.has(place) else None

    def _exact(self, process: Web, request: Request, oldest: Place | None) -> bool:
        """Tell whether a log whose *oldest* entry is there still has all that a request's cursor needs."""
        cursor, server = Place.parse(request.cursor), process.party.server
        head = self._stands[server] if server is not None else None
        if cursor is None or head is None or oldest is None or not self.history.has(cursor):
            return False
        if not self.history.leads(cursor, head) or not self.history.leads(oldest, head):
            return False
        life = self.history.lives[oldest.era]
        before = life.continues if oldest.n == 0 else Place(oldest.era, oldest.n - 1)
        return self.history.leads(oldest, cursor) or before == cursor

    def _note_forgotten(self, name: str) -> None:
        """Note what the primary does not know any more, now that a key has gone."""
        family, _, rest = name.partition(":")
        at = self._stands[self.primary]
        if at is None:
            return
        if family == "op":
            self.history.forget(rest, at)
        elif family == "i":
            for about in OPERATIONS.values():
                if rest == "*" or rest in about.topics:
                    self.history.forget(about.id, at)

    def _key(self, name: str) -> str:
        return f"{{{NAMESPACE}}}:{name}"


def settings_of(servers: Servers, name: str) -> Settings:
    """Give the settings of one party."""
    return Settings(
        redis_url=f"unix://{servers.road(name)}",
        namespace=NAMESPACE,
        log_events=LOG_EVENTS,
        topic_events=TOPIC_EVENTS,
    )


def make_apps(servers: Servers) -> list[Flask]:
    """Make the apps of two web processes, to be used by one world after the other."""
    return [make_app(settings_of(servers, f"web{n}")) for n in range(2)]
