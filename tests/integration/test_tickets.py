"""Tickets and revocations, in Redis: each ticket once, and what is revoked in the order in which it was."""

import time

import pytest
from celery import Celery

import tidings.celery
from dev.redis_server import RedisServer
from tidings.address import Address
from tidings.errors import InvalidValue
from tidings.log import Log
from tidings.process import configure
from tidings.settings import Settings
from tidings.tickets import STREAM_S, TICKET_S, Tickets
from tidings.tokens import revoke
from webapp.access import Grant
from webapp.revoked import FROM_THE_BEGINNING, Revoked


@pytest.fixture
def process(settings: Settings) -> Settings:
    """Have this process report into the test's log."""
    return configure(settings).settings


def test_a_ticket_is_good_once(log: Log) -> None:
    """It gives what it was made for, to the first who shows it, and expires by itself."""
    tickets = Tickets(log)
    ticket = tickets.issue(["operations:a", "workflows:w"], "ann")
    assert 0 < int(log.redis.ttl(log.key(f"ticket:{ticket}"))) <= TICKET_S
    claims = tickets.take(ticket)
    assert claims is not None
    assert (claims.sub, claims.topics, claims.start, claims.cancel) == (
        "ann", ("operations:a", "workflows:w"), (), (),
    )  # fmt: skip
    assert 0 < claims.exp - time.time() <= STREAM_S
    assert tickets.take(ticket) is None
    assert tickets.issue(["operations:a"]) != tickets.issue(["operations:a"])


def test_a_ticket_is_good_no_longer_than_the_token_it_was_made_by(log: Log) -> None:
    """It carries that token's id, age and end."""
    tickets = Tickets(log)
    assert tickets.take(tickets.issue(["operations:a"], "ann", "id", 5, time.time() - 1)) is None
    claims = tickets.take(tickets.issue(["operations:a"], "ann", "id", 5, time.time() + 60))
    assert claims is not None
    assert (claims.jti, claims.iat) == ("id", 5)


@pytest.mark.parametrize("said", [b"", b"x", b"{}", b'{"sub":"ann","topics":"*"}', b"\xff"])
def test_what_somebody_else_wrote_is_no_ticket(log: Log, said: bytes) -> None:
    """It opens nothing, and raises nothing."""
    log.issue("t" * 43, said, 30)
    assert Tickets(log).take("t" * 43) is None


@pytest.mark.parametrize("ticket", ["", "x", "x" * 42, "x" * 44, "é" * 43, "*" * 43, "x" * 42 + "\n"])
def test_what_is_no_ticket_is_not_looked_up(ticket: str) -> None:
    """Nobody asks Redis for it."""
    nowhere = Log(Settings(redis_url="redis://127.0.0.1:1"))
    assert Tickets(nowhere).take(ticket) is None


def test_who_dispatches_gets_a_ticket_to_hand_on(process: Settings, log: Log, own_redis: RedisServer) -> None:
    """It is for what was dispatched, in the name of its owner."""
    app = Celery("test", broker=Address.parse(own_redis.url).broker_url)
    started = tidings.celery.dispatch(app, "work", {}, kind="workflow", owner="ann")
    claims = Tickets(log).take(started.ticket())
    assert claims is not None
    assert (claims.sub, claims.topics) == ("ann", (f"operations:{started.id}", f"workflows:{started.id}"))
    nobodys = Tickets(log).take(tidings.celery.dispatch(app, "work", {}, kind="batch").ticket())
    assert nobodys is not None
    assert nobodys.sub == "anonymous"
    app.close()


def test_a_revocation_is_of_a_token_or_of_all_until_then(process: Settings, log: Log) -> None:
    """What is issued later is good; who reads again from the beginning finds the same."""
    news: list[int] = []
    revoked = Revoked(log, lambda: news.append(1))
    assert revoked.look(FROM_THE_BEGINNING) == FROM_THE_BEGINNING
    revoke(token_id="stolen")  # noqa: S106 - an id
    revoke(subject="ann")
    last = revoked.look(FROM_THE_BEGINNING)
    now = time.time()
    assert revoked.look(last) == last
    assert len(news) == 1
    for _ in range(2):
        assert revoked.covers(Grant("bob", "stolen", now))
        assert not revoked.has(Grant("bob", "other", now))
        assert revoked.has(Grant("ann", "any", now - 1))
        assert not revoked.has(Grant("ann", "any", now + 1))
        assert not revoked.has(Grant("bob"))
        revoked.look(FROM_THE_BEGINNING)


@pytest.mark.parametrize("named", [{}, {"subject": ""}, {"subject": "ann", "token_id": "x"}])
def test_one_thing_is_revoked_at_a_time(named: dict[str, str]) -> None:
    """Nothing is revoked by mistake."""
    with pytest.raises(InvalidValue):
        revoke(**named)


def test_other_words_in_the_stream_revoke_nothing(log: Log) -> None:
    """What somebody else wrote there is passed over."""
    log.redis.xadd(log.key("revoked"), {b"\xff": b"\xfe", b"all": b"yes"})
    revoked = Revoked(log, lambda: None)
    revoked.look(FROM_THE_BEGINNING)
    assert not revoked.covers(Grant("ann"))
