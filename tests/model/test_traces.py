"""The smallest runs that broke a draft, or the code, one by one: LOG.md's A, B and C, and those found since.

Each is a run of the model's world that the oracle judges, so that a run which fails names the broken promise.
What one call of the log or one stage does is tested beside it; here are the stages together.
"""

import pytest

from tests.model.world import World
from tests.transcript import Request

EVERYTHING = Request()
B1 = Request(("operations:b1",))
B2 = Request(("operations:b2",))
BOTH = Request(("operations:b1", "operations:b2"))
OWN = Request(("operations:b1",), own="b1")
PARKED, RAW, SLOW, WAITING = range(4)
"""The world's browsers, by how they take their streams."""
BEHIND, AHEAD = range(2)
"""Its two web processes, where one of them lags."""


def assert_kept(world: World) -> None:
    """Come to rest, have clients come back from everywhere, and see every promise kept."""
    world.settle()
    for number, request in enumerate((EVERYTHING, B1, BOTH, OWN)):
        world.storm(number % 2, request, world.places()[-40:])
    assert list(map(str, world.judge())) == []


def after(request: Request, cursor: str, history: str = "latest") -> Request:
    """Ask for *request* from a cursor on."""
    return Request(request.topics, request.types, request.kinds, history, cursor, request.own)


def ids(world: World, client: int) -> list[str]:
    """Give the events that a client's connection has carried, by their ids."""
    connection = world.clients[client].connection
    assert connection is not None
    return [frame.id for frame in connection.frames if frame.event != "heartbeat" and frame.id]


# Resume, feed, heartbeat.


def test_a_stream_may_be_ahead_of_its_feed(world: World) -> None:
    """A1: a state that is newer than what the process has read sets the cursor, and nothing takes it back."""
    world.append("b1", "progress", "warning")
    world.open(PARKED, BEHIND, EVERYTHING)
    world.beat(BEHIND)
    world.look_all()
    world.append("b1", "progress")
    assert_kept(world)


def test_a_client_that_is_ahead_of_a_process_keeps_its_place(world: World) -> None:
    """A1: a cursor of a process that had read more is where the stream goes on, not where the feed stands."""
    world.append("b1", "progress", "warning")
    world.look(AHEAD)
    for request in (B1, EVERYTHING):
        world.open(PARKED, AHEAD, request)
        world.resume(PARKED, BEHIND)
        world.beat(BEHIND)
    world.append("b1", "progress")
    assert_kept(world)


def test_two_topics_are_one_stream(world: World) -> None:
    """A2: what was appended while an opening read its first topic is neither lost nor doubled."""
    world.append("b1", "progress")
    world.append("b2", "progress")
    world.open(PARKED, BEHIND, BOTH)
    world.look_all()
    cursor = world.clients[PARKED].cursor
    for call in (2, 3):
        world.interrupt(BEHIND, call, "append", "b1", "warning")
        world.interrupt(BEHIND, call, "append", "b2", "warning")
        world.interrupt(BEHIND, call, "look", BEHIND)
        world.open(PARKED, BEHIND, after(BOTH, cursor))
    assert_kept(world)


def test_nothing_is_replayed_beyond_the_feed(world: World) -> None:
    """A2: what the process has not read yet comes live, and only live."""
    world.append("b1", "progress")
    world.look_all()
    cursor = world.places()[-1]
    world.append("b1", "warning", "warning")
    world.kill_web(BEHIND)
    world.append("b1", "warning")
    world.open(PARKED, BEHIND, after(B1, cursor))
    assert len(ids(world, PARKED)) == 2
    world.look(BEHIND)
    assert len(ids(world, PARKED)) == 3
    assert_kept(world)


def test_a_trim_between_two_pages_ends_the_stream(world: World) -> None:
    """A3: each page of a replay is proved anew, so a partial one never looks full."""
    world.append("b1", "progress")
    world.look_all()
    cursor = world.places()[-1]
    world.append("b1", *["warning"] * 4)
    world.append("b1", *["warning"] * 4)
    world.look_all()
    world.kill_web(BEHIND)
    world.ask(PARKED, BEHIND, after(EVERYTHING, cursor))
    world.trim("log", 1)
    world.begin_stream(PARKED)
    world.resume(PARKED, BEHIND)
    assert_kept(world)


@pytest.mark.parametrize("again", [False, True])
def test_an_expired_topic_proves_nothing(world: World, *, again: bool) -> None:
    """A4, A5: a topic's stream that went, or went and came back, hides nothing that it lost."""
    world.append("b1", "progress")
    world.look_all()
    world.open(PARKED, BEHIND, B1)
    world.append("b1", "warning")
    world.evict("t:operations:b1")
    if again:
        world.append("b1", "warning")
    world.trim("log", 1)
    world.kill_web(AHEAD)
    world.resume(PARKED, AHEAD)
    assert_kept(world)


def test_a_trimmed_topic_is_not_taken_for_a_whole_one(world: World) -> None:
    """The first entry that a topic keeps must lie at the cursor or before it, or the log must reach back."""
    world.append("b1", "progress")
    world.look_all()
    world.open(PARKED, BEHIND, B1)
    world.append("b1", *["warning"] * 4)
    world.append("b1", *["warning"] * 3)
    world.trim("log", 2)
    world.kill_web(AHEAD)
    world.resume(PARKED, AHEAD)
    assert_kept(world)


def test_a_feed_that_was_overtaken_by_the_trimming_skips_nobody(world: World) -> None:
    """A6: an entry that does not follow ends every stream of the process; the resume decides."""
    for client in (PARKED, SLOW, WAITING):
        world.open(client, BEHIND, EVERYTHING)
    world.append("b1", *["warning"] * 4)
    world.trim("log", 2)
    world.look(BEHIND)
    assert_kept(world)


@pytest.mark.parametrize("said", [0, 1, 3])
@pytest.mark.parametrize("seconds", [0, -100_000, 100_000])
def test_another_history_is_never_taken_for_the_same(world: World, said: int, seconds: int) -> None:
    """A7, A8: after a flush nobody goes on as if nothing had been, wherever the clock stands."""
    world.append("b1", "progress", "warning")
    world.look_all()
    for client in (PARKED, SLOW, WAITING):
        world.open(client, BEHIND, EVERYTHING)
    world.flush()
    world.step_clock(seconds)
    for _ in range(said):
        world.append("b1", "warning")
        world.look_all()
    world.storm(BEHIND, EVERYTHING, world.places())
    assert_kept(world)


@pytest.mark.parametrize("seconds", [0, -100_000, 100_000])
def test_a_failover_that_lost_something_is_told_to_who_had_it(world: World, seconds: int) -> None:
    """A9, A10: a copy without the last events opens an era from where it really ends."""
    world.append("b1", "progress")
    world.look_all()
    for client in (PARKED, WAITING):
        world.open(client, client % 2, EVERYTHING)
    world.copy(1)
    world.append("b1", "warning", "warning")
    world.look(BEHIND)
    world.step_clock(seconds)
    world.fail_over(1)
    world.append("b1", "warning")
    world.look_all()
    assert_kept(world)


def test_a_process_in_an_era_that_was_left_replays_nothing(world: World) -> None:
    """B2: what was read before a failover is not put together with what a server has after it."""
    world.append("b1", "progress")
    world.look_all()
    world.open(PARKED, AHEAD, B1)
    world.copy(1)
    world.append("b1", "warning", "warning")
    world.kill_web(BEHIND)
    world.fail_over(1)
    world.resume(PARKED, BEHIND)
    world.beat(BEHIND)
    assert_kept(world)


def test_an_empty_log_has_a_place(world: World) -> None:
    """A11: a stream that opens on an empty log has a cursor, and the first event follows it."""
    world.open(PARKED, BEHIND, EVERYTHING)
    world.cut(PARKED)
    world.append("b1", "progress")
    world.look_all()
    world.resume(PARKED, AHEAD)
    assert ids(world, PARKED) != []
    assert_kept(world)


def test_a_stream_that_is_ahead_of_what_a_copy_kept_ends(world: World) -> None:
    """A12: a state newer than the feed, of a server that then lost it, does not go on."""
    world.copy(1)
    world.append("b1", "progress")
    world.open(PARKED, BEHIND, EVERYTHING)
    world.fail_over(1)
    world.append("b2", "progress")
    world.look_all()
    assert_kept(world)


def test_two_promotions_of_one_copy_are_two_eras(world: World) -> None:
    """A13: with the clock back, two copies of one log never open the same era."""
    world.append("b1", "progress")
    world.copy(1)
    world.copy(2)
    for server in (1, 2):
        world.step_clock(-100_000)
        world.fail_over(server)
        world.append("b1", "warning")
        world.look_all()
        world.open(PARKED, BEHIND, EVERYTHING)
    world.look_all()
    assert_kept(world)


def test_a_silent_loss_is_noticed(world: World) -> None:
    """A14: a log that was emptied is noticed though nothing can be read after one's own place."""
    for client in (PARKED, WAITING):
        world.open(client, BEHIND, EVERYTHING)
    world.append("b1", "progress")
    world.look_all()
    world.flush()
    world.step_clock(-100_000)
    world.append("b1", "warning")
    world.look(BEHIND, woken=False)
    world.look(AHEAD)
    assert_kept(world)


def test_an_end_in_another_history_is_nobodys_end(world: World) -> None:
    """A15: a larger id of another history does not make an operation look over."""
    world.step_clock(100_000)
    world.append("b1", "progress")
    world.look_all()
    world.open(PARKED, BEHIND, OWN)
    world.flush()
    world.step_clock(-150_000)
    world.append("b1", "progress")
    world.end(0, "b1")
    world.send(0)
    world.look_all()
    world.resume(PARKED, AHEAD)
    assert_kept(world)


def test_an_end_that_the_feed_has_not_come_to_is_nobodys_end(world: World) -> None:
    """Found by the machine (A15): what the ring opened was compared with an end in another history."""
    world.look_all()
    cursor = world.places()[-1]
    world.flush()
    world.step_clock(-100_000)
    world.append("b1", "progress")
    world.end(0, "b1")
    world.send(0)
    world.storm(BEHIND, OWN, [cursor])
    assert_kept(world)


def test_a_client_of_a_forgotten_operation_is_not_refused(world: World) -> None:
    """A16: a cursor is never answered by an error, whatever the log has forgotten."""
    world.append("b1", "progress")
    world.look_all()
    world.open(PARKED, BEHIND, OWN)
    world.flush()
    world.look(BEHIND, woken=False)
    world.resume(PARKED, BEHIND)
    world.append("b1", "warning")
    assert_kept(world)


def test_a_state_and_its_place_are_one(world: World) -> None:
    """A18: what is appended while a state is read is in it or behind it."""
    world.append("b1", "progress")
    for call in (1, 2, 3):
        world.interrupt(BEHIND, call, "append", "b1", "progress", "warning")
        world.interrupt(BEHIND, call, "look", BEHIND)
        world.open(PARKED, BEHIND, OWN)
    assert_kept(world)


@pytest.mark.parametrize("lost", [("op:b1", "t:operations:b1"), ("t:operations:b1",), ()])
def test_a_whole_history_that_is_not_whole_begins_with_a_reset_and_the_state(
    world: World, lost: tuple[str, ...]
) -> None:
    """A20, and found by the machine: what is left of a history is behind a reset, and behind the state."""
    world.append("b1", "progress", "status", "warning")
    world.append("b2", "progress")
    world.append("b1", *["warning"] * 4)
    world.look_all()
    world.trim("log", 2)
    world.evict(*lost) if lost else None
    for request in (B1, BOTH, EVERYTHING, OWN):
        world.open(PARKED, BEHIND, after(request, "", "all"))
    assert_kept(world)


def test_a_short_history_beside_a_long_one_does_not_end_the_stream(world: World) -> None:
    """Found by the machine: where one topic had two pages and another began late, no client ever got in."""
    world.append("a1", *["error"] * 3)
    world.append("w1", *["error"] * 4)
    world.append("b1", *["error"] * 4)
    world.trim("log", 2)
    world.look_all()
    request = Request(("operations:w1", "workflows:w1"), history="all")
    for client in (PARKED, WAITING):
        world.open(client, BEHIND, request)
    assert_kept(world)


def test_a_whole_history_is_proved_on_what_is_sent(world: World) -> None:
    """What is trimmed between the proof and the reading of a whole history is not missing unsaid."""
    world.append("b1", "progress", "warning", "warning")
    world.look_all()
    world.evict("t:operations:b1")
    for call in (2, 3, 4):
        world.interrupt(BEHIND, call, "trim", "log", 1)
        world.open(PARKED, BEHIND, after(B1, "", "all"))
    assert_kept(world)


# The append.


def test_a_topic_that_is_ahead_of_the_log_starts_anew(world: World) -> None:
    """B1: a topic's stream whose last id is larger than the log's takes no entry, so it must not stay."""
    world.append("b1", "progress", "warning")
    world.step_clock(100_000)
    world.restart()
    world.append("b1", "warning")
    world.evict("meta", "log")
    world.step_clock(-90_000)
    world.append("b1", "warning")
    world.look_all()
    world.open(PARKED, BEHIND, B1)
    world.append("b1", "warning", "warning", "warning")
    world.look_all()
    world.kill_web(AHEAD)
    world.storm(AHEAD, B1, world.places())
    assert_kept(world)


def test_an_append_that_was_meant_for_another_life_is_sent_anew(world: World) -> None:
    """B2: a batch that was made for one life of the log is stored in the next one, whole and once."""
    world.append("b1", "progress")
    world.copy(1)
    world.append("b1", "warning")
    world.fail_over(1)
    world.append("b1", "warning", "status")
    world.send_late_copy(0, 1)
    assert_kept(world)


def test_an_evicted_log_never_uses_its_ids_again(world: World) -> None:
    """B3: a log that is gone under a living era opens another one."""
    world.open(PARKED, BEHIND, EVERYTHING)
    world.append("b1", "progress")
    world.look_all()
    world.evict("log")
    world.append("b1", "warning", "warning")
    world.look_all()
    assert_kept(world)


@pytest.mark.parametrize("names", [("meta",), ("log",), ("meta", "log"), ("meta", "log", "t:operations:b1")])
def test_an_eviction_is_exact_or_told(world: World, names: tuple[str, ...]) -> None:
    """Whatever key an eviction takes, nobody goes on as if it were there."""
    world.append("b1", "progress")
    world.look_all()
    for client in (PARKED, WAITING):
        world.open(client, client % 2, B1)
    world.evict(*names)
    world.append("b1", "warning")
    world.look_all()
    world.append("b1", "warning")
    assert_kept(world)


def test_a_stream_that_somebody_wrote_over_is_read_from_the_log(world: World) -> None:
    """Found by the machine: a topic's key that is no stream held every client of the topic off for ever."""
    world.append("b1", "progress")
    world.look_all()
    world.open(PARKED, BEHIND, B1)
    world.append("b1", "warning")
    world.spoil("operations:b1")
    world.kill_web(AHEAD)
    connection = world.resume(PARKED, AHEAD)
    assert connection is not None
    assert len(ids(world, PARKED)) == 1
    assert_kept(world)


def test_an_append_that_the_log_refuses_wakes_nobody(world: World) -> None:
    """B4: nothing is announced that is not stored, when memory is full."""
    channel = world.authors[0].log.channel
    with world.servers.clients[world.primary].pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(channel)
        world.append("b1", "progress")
        assert _next_message(heard) is not None
        world.say(0, "b1")
        world.fill_memory(full=True)
        world.send(0)
        world.fill_memory(full=False)
        assert _next_message(heard) is None
    world.send(0)
    assert_kept(world)


def _next_message(heard: object) -> object:
    """Give the next message but the subscription's own; all that was said before is there already."""
    for _ in range(3):
        message = heard.get_message(timeout=0.05)  # type: ignore[attr-defined]
        if message is not None:
            return message
    return None


# Reporters and attempts.


@pytest.mark.parametrize("lose", ["reply", "request"])
def test_what_the_network_loses_is_stored_once_and_in_order(world: World, lose: str) -> None:
    """C1, C2: a batch whose outcome is unknown is repeated with its numbers before anything else goes out."""
    world.open(PARKED, BEHIND, EVERYTHING)
    world.append("b1", "progress")
    for event_type, lost in (("warning", lose), ("status", ""), ("progress", lose), ("warning", lose)):
        world.say(0, "b1", event_type)
        world.send(0, lost)
    world.end(0, "b1")
    world.send(0, lose)
    world.send(0)
    world.look_all()
    assert_kept(world)


def test_progress_in_flight_is_not_replaced(world: World) -> None:
    """C3: what may have been stored is repeated as it was; what was said since comes behind it."""
    world.append("b1", "progress")
    world.say(0, "b1", "progress")
    world.send(0, "reply")
    world.say(0, "b1", "progress")
    world.send(0)
    world.send(0)
    assert_kept(world)


@pytest.mark.parametrize("flushed", [False, True])
def test_a_late_copy_of_a_batch_is_refused(world: World, *, flushed: bool) -> None:
    """C5: a batch that was thought lost and comes late, or into another life, adds nothing."""
    world.append("b1", "progress", "warning")
    if flushed:
        world.flush()
        world.append("b2", "warning")
    world.send_late_copy(0, 0)
    world.append("b1", "warning")
    world.send_late_copy(0, 0)
    assert_kept(world)


def test_a_reply_that_was_lost_does_not_make_the_unknown_seen(world: World) -> None:
    """Found by the machine: of an operation that the log forgot, every report was dropped as seen already."""
    world.append("b1", "progress")
    world.flush()
    for event_type in ("warning", "status"):
        world.say(0, "b1", event_type)
    world.send(0, "reply")
    world.send(0)
    assert_kept(world)


def test_a_run_that_lost_its_operation_is_not_heard(world: World) -> None:
    """C7: of two attempts, the one that began last owns the operation."""
    world.append("b1", "progress")
    world.begin(1, "b1", attempt=2)
    world.send(1)
    world.append("b1", "warning")
    world.begin(0, "b1", attempt=1)
    world.append("b1", "warning")
    world.append("b1", "progress", author=1)
    world.end(0, "b1", "failed")
    world.send(0)
    world.look_all()
    assert world.history.forgotten == {}
    assert_kept(world)


def test_two_ends_are_one(world: World) -> None:
    """C9: whoever says it first ends the operation, and nothing comes behind that."""
    world.append("b1", "progress")
    world.open(PARKED, BEHIND, OWN)
    world.open(WAITING, BEHIND, EVERYTHING)
    for author, how in ((0, "complete"), (1, "failed"), (0, "cancelled")):
        world.begin(author, "b1", attempt=1)
        world.end(author, "b1", how)
        world.send(author)
        world.look_all()
    world.append("b1", "warning")
    assert_kept(world)
    last = world.clients[PARKED].connection
    assert last is not None
    assert last.status == 204


def test_a_lost_counter_stores_twice_and_delivers_what_is_stored(world: World) -> None:
    """The known edge of evictions: without its counter a repetition is news, to every reader alike."""
    world.open(PARKED, BEHIND, EVERYTHING)
    world.append("b1", "progress")
    world.say(0, "b1", "warning")
    world.send(0, "reply")
    world.evict_counter(0)
    world.send(0)
    world.look_all()
    assert max(map(len, world.history.by_serial.values())) == 2
    assert_kept(world)
    world.history.doubling.clear()
    assert [violation.rule.name for violation in world.judge()] == ["STORED_TWICE"]


# What LOG.md reasoned about, or tried by script only.


def test_two_primaries_at_once_are_two_branches(world: World) -> None:
    """While an old primary goes on beside the new one, each reader stays in one history or is told."""
    world.append("b1", "progress")
    world.look_all()
    for client in (PARKED, WAITING):
        world.open(client, client % 2, EVERYTHING)
    world.copy(1)
    old = (1, 3)  # a web process and an author who do not hear of the promotion
    world.fail_over(1, staying=old)
    for _ in range(2):
        world.append("b1", "progress", "warning")
        world.append("b2", "progress", "warning", author=1)
        world.look_all()
    assert len(world.history.lives) == 2
    for web in (AHEAD, BEHIND):
        for client in (PARKED, WAITING):
            world.resume(client, web)
        world.storm(web, EVERYTHING, world.places())
        world.storm(web, BOTH, world.places())
    world.fail_over(1)
    assert_kept(world)


@pytest.mark.parametrize("pieces", [1, 4, 9])
def test_a_slow_reader_gets_the_newest_progress_of_each_operation(world: World, pieces: int) -> None:
    """A19: conflation takes the older progress out and puts the newer in its own place, so ids only rise."""
    world.append("b1", "progress")
    world.append("b2", "progress")
    world.look_all()
    world.open(SLOW, BEHIND, EVERYTHING)
    for _ in range(2):
        for number in range(20):
            world.append("b1" if number % 3 else "b2", "progress" if number % 4 else "warning")
            world.look(BEHIND)
            if number % pieces == 0:
                world.read(SLOW)
        world.read(SLOW)
        if pieces == 4:
            world.cut(SLOW)
            world.resume(SLOW, BEHIND)
    assert_kept(world)


def test_a_slow_reader_is_conflated_and_not_only_cut(world: World) -> None:
    """The ring keeps what waits for a slow reader; of its progress only the newest is written."""
    hub = world.webs[BEHIND].hub
    world.append("b1", "progress")
    world.look_all()
    world.open(SLOW, BEHIND, EVERYTHING)
    first = len(world.places())
    while not any(subscriber.chasing for subscriber in hub._registry):  # type: ignore[attr-defined] # noqa: SLF001
        world.append("b1", "progress")
        world.look(BEHIND)
    for _ in range(5):
        world.append("b1", "progress")
        world.look(BEHIND)
    while world.clients[SLOW].read():
        world.run()
    appended = world.places()[first:]
    assert ids(world, SLOW)[-1] == appended[-1]
    assert len(ids(world, SLOW)) < len(appended)
    assert_kept(world)


def test_states_are_the_latest_of_each_type(world: World) -> None:
    """What a stream opens with is what was said last of each type, and no more."""
    for operation in ("b1", "b2", "w1", "a1"):
        world.append(operation, "progress", "status", "warning", "error")
    world.begin(1, "b1", attempt=2)
    world.append("b1", "progress", author=1)
    world.end(1, "b1", "failed")
    world.send(1)
    requests = [EVERYTHING, B1, BOTH, OWN, Request(("workflows:w1",)), Request(("agents:*",))]
    requests += [Request(types=frozenset({"progress", "error"})), Request(kinds=frozenset({"agent"}))]
    for request in requests:
        for web in (BEHIND, AHEAD):
            world.open(PARKED, web, request)
    assert_kept(world)


@pytest.mark.parametrize("name", ["op:b1", "i:*", "i:workflows:w1"])
def test_a_state_that_was_lost_is_not_made_up(world: World, name: str) -> None:
    """What an eviction took is not shown until it is said again; what is shown is right."""
    world.append("b1", "progress", "status", "warning")
    world.evict(name)
    for _ in range(2):
        for request in (EVERYTHING, B1, Request(("workflows:w1",))):
            world.open(PARKED, BEHIND, request)
        world.append("b1", "progress", "status")
    assert_kept(world)


@pytest.mark.parametrize("woken", [(), (True, True, True), (False,), (False, True, False)])
def test_wake_ups_carry_no_truth(world: World, woken: tuple[bool, ...]) -> None:
    """Lost, doubled or late wake-ups change nothing but when something comes."""
    for client in (PARKED, SLOW, WAITING):
        world.open(client, BEHIND, EVERYTHING)
    for _ in range(3):
        world.append("b1", "progress", "warning")
        for each in woken:
            world.look(BEHIND, woken=each)
    assert_kept(world)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_feed_that_loses_redis_in_the_middle_goes_on_from_there(world: World, call: int) -> None:
    """A read that fails between two pages, or before the era is asked for, costs nobody an event."""
    for client in (PARKED, WAITING):
        world.open(client, BEHIND, EVERYTHING)
    world.append("b1", *["warning"] * 6)
    world.restart()
    world.append("b1", "warning")
    world.interrupt(BEHIND, call, "fail")
    world.look(BEHIND)
    world.open(PARKED, BEHIND, EVERYTHING)
    world.look(BEHIND)
    assert_kept(world)


@pytest.mark.parametrize("client", [PARKED, SLOW, WAITING])
def test_another_history_while_a_stream_opens_is_noticed(world: World, client: int) -> None:
    """A stream whose opening was read in another life than its hub is in by then does not go live."""
    world.append("b1", "progress")
    world.look_all()
    world.ask(client, BEHIND, EVERYTHING)
    world.flush()
    world.step_clock(-100_000)
    world.append("b1", "warning", "warning")
    world.look(BEHIND)
    world.begin_stream(client)
    world.append("b1", "warning")
    world.look(BEHIND)
    assert_kept(world)
