"""Where Redis is: what the URL says to redis-py and to kombu, and what is refused without being quoted."""

from typing import Any

import pytest

from tidings.address import Address, SentinelPool
from tidings.errors import InvalidValue

OTHER = "0ther"
TWO = "sentinel://:s3cr%65t@one:26379;sentinel://two/3?master_name=the-log&sentinel_password=0ther"


def arguments(url: str) -> dict[str, Any]:
    """Give what each connection to *url* is made with."""
    given: dict[str, Any] = Address.parse(url).pool(connections=1, timeout_s=2.0).connection_kwargs
    return given


def test_sentinels_are_named_as_celery_names_them() -> None:
    """Each by its URL, separated by semicolons; who says nothing of the port means Sentinel's."""
    address = Address.parse(TWO)
    assert address.sentinels == (("one", 26_379), ("two", 26_379))
    assert address.master == "the-log"
    assert address.database == 3
    assert Address.parse("sentinel://[::1]:5").sentinels == (("::1", 5),)
    assert Address.parse("sentinel://one").master == "mymaster"


def test_one_connection_is_made_as_the_url_says() -> None:
    """Login and database are the primary's; the Sentinels have a password of their own."""
    pool = Address.parse(TWO).pool(connections=1, timeout_s=2.0)
    assert isinstance(pool, SentinelPool)
    assert pool.service_name == "the-log"
    assert (pool.connection_kwargs["password"], pool.connection_kwargs["db"]) == ("s3cret", 3)
    assert "username" not in pool.connection_kwargs
    for sentinel in pool.sentinel_manager.sentinels:
        assert sentinel.connection_pool.connection_kwargs["password"] == OTHER


def test_kombu_is_told_the_same() -> None:
    """The name of the primary travels beside the URL, and everything else in each of its parts."""
    address = Address.parse(TWO)
    assert address.broker_url == "sentinel://:s3cret@one:26379/3;sentinel://:s3cret@two:26379/3"
    assert address.broker_options["master_name"] == "the-log"
    assert address.broker_options["sentinel_kwargs"]["password"] == OTHER
    assert address.broker_options["sentinel_kwargs"]["retry"].get_retries() == 0
    assert Address.parse("sentinel://[::1]:5").broker_url == "sentinel://[::1]:5/0"
    assert Address.parse("redis://h:1/0").broker_options == {}


@pytest.mark.parametrize("url", ["redis://h:1/2?socket_timeout=60&max_connections=9", "unix:///a.sock", TWO])
def test_deadlines_are_ours_whatever_the_url_says(url: str) -> None:
    """How soon an outage is noticed is promised, and an append is never repeated behind our back."""
    given = arguments(url)
    assert given["socket_timeout"] == 2.0
    assert given["socket_connect_timeout"] <= 1.0
    assert given["retry"].get_retries() == 0


class Connected:
    """A connection to *host*, as far as a pool looks at it when it takes it back."""

    def __init__(self, pool: SentinelPool, host: str) -> None:
        self.host, self.port, self.pid = host, 6379, pool.pid
        self.is_connected = True

    def disconnect(self) -> None:
        """Close it."""
        self.is_connected = False


def test_a_connection_to_a_former_primary_is_closed_and_kept() -> None:
    """It asks the Sentinels when it is used again; one to the primary stays as it is."""
    pool = Address.parse(TWO).pool(connections=1, timeout_s=2.0)
    assert isinstance(pool, SentinelPool)
    pool.proxy.master_address = ("new", 6379)
    former, current = Connected(pool, "old"), Connected(pool, "new")
    assert pool.owns_connection(former)
    assert pool.owns_connection(current)
    assert not former.is_connected
    assert current.is_connected


def test_certificates_may_be_spelled_as_celery_does() -> None:
    """One URL serves the broker and the log; redis-py knows only its own words."""
    assert arguments("rediss://h:1/0?ssl_cert_reqs=CERT_NONE")["ssl_cert_reqs"] == "none"
    assert arguments("rediss://h:1/0?ssl_cert_reqs=required")["ssl_cert_reqs"] == "required"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@h:port",
        "redis://:s3cret@h:1/0?socket_timeout=s3cret",
        "http://:s3cret@h",
        "sentinel://",
        "sentinel://:s3cret@",
        "sentinel://:s3cret@one:port",
        "sentinel://:s3cret@one;redis://two",
        "sentinel://:s3cret@one/zero",
        "sentinel://:s3cret@one?master=s3cret",
    ],
)
def test_what_is_no_address_is_refused_and_not_quoted(url: str) -> None:
    """Neither the error nor what it came from shows a password."""
    with pytest.raises(InvalidValue, match="REDIS_URL must be") as caught:
        Address.parse(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_address_can_be_logged() -> None:
    """Passwords are not in what is printed of it."""
    shown = repr(Address.parse(TWO))
    assert "s3c" not in shown
    assert "0ther" not in shown
    assert "one" in shown
