"""Where Redis is, as REDIS_URL says it: one server, or the Sentinels that know which one is the primary.

Takes the URL, gives redis-py its pool of connections, and kombu the same place in its own
spelling. What Celery and redis-py take is taken here: ``redis://``, ``rediss://``, ``unix://``, and
``sentinel://host;sentinel://host2/0``. Connects to nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from tidings.errors import InvalidValue

CONNECT_S: Final = 1.0
"""For a server to accept: one SYN's time. A cable that is whole again is found by the next try."""
SENTINEL_S: Final = 0.5
"""For one Sentinel to accept, and to answer: some may be gone, and they are asked one after the other."""
SENTINEL_PORT: Final = 26_379
"""Where Sentinels listen unless told otherwise. Source: sentinel.conf."""
DEFAULT_MASTER: Final = "mymaster"
"""What sentinel.conf calls the primary."""
_FORMS: Final = "redis://, rediss://, unix:// or sentinel:// and where Redis is"
_SENTINEL_FORM: Final = "sentinel://host:26379;sentinel://host2:26379/0?master_name=mymaster"
_SENTINEL_OPTIONS: Final = frozenset({"master_name", "sentinel_username", "sentinel_password"})


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the server that the Sentinels call the primary; they are asked whenever one is made."""

    def owns_connection(self, connection: Any) -> bool:
        """Take every connection of this process back; one to a former primary is closed first.

        As redis-py has it such a connection is dropped, and another one made: its list of all that
        were ever made would grow with each try for as long as an outage lasts.
        """
        if (connection.host, connection.port) != self.master_address:
            connection.disconnect()
        return bool(BlockingConnectionPool.owns_connection(self, connection))

    def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - as redis-py has it
        """Close those that are idle, or all: then also the ones on which the Sentinels were asked."""
        super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                sentinel.connection_pool.disconnect()


@dataclass(frozen=True, kw_only=True)
class Address:
    """One Redis, or the Sentinels in front of several. Holds passwords, and shows none."""

    url: str = field(repr=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    login: tuple[str, str] = field(default=("", ""), repr=False)
    database: int = 0
    sentinel_login: tuple[str, str] = field(default=("", ""), repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read REDIS_URL. Raises: InvalidValue, which quotes nothing of it."""
        if url.startswith("sentinel://"):
            return cls._of_sentinels(url)
        # Celery's documents write CERT_NONE where redis-py understands none.
        for word in ("NONE", "OPTIONAL", "REQUIRED"):
            url = url.replace(f"ssl_cert_reqs=CERT_{word}", f"ssl_cert_reqs={word.lower()}")
        try:
            parse_url(url)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError):
            raise InvalidValue("REDIS_URL", _FORMS) from None  # deliberate: the cause quotes the URL
        return cls(url=url)

    @classmethod
    def _of_sentinels(cls, url: str) -> Self:
        try:
            parts = [urlsplit(piece) for piece in url.split(";")]
            options = dict(parse_qsl(parts[-1].query))
            _check(parts, options)
            return cls(
                url=url,
                sentinels=tuple((_host(part), part.port or SENTINEL_PORT) for part in parts),
                master=options.get("master_name", DEFAULT_MASTER),
                login=next((login for login in map(_login, parts) if any(login)), ("", "")),
                database=next((int(part.path[1:]) for part in parts if part.path[1:]), 0),
                sentinel_login=(options.get("sentinel_username", ""), options.get("sentinel_password", "")),
            )
        except ValueError:
            raise InvalidValue("REDIS_URL", f"of the form {_SENTINEL_FORM}") from None  # as above

    def pool(
        self,
        *,
        connections: int,
        timeout_s: float,
        greet: Callable[[Any], None] | None = None,
    ) -> BlockingConnectionPool:
        """Make a pool of at most *connections*; each waits up to *timeout_s* for any answer.

        *greet* is called with each connection that is made, before anything else is sent on it.
        """
        ours: dict[str, Any] = {
            "max_connections": connections,
            "timeout": timeout_s,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": min(CONNECT_S, timeout_s),
            # An append whose reply is lost is repeated with its numbers, by its reporter only:
            # redis-py's own ten retries would store it again under new ids (PITFALLS 0.1).
            "retry": Retry(NoBackoff(), 0),
            "redis_connect_func": greet,
            "protocol": 2,
        }
        if not self.sentinels:
            given: dict[str, Any] = parse_url(self.url)  # type: ignore[no-untyped-call]
            return BlockingConnectionPool(**given | ours)  # type: ignore[no-untyped-call]
        ours |= {"db": self.database} | _credentials(*self.login)
        return SentinelPool(self.master, self._sentinel(), **ours)  # type: ignore[no-untyped-call]

    def client(self, timeout_s: float) -> Redis:
        """Make a client of its own with one connection, for a question or two."""
        return Redis(connection_pool=self.pool(connections=1, timeout_s=timeout_s))

    @property
    def broker_url(self) -> str:
        """The same Redis as kombu spells it."""
        if self.sentinels:
            login = f"{quote(self.login[0], '')}:{quote(self.login[1], '')}@" if any(self.login) else ""
            return ";".join(
                f"sentinel://{login}{_bracketed(host)}:{port}/{self.database}"
                for host, port in self.sentinels
            )
        if self.url.startswith("rediss://") and "ssl_cert_reqs=" not in self.url:
            # Without it kombu would take any certificate, and say so in a warning only.
            return f"{self.url}{'&' if '?' in self.url else '?'}ssl_cert_reqs=required"
        return self.url.replace("unix://", "redis+socket://", 1)

    @property
    def broker_options(self) -> dict[str, Any]:
        """What kombu must be told beside the URL, as Celery's ``broker_transport_options``."""
        if not self.sentinels:
            return {}
        return {"master_name": self.master, "sentinel_kwargs": self._sentinel_arguments()}

    def _sentinel(self) -> Sentinel:
        return Sentinel(  # type: ignore[no-untyped-call]
            self.sentinels, sentinel_kwargs=self._sentinel_arguments()
        )

    def _sentinel_arguments(self) -> dict[str, Any]:
        once: dict[str, Any] = {
            "socket_timeout": SENTINEL_S,
            "socket_connect_timeout": SENTINEL_S,
            # redis-py's ten retries would spend 4 s on each that is gone, at each connection that is made.
            "retry": Retry(NoBackoff(), 0),
        }
        return once | _credentials(*self.sentinel_login)


def _check(parts: list[SplitResult], options: dict[str, str]) -> None:
    if any(part.scheme != "sentinel" for part in parts):
        raise ValueError("not all of them are Sentinels")
    if not set(options) <= _SENTINEL_OPTIONS:
        raise ValueError("an option that we do not know")


def _host(part: SplitResult) -> str:
    if not part.hostname:
        raise ValueError("no host")
    return unquote(part.hostname)


def _login(part: SplitResult) -> tuple[str, str]:
    return unquote(part.username or ""), unquote(part.password or "")


def _credentials(username: str, password: str) -> dict[str, str]:
    """Give redis-py's arguments for a login: only what there is."""
    said = {"username": username, "password": password}
    return {name: value for name, value in said.items() if value}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
