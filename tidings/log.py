"""The log: the ordered, retained list of events in Redis. The only module that speaks Redis keys.

Fourth stage of the flow: takes records from reporters, gives entries and states to the web
side. Guarantees that an entry's id says its place in one linked history, or that the reader
is told otherwise. It neither throttles nor retries over time: the reporter does.

Every key of a namespace starts with ``{namespace}:``, one hash tag, so one slot of a cluster.

============  =======  ==================================================  ========  ========  ===============
key           type     fields                                              written   read by   expiry
============  =======  ==================================================  ========  ========  ===============
meta          hash     ``tok`` = era:life of the server; ``<era>`` =       hello     all       never
                       last n of that closed era (the latest 64)
log           stream   ``k`` topics, ``t`` type, ``d`` JSON, ``p``         append,   feed,     log_events
                       traceparent where spans are wanted; an era's        hello     replay
                       first entry has ``t`` = era and ``prev``
t:<topic>     stream   same ids, ``t``, ``d``; the first entry after its   append    replay    topic_events,
                       (re)creation has ``f`` = the log's entry before it                      running_ttl_s;
                                                                                               an operation's:
                                                                                               history_ttl_s
                                                                                               after its end
op:<id>       hash     about (descriptor), status, run, attempt,           append    append,   running_ttl_s;
                       redelivery (s), left (a run that gave it up), cancel          state,    state_ttl_s
                       (the run asked to, or idle); created, updated, began (of      listing,  after its end
                       this attempt), waited, took (ms, for people); born, last,     watch,
                       end (ids); owner (a topic); uses (of its id, the latest last);  runs
                       at (its place, for what goes on as it without one); ``e:<type>`` = latest
                       JSON of that type
i:<topic>     zset     operation ids by era + n of their last status       append    state     running_ttl_s,
                       change, + 4e15 while they run; ``i:*`` has all                          index length
s:<how>       zset     operation ids: ``s:open`` by era + n of their       append    listing   running_ttl_s,
                       beginning, ``s:succeeded``, ``s:failed`` and                            index length
                       ``s:cancelled`` by that of their end
r:<reporter>  hash     n = number of its last event seen, beat             append    append,   24 h after a
                                                                                     watch     beat or what
                                                                                               is no progress
running       zset     ``<reporter> <operation>`` of each running one,     append,   watch,    never
                       by name                                             runs      runs
wf:<id>       hash     what is done of a workflow: done, whole (units),     append    append    as its op:<id>
                       planned, announced, settled, failed, cancelled,
                       cut, shown (per mille); ``l:<place>`` of each leaf
c:<reporter>  set      its runs that were asked to cancel, until they      append    append    running_ttl_s
                       end
cancels       string   there while anything was asked to cancel lately     append    gate      state_ttl_s
due           zset     operations that another attempt must begin, by      append,   append,   never
                       ``watched`` when it is too late                     watch     watch
watched       string   ms that web processes have watched: the clock of    watch     append,   never
                       ``due``, which no clock's step can move                       watch
past:<task>   list     seconds that a run took which went well, and of     append    past      30 days after
                       its longest silence; the latest 50, if > 1 s                            the latest
past          zset     the 1,000 tasks of which that is kept, by era + n   append    append    30 days after
                       of the latest run's end                                                 the latest
ticket:<it>   string   what it gives: a token's claims, JSON               issue     take      at most 30 s
revoked       stream   ``jti`` or ``sub``: whose tokens are good no more   revoke    revoked   7 days
live          pub/sub  id of a batch's last entry: a wake-up, not data     append    feed
============  =======  ==================================================  ========  ========  ===============

The scripts and the reasons for their order are hello.lua, append.lua, state.lua, list.lua,
watch.lua, runs.lua and LOG.md.
"""

import email.parser  # noqa: F401 - redis-py needs these two at its first connection, which is made in a thread:
import encodings.idna  # noqa: F401 - a child forked meanwhile would have half of them, and for ever
import logging
import math
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from queue import Empty
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from msgspec import UNSET, msgpack
from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from tidings.cursor import Cursor
from tidings.descriptor import Descriptor
from tidings.entry import Entry
from tidings.errors import InvalidValue, LogUnavailable
from tidings.events import CANCELLED, FAILED, SUCCEEDED
from tidings.past import Took
from tidings.placement import Placement
from tidings.record import ANY, ATTEMPT, BEGIN, NEW, Record
from tidings.script import Script
from tidings.settings import Settings
from tidings.topics import EVERYTHING, owner_topic

PAGE_ENTRIES: Final = 500
"""Entries per read: a page of 250-byte events is 150 KB, some 2 ms of one core (guessed)."""
TIMEOUT_S: Final = 3.0
"""A Redis that has not answered by then is down. The feed, which is to notice it, waits less."""
PAGE_LEASES: Final = 500
"""Reporters per look at the leases: some 1 ms of Redis (measured)."""
PAGE_RUNS: Final = 100
"""Runs of a silent reporter, or operations past their deadline, per read: some 0.3 ms of Redis (measured)."""
MIN_RUN_S: Final = 1.0
"""Shorter runs are not kept for their successors: nobody asks how long they will take, and they are many."""
_ERA_TRIES: Final = 3
_RANDOM_BITS: Final = 20
CANCEL: Final = "cancel"
OPEN: Final = "open"
LISTED: Final = (OPEN, SUCCEEDED, FAILED, CANCELLED)
"""What the list of operations is kept by."""
KEPT_S: Final = 7 * 86_400
"""How long it is kept that a token was revoked: as long as one may be good."""
RUN_ID_CHARS: Final = 40
"""Of a server's life: its process. What follows is its replication history, which may change in it."""
MOVED: Final = (
    "one connection has reached two servers, so a proxy hides failovers, and what they lose may not be told; "
    "connect without it, or by sentinel://"
)

logger = logging.getLogger(__name__)


def _script(name: str) -> str:
    return files("tidings").joinpath(name).read_text(encoding="utf-8")


def _append_script() -> str:
    """Put what counts workflows into the script that appends: they are one step."""
    return _script("append.lua").replace("-- < workflow.lua\n", _script("workflow.lua"))


class Mark(NamedTuple):
    """Where the log stands: its life's token, and the place of its last entry."""

    token: str
    position: Cursor


class Outcome(NamedTuple):
    """What became of one record: ``stored`` with its place, or the reason it was refused.

    ``code``: stored, dup, over, late, stale, unknown, alive, asked, error (see append.lua). ``message`` is
    `CANCEL` where the record's run is to end. A beat has an outcome ``cancel`` for each run that is.
    """

    code: str
    cursor: Cursor | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class OperationState:
    """An operation as the log last saw it; ``events`` has the latest JSON of each type.

    ``began_ms``: when its attempt began, if one runs or ended it; ``waited_ms``: how long it had been queued
    when the first began; ``took_ms``: how long the attempt took that was the last to end, or all of
    a workflow that is over.
    """

    descriptor: Descriptor
    status: str
    attempt: int
    created_ms: int
    updated_ms: int
    born: Cursor
    last: Cursor
    end: Cursor | None
    events: dict[str, bytes]
    began_ms: int | None = None
    waited_ms: int | None = None
    took_ms: int | None = None
    owner: str = ""
    """The topic of what is its owner's, if it is anybody's."""

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics on which it may be seen, its own first."""
        return (*self.descriptor.topics, self.owner) if self.owner else self.descriptor.topics


class Listing(NamedTuple):
    """A part of the list of operations: the open ones by their beginning, then the others by their end.

    The latest first. ``counts``: how many there are in all that are `OPEN`, or ended with each status.
    ``states``, each with its place in the list, which falls. ``before``: where to read on, None at the end.
    """

    mark: Mark
    counts: dict[str, int]
    states: list[tuple[int, OperationState]]
    before: int | None


class Run(NamedTuple):
    """An attempt at an operation as the log last saw it; ``run`` is empty where nobody has begun one."""

    descriptor: Descriptor
    run: str
    attempt: int
    redelivery_s: int = 0


class Watch(NamedTuple):
    """One look at the leases: who has running operations, and which ones no attempt began in time."""

    token: str
    watched_ms: int
    leases: dict[str, str]
    """By reporter, ``<n>:<beat>``: its count of events and its beat."""
    overdue: list[Run]
    running: int
    """How many operations somebody works on."""


@dataclass(frozen=True, slots=True)
class TopicPage:
    """Entries of one stream after a cursor, and what proves that none is missing before them."""

    token: str
    log_first: Entry | None
    log_last: Cursor | None
    topic_first: Cursor | None
    topic_complete_from: Cursor | None
    closed_eras: dict[int, int]
    entries: list[Entry]
    ends_at: Cursor | None
    """The last place of a full page, beyond which it says nothing; None if it is the last page."""


class Log:
    """One process' access to the log of one namespace.

    Owns a pool of connections, made on first use; each is greeted (`hello`) before any other
    command. Any thread or greenlet may call it. After a fork the pool makes new connections.
    Every method waits at most *timeout_s* per round trip and raises LogUnavailable. What happened
    to one connection has happened to all: then those that are idle are closed too, since a
    cable that was cut, or a primary that was demoted, says nothing by itself.
    """

    def __init__(self, settings: Settings, *, connections: int = 8, timeout_s: float = TIMEOUT_S) -> None:
        self.settings = settings
        self._prefix = f"{{{settings.namespace}}}:"
        self._meta, self._log = self.key("meta"), self.key("log")
        self.token = ""
        self._reading: Any = None
        self._moved = False
        self._greeted: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._pool = settings.address.pool(connections=connections, timeout_s=timeout_s, greet=self._greet)
        self.redis: Redis = Redis(connection_pool=self._pool)
        self._append = Script(self._pool, _append_script())
        self._state = self.redis.register_script(_script("state.lua"))
        self._list = self.redis.register_script(_script("list.lua"))
        self._watch = self.redis.register_script(_script("watch.lua"))
        self._runs = self.redis.register_script(_script("runs.lua"))
        self._hello = _script("hello.lua")

    def key(self, name: str) -> str:
        """Put *name* into the namespace."""
        return self._prefix + name

    @property
    def channel(self) -> str:
        """The pub/sub channel on which appends are announced."""
        return self.key("live")

    def hello(self) -> Mark:
        """Ask which life of the log this is and where it ends; opens a new era if it must."""
        with self._translated():
            connection = self._pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                return self._ask(connection)
            except BaseException:
                connection.disconnect()
                raise
            finally:
                self._pool.release(connection)  # type: ignore[no-untyped-call]

    def append(self, reporter: str, first: int, records: Sequence[Record], beat: str = "") -> list[Outcome]:
        """Append *records*, numbered from *first* in *reporter*'s count, in their order.

        Returns one outcome per record that was looked at; after an ``error`` the rest was not.
        Raises: LogUnavailable when the outcome is unknown: repeat with the same numbers.
        """
        for attempt in range(1, _ERA_TRIES + 1):
            with self._translated():
                words = self._append_once(reporter, first, records, beat)
                last = words[-1] if words else b""
                if last.startswith(b"error READONLY"):
                    raise ReadOnlyError(last.decode().removeprefix("error "))
            stored = any(word[:1].isdigit() for word in words)
            spoilt = last.startswith(b"error WRONGTYPE") and not stored and attempt == 1
            if last != b"era" and not spoilt:
                return [_outcome(word.decode()) for word in words]
            self.hello()  # which also makes log and meta anew if somebody else wrote there
        raise LogUnavailable("the log opened one era after another")

    def read(self, after: Cursor) -> list[Entry]:
        """Read a page of the log after *after*, in order; foreign entries are left out.

        For the one that follows the log, in a thread or greenlet of its own: a connection is
        kept for it. A read costs a quarter of what redis-py's client takes, and there is one per wake-up.
        """
        with self._translated():
            connection, self._reading = self._reading, None  # in use: `leave` is not to close it
            connection = connection or self._pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                connection.send_command(
                    "XRANGE", self._log, f"({after.stream_id}", "+", "COUNT", PAGE_ENTRIES
                )
                raw = connection.read_response(disable_decoding=True)
            except BaseException:
                self._give_back(connection)
                raise
            self._reading = connection
        return list(_entries((place, dict(zip(said[::2], said[1::2], strict=True))) for place, said in raw))

    @contextmanager
    def lend(self) -> Iterator[Any]:
        """Lend a connection of one's own, greeted; closed afterwards. Raises: LogUnavailable."""
        with self._translated():
            connection = self._pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                yield connection
            finally:
                self._give_back(connection)

    def page(self, topic: str, after: Cursor | None, upto: Cursor) -> TopicPage:
        """Read a page of *topic* (``*``: the log itself) in (*after*, *upto*] with its proof, atomically."""
        stream = self._log if topic == EVERYTHING else self.key(f"t:{topic}")
        start = "-" if after is None else f"({after.stream_id}"
        with self._translated(), self.redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._meta)
            pipe.xrevrange(self._log, count=1)
            pipe.xrange(self._log, count=1)
            pipe.xrange(stream, count=1)
            pipe.xrange(stream, start, upto.stream_id, PAGE_ENTRIES)
            found, last, log_first, topic_first, raw = _answers(pipe.execute(raise_on_error=False))
        meta: dict[bytes, bytes] = dict(found)
        first_id, first_fields = topic_first[0] if topic_first else (None, {})
        complete_from = first_fields.get(b"f")
        return TopicPage(
            token=meta.get(b"tok", b"").decode(),
            log_first=next(_entries(log_first), None),
            log_last=Cursor.from_stream(last[0][0]) if last else None,
            topic_first=Cursor.from_stream(first_id) if first_id else None,
            topic_complete_from=Cursor.from_stream(complete_from) if complete_from else None,
            closed_eras={int(era): int(n) for era, n in meta.items() if era != b"tok"},
            entries=list(_entries(raw, () if topic == EVERYTHING else (topic,))),
            ends_at=Cursor.from_stream(raw[-1][0]) if len(raw) == PAGE_ENTRIES else None,
        )

    def state(self, topics: Sequence[str], most: int) -> tuple[Mark, list[OperationState]]:
        """Read the operations on *topics* as they are, and the log's place they are true at, atomically.

        An operation's topic gives that one; any other the *most* whose status changed last,
        running ones first. In the order of their last event.
        """
        operations = [topic.removeprefix("operations:") for topic in topics if _is_operation(topic)]
        indexes = dict.fromkeys(_index(topic) for topic in topics if not _is_operation(topic))
        keys = [self._meta, self._log, *(self.key(f"op:{id_}") for id_ in operations)]
        keys += [self.key(f"i:{topic}") for topic in indexes]
        for _ in range(_ERA_TRIES):
            with self._translated():
                token, last, raw = self._state(keys=keys, args=[len(operations), most, self.key("op:")])
            if token and last:
                states = sorted((_state_of(fields) for _, fields in raw), key=lambda state: state.last)
                return Mark(token.decode(), Cursor.from_stream(last)), states
            self.hello()  # the log was emptied, and nobody has greeted it since
        raise LogUnavailable("the log is emptied as fast as it is greeted")

    def listing(self, wanted: Iterable[str], before: int | None, most: int) -> Listing:
        """Read the next *most* of the operations that are `OPEN` or ended as *wanted* (`LISTED`), atomically.

        *before*: of the listing that this one goes on from. Whoever follows the log from the place of the
        first one hears of what has moved since.
        """
        keys = [self._meta, self._log, *(self.key(f"s:{name}") for name in LISTED)]
        sets = [LISTED.index(name) + 1 for name in wanted]
        for _ in range(_ERA_TRIES):
            args = ["" if before is None else before, most, self.key("op:"), *sets]
            with self._translated():
                token, last, counts, further, raw = self._list(keys=keys, args=args)
            if token and last:
                return Listing(
                    Mark(token.decode(), Cursor.from_stream(last)),
                    dict(zip(LISTED, counts, strict=True)),
                    [(int(place), _state_of(fields)) for place, fields in raw],
                    int(further) if further else None,
                )
            self.hello()
        raise LogUnavailable("the log is emptied as fast as it is greeted")

    def operation(self, operation_id: str) -> OperationState | None:
        """Read one operation as it is, or None if the log does not know it."""
        _, states = self.state([f"operations:{operation_id}"], 0)
        return states[0] if states else None

    def watch(self, unchanged_ms: int | None = None, lease_ms: int = 0) -> Watch:
        """Look at every lease; move their clock on by *lease_ms* if it still stands at *unchanged_ms*.

        A server that takes no writes raises LogUnavailable: it takes no beats either.
        """
        leases: dict[str, str] = {}
        overdue: list[Run] = []
        after, expected = "", "" if unchanged_ms is None else str(unchanged_ms)
        keys = [self._meta, self.key("running"), self.key("due"), self.key("watched")]
        while True:
            args: list[Any] = [
                expected,
                lease_ms,
                after,
                PAGE_LEASES,
                PAGE_RUNS,
                self.key("r:"),
                self.key("op:"),
            ]
            with self._translated():
                token, watched, page, overdue_now, running = self._watch(keys=keys, args=args)
            leases |= {name.decode(): f"{int(n)}:{int(beat)}" for name, n, beat in page}
            overdue = overdue or [
                Run(Descriptor.decode(about), "", int(attempt)) for about, attempt in overdue_now
            ]
            if len(page) < PAGE_LEASES:
                break
            after, expected = page[-1][0].decode(), ""
        return Watch(token.decode() if token else self.hello().token, int(watched), leases, overdue, running)

    def runs(self, reporter: str) -> tuple[int, list[Run]]:
        """Read some of what *reporter* runs, and how many were looked at: none means that it runs nothing."""
        with self._translated():
            looked_at, found = self._runs(
                keys=[self.key("running")], args=[reporter, PAGE_RUNS, self.key("op:")]
            )
        return looked_at, [
            Run(Descriptor.decode(about), run.decode(), int(attempt), int(redelivery))
            for run, attempt, redelivery, about in found
        ]

    def past(self, tasks: Iterable[str]) -> dict[str, list[Took]]:
        """Read what past runs of each of *tasks* took, the latest first."""
        names = list(tasks)
        with self._translated(), self.redis.pipeline(transaction=False) as pipe:
            for task in names:
                pipe.lrange(self.key(f"past:{task}"), 0, -1)
            found = _answers(pipe.execute(raise_on_error=False))
        return {task: list(_runs_of(raw)) for task, raw in zip(names, found, strict=True)}

    def knows(self, topic: str) -> bool:
        """Tell whether anything is kept of *topic*."""
        keys = [self.key(f"t:{topic}"), self.key(f"i:{topic}")]
        if _is_operation(topic):
            keys.append(self.key(f"op:{topic.removeprefix('operations:')}"))
        with self._translated():
            return bool(self.redis.exists(*keys))

    def cancels(self, about: Descriptor) -> tuple[bool, bool]:
        """Tell whether anything was asked to be cancelled within `state_ttl_s`, and whether this was.

        That is *about* itself, in this use of its id, or its workflow.
        """
        with self._translated(), self.redis.pipeline(transaction=False) as pipe:
            pipe.exists(self.key("cancels"))
            pipe.hmget(self.key(f"op:{about.id}"), "cancel", "uses")
            pipe.hexists(self.key(f"op:{about.workflow_id or about.id}"), "cancel")
            lately, (own, uses), flow = _answers(pipe.execute(raise_on_error=False))
        is_meant = about.use is UNSET or uses is None or about.use.encode() in uses
        return bool(lately), bool((own and is_meant) or (flow and about.workflow_id))

    def issue(self, ticket: str, said: bytes, ttl_s: int) -> None:
        """Keep what a *ticket* gives, for *ttl_s*."""
        with self._translated():
            self.redis.set(self.key(f"ticket:{ticket}"), said, ex=ttl_s)

    def take(self, ticket: str) -> bytes | None:
        """Give what a *ticket* gives, once; None if it was taken, is over, or there never was one."""
        with self._translated():
            said: Any = self.redis.getdel(self.key(f"ticket:{ticket}"))
        return said if isinstance(said, bytes) else None

    def revoke(self, claim: str, value: str) -> None:
        """Have no token be good any more whose *claim*, ``jti`` or ``sub``, is *value*."""
        oldest = int((time.time() - KEPT_S) * 1_000)
        with self._translated():
            self.redis.xadd(self.key("revoked"), {claim: value}, minid=oldest)

    def revoked(self, after: str, wait_ms: int | None) -> list[tuple[str, str, str]]:
        """Read what was revoked after the entry *after*: ``(<ms>-<n>, claim, value)``. May wait for one."""
        with self._translated():
            found: Any = self.redis.xread({self.key("revoked"): after}, block=wait_ms)
        entries = found[0][1] if isinstance(found, list) and found else []
        return [
            (entry_id.decode(), claim.decode(errors="replace"), value.decode(errors="replace"))
            for entry_id, fields in entries
            for claim, value in fields.items()
        ]

    def ping(self) -> None:
        """Raise LogUnavailable unless Redis answers."""
        with self._translated():
            self.redis.ping()

    def server(self, section: str) -> dict[str, Any]:
        """Read a section of the server's INFO."""
        with self._translated():
            found: dict[str, Any] = self.redis.info(section)
        return found

    def configured(self, parameter: str) -> str | None:
        """Read a parameter of the server; None where that is forbidden, as on hosts that manage it."""
        try:
            with self._translated():
                found: dict[Any, Any] = self.redis.config_get(parameter)
        except LogUnavailable as error:
            if isinstance(error.__cause__, ResponseError):
                return None
            raise
        return found.get(parameter)

    def leave(self) -> None:
        """Close the connections that are idle: who asks next finds out anew where Redis is.

        Each is taken out of the pool meanwhile. redis-py's own way can close one that another
        thread has just begun to use.
        """
        idle: list[Any] = []
        with suppress(Empty):
            while True:
                idle.append(self._pool.pool.get_nowait())
        for connection in reversed(idle):  # last in, first out: those that were made stay first
            if connection is not None:
                connection.disconnect()
            self._pool.pool.put_nowait(connection)
        reading, self._reading = self._reading, None
        if reading is not None:
            self._give_back(reading)

    def close(self) -> None:
        """Close every connection."""
        self._pool.disconnect()

    def _give_back(self, connection: Any) -> None:
        """Close a connection, and let its place in the pool be taken."""
        connection.disconnect()
        self._pool.release(connection)  # type: ignore[no-untyped-call]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what redis-py and the socket raise into LogUnavailable."""
        try:
            yield
        except ReadOnlyError as error:
            self.leave()
            raise LogUnavailable(f"Redis is no primary: {error}") from error
        except ResponseError as error:
            raise LogUnavailable(f"Redis refused: {error}") from error
        except (RedisError, OSError) as error:
            self.leave()
            raise LogUnavailable(f"Redis is not reachable: {error}") from error

    def _greet(self, connection: Any) -> None:
        """Say hello on a connection that was just made, before anything else (LOG.md, B2)."""
        self._greeted.pop(connection, None)
        connection.on_connect()
        self._ask(connection)

    def _ask(self, connection: Any) -> Mark:
        connection.send_command("EVAL", *self._hello_args())
        mark = self._mark(connection.read_response())
        self._recognise(connection, mark.token.partition(":")[2])
        return mark

    def _recognise(self, connection: Any, server: str) -> None:
        """Notice that another server answers than this connection was made to."""
        process = server[:RUN_ID_CHARS]
        if self._greeted.setdefault(connection, process) != process:
            self._greeted[connection] = process
            if not self._moved:
                logger.warning("Redis: %s", MOVED)
            self._moved = True

    def _hello_args(self) -> list[Any]:
        number = secrets.randbits(_RANDOM_BITS)  # not from the row of numbers that the author may have seeded
        return [self._hello, 2, self._meta, self._log, number]

    def _mark(self, reply: list[bytes]) -> Mark:
        token, last = reply
        self.token = token.decode()
        return Mark(self.token, Cursor.from_stream(last))

    def _append_once(self, reporter: str, first: int, records: Sequence[Record], beat: str) -> list[bytes]:
        keys, args = self._append_call(reporter, first, records, beat)
        try:
            words: list[bytes] = self._append(keys=keys, args=args)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            return [f"error {error}".encode()]
        return words

    def _append_call(
        self, reporter: str, first: int, records: Sequence[Record], beat: str
    ) -> tuple[list[str], list[Any]]:
        limits = self.settings
        counter = self.key(f"r:{reporter}")
        keys = [self._meta, self._log, counter, *map(self.key, ("running", "due", "watched"))]
        args: list[Any] = [
            self.token,
            first,
            beat,
            self._prefix,
            limits.log_events,
            limits.topic_events,
            limits.index_operations,
            limits.running_ttl_s,
            limits.history_ttl_s,
            limits.state_ttl_s,
            msgpack.encode([_told(record) for record in records]),
        ]
        return keys, args


def _told(record: Record) -> dict[str, Any]:
    """Say of *record* what its append needs: at 10,000 a second Redis has no time to read more."""
    descriptor = record.descriptor
    told = {
        "condition": record.condition,
        "topics": record.topics,
        "type": record.event_type,
        "data": record.data.decode(),
        "run": record.run,
        "attempt": record.attempt,
    }
    if record.said is not None:
        told["trace"] = record.said.parent
    told |= {name: word for name, word in (("status", record.status), ("effect", record.effect)) if word}
    if record.condition in {NEW, BEGIN}:
        told |= _identity(descriptor)
    if descriptor.use is not UNSET and record.condition in {NEW, BEGIN, ANY, ATTEMPT}:
        told["use"] = descriptor.use
    if record.redelivery_s:
        told["redelivery"] = record.redelivery_s
    if record.took_s is not None:
        told["took"] = round(record.took_s, 3)
        if record.event_type == "complete" and record.took_s >= MIN_RUN_S:
            told["past"], told["silence"] = descriptor.task, round(record.silence_s, 3)
    if descriptor.placement is not UNSET:
        told |= {"at": _place(descriptor.placement), "units": record.units, "cuts": record.cuts}
        told |= {"word": record.word} if record.word else {}
    return told


def _identity(descriptor: Descriptor) -> dict[str, str]:
    """Say what an operation is, and whose."""
    about = {"about": descriptor.encode().decode()}
    owner = owner_topic(descriptor.owner) if descriptor.owner is not UNSET else ""
    return about | {"owner": owner} if owner else about


def _runs_of(raw: Iterable[bytes]) -> Iterator[Took]:
    """Read ``<took> <silence>`` in seconds; what somebody else wrote there is no run."""
    for said in raw:
        with suppress(ValueError):
            took_s, silence_s = map(float, said.split())
            if math.isfinite(took_s) and math.isfinite(silence_s):
                yield took_s, silence_s


def _place(at: Placement) -> list[Any]:
    hosts = [[host.place, host.attempt, host.token, host.kept, host.more] for host in at.hosts]
    return [at.workflow, at.place, at.units, at.whole, at.planned, hosts]


def _answers(replies: list[Any]) -> list[Any]:
    """Give the answers of a page's reads; a key that somebody else wrote over holds nothing of ours.

    Raises: ResponseError.
    """
    for number, reply in enumerate(replies):
        if isinstance(reply, ResponseError):
            if not str(reply).startswith("WRONGTYPE"):
                raise reply
            replies[number] = []
    return replies


def _outcome(word: str) -> Outcome:
    code, _, message = word.partition(" ")
    if word[0].isdigit():
        return Outcome("stored", Cursor.from_stream(code.encode()), message)
    return Outcome(code, message=message)


def _entries(
    raw: Iterable[tuple[bytes, dict[bytes, bytes]]], topics: tuple[str, ...] = ()
) -> Iterator[Entry]:
    for stream_id, stream_fields in raw:
        try:
            yield Entry.from_stream(stream_id, stream_fields, topics)
        except InvalidValue:
            # Not ours. Left out here; its reader sees the hole in the numbers and says so.
            continue


def _is_operation(topic: str) -> bool:
    return topic.startswith("operations:") and not topic.endswith(EVERYTHING)


def _index(topic: str) -> str:
    return EVERYTHING if topic.endswith(EVERYTHING) else topic


def _state_of(flat: list[bytes]) -> OperationState:
    found = dict(zip(flat[::2], flat[1::2], strict=True))
    end = found.get(b"end")
    began_ms, waited_ms, took_ms = (
        int(found[name]) if name in found else None for name in (b"began", b"waited", b"took")
    )
    created_ms, updated_ms = (int(found.get(name, 0)) for name in (b"created", b"updated"))
    about = Descriptor.decode(found[b"about"])
    if end and took_ms is not None and about.workflow_id == about.id:
        took_ms = updated_ms - created_ms - (waited_ms or 0)  # its own task ended when its steps began
    return OperationState(
        descriptor=about,
        status=found.get(b"status", b"").decode(),
        attempt=int(found.get(b"attempt", 1)),
        created_ms=created_ms,
        updated_ms=updated_ms,
        began_ms=began_ms,
        waited_ms=waited_ms,
        took_ms=took_ms,
        owner=found.get(b"owner", b"").decode(),
        born=Cursor.from_stream(found[b"born"]),
        last=Cursor.from_stream(found[b"last"]),
        end=Cursor.from_stream(end) if end else None,
        events={name[2:].decode(): data for name, data in found.items() if name.startswith(b"e:")},
    )
