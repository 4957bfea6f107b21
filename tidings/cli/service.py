"""A running service, asked over HTTP/1.1 by the standard library alone.

Takes paths, gives JSON, or one of two errors: it cannot be reached, or it refused. Each question has a
connection of its own; streams are `tidings.cli.stream`.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from msgspec import DecodeError, json

from tidings.cli.exits import Refused, Unreachable
from tidings.errors import InvalidValue

TIMEOUT_S: Final = 10.0
"""For each step of an answer: three times what the service itself waits for Redis."""


class Service:
    """The service at *url*, for anybody who may use *token*. Any thread may call it."""

    def __init__(self, url: str, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        """Describe a service. Raises: InvalidValue for a URL that is none."""
        self.url = url.rstrip("/")
        self._parts = urlsplit(self.url)
        try:
            self.port = self._parts.port
        except ValueError:
            self.port = 0
        if self._parts.scheme not in {"http", "https"} or not self._parts.hostname or self.port == 0:
            raise InvalidValue("url", "http:// or https:// and where the service is", url)
        self.host = self._parts.hostname
        self._token = token
        self._timeout_s = timeout_s

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Ask for *path* and give the JSON of the answer. Raises: Unreachable, Refused."""
        return self._exchange("GET", target(path, query or {}))

    def post(self, path: str, body: object) -> Any:
        """Send *body* as JSON and give that of the answer. Raises: Unreachable, Refused."""
        return self._exchange("POST", path, json.encode(body), {"Content-Type": "application/json"})

    def operation(self, operation_id: str) -> Any:
        """Give ``{operation, lastEventId}``. Raises: Unreachable, Refused."""
        return self.get(f"/api/operations/{quote(operation_id, safe='')}")

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[HTTPResponse]:
        """Send a request and give the answer once its head is there, whatever its status.

        Raises: Unreachable, also for what is met while the block reads.
        """
        connection = self.connect(self._timeout_s if timeout_s is None else timeout_s)
        try:
            self.send(connection, method, path, body, headers or {})
            with connection.getresponse() as response:
                yield response
        except (OSError, HTTPException) as error:
            raise Unreachable(self.url, reason_of(error)) from error
        finally:
            connection.close()

    def connect(self, timeout_s: float) -> HTTPConnection:
        """Connect; each further step waits up to *timeout_s*. Raises: Unreachable."""
        if self._parts.scheme == "https":
            tls = ssl.create_default_context()
            made: HTTPConnection = HTTPSConnection(self.host, self.port, timeout=timeout_s, context=tls)
        else:
            made = HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            made.connect()
        except OSError as error:
            made.close()
            raise Unreachable(self.url, reason_of(error)) from error
        return made

    def send(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> None:
        """Send a request on *connection*. Raises: OSError, HTTPException."""
        authorization = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        connection.request(method, self._parts.path + path, body, {**headers, **authorization})

    def _exchange(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        with self.open(method, path, body, headers) as response:
            status, content = response.status, response.read()
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's
            raise Refused(status, _problem(content))
        try:
            return json.decode(content)
        except (DecodeError, UnicodeDecodeError) as error:
            raise Unreachable(self.url, "what answers there is not Tidings") from error


def target(path: str, query: Mapping[str, object]) -> str:
    """Put *path* and those of the *query* that are not empty together."""
    asked = urlencode({name: value for name, value in query.items() if value != ""}, safe=",:*")
    return f"{path}?{asked}" if asked else path


def reason_of(error: Exception) -> str:
    """Say what went wrong in a few words."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case OSError(strerror=str() as text) if text:
            return text
        case _:
            return str(error) or type(error).__name__


def _problem(content: bytes) -> dict[str, Any]:
    try:
        found = json.decode(content)
    except (DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
