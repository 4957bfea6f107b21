"""Set-up: the Redis that REDIS_URL names: somebody else's, so it is only asked whether it answers.

Takes the URL, gives it on unchanged, or one error. Guarantee: no text that leaves here holds the URL's
password, however the URL is spelled: only what redis-py understood as host, port or path is shown, and
nothing of a URL that it does not understand.
"""

from threading import Thread
from typing import Self

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dev.errors import SetUpError
from tidings.address import Address, SentinelPool
from tidings.errors import InvalidValue

ANSWER_S = 3.0
"""A server in reach answers in milliseconds, across an ocean in half a second; a person waits. Guessed."""

NOT_A_URL = (
    "REDIS_URL is not a Redis URL: redis://[user:password@]host:port/0, rediss://…, unix:///path "
    "or sentinel://host:26379;sentinel://host2:26379/0?master_name=mymaster"
)


class GivenRedis:
    """A server of somebody else, checked when its block is entered; leaving the block changes nothing."""

    alive = True
    """Not ours to watch: the service notices an outage and says so in ``/readyz``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> Self:
        check_answers(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        pass


def check_answers(url: str) -> None:
    """Send PING to the server at *url* and wait up to 3 s, name resolution included.

    Raises: SetUpError that says where it looked and what it met, without the password.
    """
    client = client_for(url)
    ping = Ping(client)
    ping.wait(ANSWER_S)
    if ping.problem:
        raise SetUpError(f"REDIS_URL: {place_of(client)} {ping.problem}")


def client_for(url: str) -> Redis:
    """Return a client for *url* that gives up at once.

    Raises: SetUpError, showing nothing of the URL, if redis-py does not understand it.
    """
    try:
        return Address.parse(url).client(ANSWER_S)
    except (InvalidValue, TypeError):
        raise SetUpError(NOT_A_URL) from None  # deliberate: the cause quotes pieces of the URL


def place_of(client: Redis) -> str:
    """Return where *client* connects to: ``host:port``, a socket's path, or a name that Sentinels know."""
    if isinstance(client.connection_pool, SentinelPool):
        return f"the primary {client.connection_pool.service_name!r} of the Sentinels"
    arguments = client.connection_pool.connection_kwargs
    if "path" in arguments:
        return str(arguments["path"])
    return f"{arguments.get('host', 'localhost')}:{arguments.get('port', 6379)}"


class Ping:
    """What comes of one PING, sent in a daemon thread: resolving a name has no timeout of its own."""

    def __init__(self, client: Redis) -> None:
        self.problem = f"gave no answer within {ANSWER_S:.0f} s"
        self._client = client
        self._thread = Thread(target=self._send, daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait up to *timeout_s* seconds; *problem* is empty then if the server has answered."""
        self._thread.join(timeout_s)

    def _send(self) -> None:
        try:
            self._client.ping()
        except RedisTimeoutError:
            return
        except AuthenticationError:
            self.problem = "refuses the URL's user name or password"
        except (RedisError, OSError, ValueError, TypeError) as error:  # the last two: a bad option in the URL
            self.problem = f"cannot be used ({reason_of(error)})"
        else:
            self.problem = ""


def reason_of(error: Exception) -> str:
    """Return the operating system's words for *error*, if any, else its class: never a server's text."""
    cause = error.__cause__ or error.__context__ or error
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else type(error).__name__
