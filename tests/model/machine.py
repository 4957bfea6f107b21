"""The stateful test: Hypothesis moves the world of the model, and the oracle judges each run.

A rule is one thing that somebody does or that befalls somebody, in any order. When a run is over, everybody
comes to rest, and clients come back from every place that the log ever gave out.
"""

from typing import Any, ClassVar, Final

from flask import Flask
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.model.author import ENDS, TYPES
from tests.model.servers import SERVERS, Servers
from tests.model.world import MANNERS, OPERATIONS, TOPICS, World
from tests.transcript import Request

FOREIGN: Final = ("evt_1-0", "evt_9000000000000000-3", "nonsense")
REQUESTS: Final = (
    Request(),
    Request(("operations:b1",), own="b1"),
    Request(("operations:b2",), own="b2"),
    Request(("operations:w1",), own="w1"),
    Request(("operations:b1", "operations:b2")),
    Request(("workflows:w1",)),
    Request(("agents:a1", "operations:b1")),
    Request(("agents:*",)),
    Request(types=frozenset({"progress"})),
    Request(("workflows:w1",), types=frozenset({"status", "complete", "error"})),
    Request(("operations:w1", "workflows:w1"), kinds=frozenset({"batch"})),
)
FINAL: Final = (REQUESTS[0], REQUESTS[1], REQUESTS[4], REQUESTS[5])
"""What clients ask for that come back from every place in the end."""

authors = st.integers(0, 1)
webs = st.integers(0, 1)
parties = st.integers(0, 3)
clients = st.integers(0, len(MANNERS) - 1)
servers_ = st.integers(0, SERVERS - 1)
operations = st.sampled_from(sorted(OPERATIONS))
types = st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=4)
streams = st.sampled_from(["log", *(f"t:{topic}" for topic in TOPICS)])
keys = st.sampled_from(
    ["meta", "log", "i:*", "i:workflows:w1"]
    + [f"t:{topic}" for topic in TOPICS]
    + [f"op:{operation}" for operation in OPERATIONS]
)
cursors = st.one_of(
    st.just("own"), st.just(""), st.just(""), st.integers(0, 12), st.integers(0, 12), st.sampled_from(FOREIGN)
)
disturbances = st.one_of(
    st.tuples(st.just("append"), operations, st.sampled_from(sorted(TYPES))),
    st.tuples(st.just("look"), webs),
    st.tuples(st.just("trim"), streams, st.integers(0, 3)),
    st.tuples(st.just("evict"), keys),
    st.tuples(st.just("flush")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("fail_over"), servers_),
    st.tuples(st.just("fail")),
)


losses = st.one_of(
    st.tuples(st.just("trim"), streams, st.integers(0, 4)),
    st.tuples(st.just("trim"), streams, st.integers(0, 4)),
    st.tuples(st.just("evict"), keys),
    st.tuples(st.just("evict_counter"), authors),
    st.tuples(st.just("spoil"), st.sampled_from(TOPICS)),
)
disasters = st.one_of(
    st.tuples(st.just("restart")),
    st.tuples(st.just("fail_over"), servers_, st.lists(parties, max_size=2, unique=True)),
    st.tuples(st.just("fail_over"), servers_),
    st.tuples(st.just("part"), parties, st.one_of(st.none(), servers_)),
    st.tuples(st.just("flush")),
    st.tuples(st.just("step_clock"), st.sampled_from([-100_000, -30, 30, 100_000])),
    st.tuples(st.sampled_from(["kill_web", "drain_web"]), webs),
)


class Machine(RuleBasedStateMachine):
    """One run. ``servers`` and ``apps`` are set before the first; ``resumes`` counts over all runs."""

    servers: ClassVar[Servers]
    apps: ClassVar[list[Flask]]
    resumes: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.servers, self.apps)

    def teardown(self) -> None:
        """Come to rest, come back from everywhere, and be judged."""
        world = self.world
        try:
            world.settle()
            for number, request in enumerate(FINAL):
                world.storm(number % 2, request, world.places()[-60:])
            type(self).resumes += sum(1 for connection in world.connections if connection.request.cursor)
            violations = world.judge()
            assert not violations, "\n".join(map(str, violations[:5]))
        finally:
            world.close()

    # Authors.

    @rule(author=authors, operation=operations, types=types, heard=st.booleans())
    def append(self, author: int, operation: str, types: list[str], *, heard: bool) -> None:
        self.world.append(operation, *types, author=author)
        if heard:
            self.world.look_all()

    @rule(
        author=authors,
        said=st.lists(st.tuples(operations, st.sampled_from(sorted(TYPES))), min_size=2, max_size=9),
    )
    def append_one_by_one(self, author: int, said: list[tuple[str, str]]) -> None:
        for operation, event_type in said:
            self.world.append(operation, event_type, author=author)
            self.world.look_all()

    @rule(author=authors, operation=operations, types=types, lose=st.sampled_from(["", "reply", "request"]))
    def append_over_a_bad_line(self, author: int, operation: str, types: list[str], lose: str) -> None:
        for event_type in types:
            self.world.say(author, operation, event_type)
        self.world.send(author, lose)

    @rule(author=authors, operation=operations, attempt=st.integers(1, 2))
    def begin(self, author: int, operation: str, attempt: int) -> None:
        self.world.begin(author, operation, attempt)

    @rule(author=authors, operation=operations, how=st.sampled_from(ENDS), heard=st.booleans())
    def end(self, author: int, operation: str, how: str, *, heard: bool) -> None:
        self.world.end(author, operation, how)
        self.world.send(author)
        if heard:
            self.world.look_all()

    @rule(author=authors, operation=operations)
    def announce_or_cancel(self, author: int, operation: str) -> None:
        self.world.announce(author, operation)
        self.world.cancel(1 - author, operation)

    @rule(author=authors, number=st.integers(0, 100))
    def send_late_copy(self, author: int, number: int) -> None:
        self.world.send_late_copy(author, number)

    # Servers.

    @rule(what=losses)
    def lose(self, what: tuple[Any, ...]) -> None:
        name, *args = what
        getattr(self.world, name)(*args)

    @rule(what=disasters)
    def befall(self, what: tuple[Any, ...]) -> None:
        name, *args = what
        getattr(self.world, name)(*args)

    @rule(server=servers_)
    def copy(self, server: int) -> None:
        self.world.copy(server)

    @rule()
    def reunite(self) -> None:
        self.world.fail_over(self.world.primary)

    # Web processes.

    @rule(web=webs, woken=st.booleans())
    def look(self, web: int, *, woken: bool) -> None:
        self.world.look(web, woken=woken)

    @rule(web=webs)
    def beat(self, web: int) -> None:
        self.world.beat(web)

    @rule(party=parties, call=st.integers(1, 4), what=disturbances)
    def interrupt(self, party: int, call: int, what: tuple[Any, ...]) -> None:
        self.world.interrupt(party, call, *what)

    # Clients.

    @rule(
        client=clients,
        web=webs,
        request=st.sampled_from(REQUESTS),
        history=st.sampled_from(["latest", "latest", "none", "all"]),
        cursor=cursors,
        at_once=st.booleans(),
    )
    def ask(
        self, client: int, web: int, request: Request, history: str, cursor: str | int, *, at_once: bool
    ) -> None:
        asked = self._asking(client, request, history, cursor)
        (self.world.open if at_once else self.world.ask)(client, web, asked)

    @rule(client=clients)
    def begin_stream(self, client: int) -> None:
        self.world.begin_stream(client)

    @rule(client=clients, web=webs)
    def resume(self, client: int, web: int) -> None:
        self.world.resume(client, web)

    @rule(client=clients)
    def read(self, client: int) -> None:
        self.world.read(client)

    @rule(client=clients)
    def cut(self, client: int) -> None:
        self.world.cut(client)

    @rule(web=webs, request=st.sampled_from(REQUESTS))
    def storm(self, web: int, request: Request) -> None:
        self.world.storm(web, request, self.world.places()[-20:])

    def _asking(self, client: int, request: Request, history: str, cursor: str | int) -> Request:
        if cursor == "own":
            cursor = self.world.clients[client].cursor
        elif isinstance(cursor, int):
            places = self.world.places()
            cursor = places[-1 - cursor % len(places)]
        return Request(request.topics, request.types, request.kinds, history, cursor, request.own)
