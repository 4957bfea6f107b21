"""Rules of the protocol, each switched off: what the proof must notice.

A mutation of a script replaces a piece of the text that is given to the server; one of Python compiles a
function anew with a piece of its source replaced. Both fail if the piece is not there, so that no mutation
goes stale unnoticed.
"""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest

import tidings.log
from tests.model.test_traces import PARKED
from tidings import replay
from tidings.errors import LogUnavailable
from tidings.reporter import Reporter
from webapp import answer, feed, hub, leases, subscriber
from webapp.vigil import Vigil

Patch = Callable[[pytest.MonkeyPatch], None]


class Mutation(NamedTuple):
    """One rule switched off, and a test of ``test_traces.py`` that must fail then, with its arguments.

    ``by_machine``: the stateful test finds it too, and soon, with nobody telling it where to look.
    """

    rule: str
    switch_off: Patch
    trace: str
    arguments: dict[str, Any] = {}  # noqa: RUF012 - never changed
    by_machine: bool = False


def script(name: str, *replaced: tuple[str, str]) -> Patch:
    """Give the server the script *name* with pieces of its text *replaced*."""

    def switch_off(patch: pytest.MonkeyPatch) -> None:
        read = tidings.log._script  # where the texts come from
        text = read(name)
        for piece, instead in replaced:
            assert text.count(piece) == 1, f"{name} does not have {piece!r} once"
            text = text.replace(piece, instead)
        patch.setattr(tidings.log, "_script", lambda asked: text if asked == name else read(asked))

    return switch_off


def python(function: Any, *replaced: tuple[str, str]) -> Patch:
    """Compile *function* anew with pieces of its source *replaced*, for all who have imported it."""

    def switch_off(patch: pytest.MonkeyPatch) -> None:
        source = textwrap.dedent(inspect.getsource(function))
        for piece, instead in replaced:
            assert source.count(piece) == 1, f"{function.__qualname__} does not have {piece!r} once"
            source = source.replace(piece, instead)
        made: dict[str, Any] = {}
        compiled = compile(source, f"<{function.__qualname__}, mutated>", "exec")
        exec(compiled, function.__globals__, made)  # noqa: S102 - our own source
        patch.setattr(function, "__code__", made[function.__name__].__code__)

    return switch_off


def both(*patches: Patch) -> Patch:
    """Switch off what only together makes a rule."""

    def switch_off(patch: pytest.MonkeyPatch) -> None:
        for each in patches:
            each(patch)

    return switch_off


def two_batches_in_flight(patch: pytest.MonkeyPatch) -> None:
    """Let the next batch go out while the outcome of one is unknown, which is then repeated."""
    assert "_send_next" in vars(Reporter)

    def send_next(self: Any) -> bool:
        unsettled = self.__dict__.setdefault("unsettled", [])
        waiting = unsettled.pop() if unsettled else None
        with self._changed:
            self._collect()
            self._cut_batch()
        first, batch = self._first, self._in_flight
        try:
            if batch:
                self._settle(batch, self._log.append(self.id, first, batch))
        except LogUnavailable:
            unsettled.append((first, batch))
            self._first += len(batch)
            self._in_flight = []
        if waiting is not None:
            self._log.append(self.id, *waiting)
        return True

    patch.setattr(Reporter, "_send_next", send_next)
    patch.setattr(
        Reporter,
        "_is_idle",
        lambda self: not (self._buffer or self._in_flight or getattr(self, "unsettled", ())),
    )


FAR: Final = "Cursor(9_000_000_000_000_000, 0)"

MUTATIONS: Final = (
    # The list of issue 4.
    Mutation(
        "era check of appends",
        script("append.lua", ("redis.call('HGET', meta, 'tok') ~= token", "token == ''")),
        "test_an_append_that_was_meant_for_another_life_is_sent_anew",
        by_machine=True,
    ),
    Mutation(
        "era check of reads",
        python(replay._page, ("if page.token != feed.token:", "if False:")),
        "test_a_process_in_an_era_that_was_left_replays_nothing",
        by_machine=True,
    ),
    Mutation(
        "follow check",
        python(feed._following, ("if not entry.follows(position):", "if False:")),
        "test_a_feed_that_was_overtaken_by_the_trimming_skips_nobody",
        by_machine=True,
    ),
    Mutation(
        "first-entry check of a topic",
        python(replay._topic_reaches, ("return (first", "return True or (first")),
        "test_a_trimmed_topic_is_not_taken_for_a_whole_one",
        by_machine=True,
    ),
    Mutation(
        "first-entry check of the log",
        python(replay._log_reaches, ("return first", "return True or first")),
        "test_an_expired_topic_proves_nothing",
        {"again": False},
        by_machine=True,
    ),
    Mutation(
        "silence probe",
        both(
            python(feed.Feed.look, ("None if woken else self._log.hello()", "None")),
            python(
                feed.Feed._catch_up,
                ("if position == mine.position and server is None:", "if False:"),
            ),
        ),
        "test_a_silent_loss_is_noticed",
    ),
    Mutation(
        "upper bound P",
        both(
            python(replay._page, ("log.page(topic, after, feed.position)", f"log.page(topic, after, {FAR})")),
            python(replay._merged, ("default=feed.position", f"default={FAR}")),
        ),
        "test_nothing_is_replayed_beyond_the_feed",
    ),
    Mutation(
        "heal of a topic stream",
        script("append.lua", ("if added and not added.err then return end", "if added then return end")),
        "test_a_topic_that_is_ahead_of_the_log_starts_anew",
    ),
    Mutation(
        "one batch in flight",
        two_batches_in_flight,
        "test_what_the_network_loses_is_stored_once_and_in_order",
        {"lose": "request"},
        by_machine=True,
    ),
    Mutation(
        "owner check",
        script("append.lua", ("return run ~= e.run and 'stale'", "return false")),
        "test_a_run_that_lost_its_operation_is_not_heard",
        by_machine=True,
    ),
    Mutation(
        "PUBLISH after XADD",
        script(
            "append.lua",
            (
                "local outcomes, newest, renews",
                "redis.pcall('PUBLISH', namespace .. 'live', era)\nlocal outcomes, newest, renews",
            ),
        ),
        "test_an_append_that_the_log_refuses_wakes_nobody",
    ),
    # Leases by clock: below, for they have tests of their own. Others that a draft once broke without.
    Mutation(
        "numbers of a reporter",
        script(
            "append.lua",
            ("local outcome = 'dup'\n  if number > seen then", "local outcome = 'dup'\n  if true then"),
        ),
        "test_what_the_network_loses_is_stored_once_and_in_order",
        {"lose": "reply"},
        by_machine=True,
    ),
    Mutation(
        "the unknown is not seen",
        script("append.lua", ("if refused == 'unknown' and e.condition == 'own' then", "if false then")),
        "test_a_reply_that_was_lost_does_not_make_the_unknown_seen",
    ),
    Mutation(
        "nothing behind the end",
        script("append.lua", ("if known[ENDED] then return 'over' end", "")),
        "test_two_ends_are_one",
        by_machine=True,
    ),
    Mutation(
        "an era is a server's process",
        script("hello.lua", ("string.match(token, ':(%w+)$') == run", "true")),
        "test_a_failover_that_lost_something_is_told_to_who_had_it",
        {"seconds": 0},
        by_machine=True,
    ),
    Mutation(
        "eras are not the clock's alone",
        script("hello.lua", ("+ 1 + tonumber(ARGV[1])", "+ 1")),
        "test_two_promotions_of_one_copy_are_two_eras",
    ),
    Mutation(
        "an evicted log's ids are not used again",
        script("append.lua", ("if id == genesis_id then", "if false then")),
        "test_an_evicted_log_never_uses_its_ids_again",
    ),
    Mutation(
        "where a topic is complete from",
        script("append.lua", ("'d', e.data, 'f', before)", "'d', e.data, 'f', '0-0')")),
        "test_an_expired_topic_proves_nothing",
        {"again": True},
    ),
    Mutation(
        "a closed era's end",
        python(replay._check_lineage, ("if end is None or cursor.n > end:", "if end is None:")),
        "test_a_failover_that_lost_something_is_told_to_who_had_it",
        {"seconds": 0},
        by_machine=True,
    ),
    Mutation(
        "lineage before ids",
        python(replay._check_lineage, ("if end is None or cursor.n > end:", "if False:")),
        "test_another_history_is_never_taken_for_the_same",
        {"said": 3, "seconds": -100_000},
        by_machine=True,
    ),
    Mutation(
        "a further page is proved again",
        python(replay._merged, ("if not all(", "if False and not all(")),
        "test_a_trim_between_two_pages_ends_the_stream",
    ),
    Mutation(
        "streams that are ahead end at an era's beginning",
        python(hub.Hub._close_those_ahead, ("subscriber.position > head", "False")),
        "test_a_stream_that_is_ahead_of_what_a_copy_kept_ends",
    ),
    Mutation(
        "a stream joins in the era it opened in",
        python(hub.Hub._refusal, ("opened_at.token != self._token", "False")),
        "test_another_history_while_a_stream_opens_is_noticed",
        {"client": PARKED},
    ),
    Mutation(
        "conflated progress is said at its own place",
        python(
            subscriber.conflate,
            (
                "newest = {entry.operation_id: entry for entry",
                "newest = {entry.operation_id: entry for entry",
            ),
            ("newest[entry.operation_id] is entry]", "not newest.pop(entry.operation_id, None) is None]"),
        ),
        "test_a_slow_reader_is_conflated_and_not_only_cut",
    ),
    Mutation(
        "a reset brings the state",
        python(replay.start_over, ("states=states", "states=()")),
        "test_another_history_is_never_taken_for_the_same",
        {"said": 3, "seconds": 0},
    ),
    Mutation(
        "the state's own place",
        python(replay.start_over, ("Opening(position,", "Opening(feed.position,")),
        "test_a_stream_may_be_ahead_of_its_feed",
    ),
    Mutation(
        "the opening may be ahead of the feed",
        python(replay.resume, ("return Opening(cursor)", "return Opening(feed.position)")),
        "test_a_client_that_is_ahead_of_a_process_keeps_its_place",
    ),
    Mutation(
        "an end in another history is nobody's",
        python(answer._end_of, ("if mark.token != feed.token:", "if False:")),
        "test_an_end_that_the_feed_has_not_come_to_is_nobodys_end",
    ),
    Mutation(
        "a cursor never gets an error",
        python(answer._end_of, ("and not asked.past.requested", "")),
        "test_a_client_of_a_forgotten_operation_is_not_refused",
    ),
)

BY_THE_TIME_OF_DAY: Final = python(leases.monotonic_s, ("time.monotonic()", "time.time()"))
"""A lease on a clock that somebody may set."""
THROUGH_A_BREAK: Final = python(
    Vigil.silent, ("if token != self._token or answered_at - self._looked_at > self._gap_s:", "if False:")
)
"""A lease that goes on while nobody can beat, or nobody looks."""
