"""Tests: requests of tus 1.0 as a client may get them wrong, beside the clients that get them right."""

import http.client
import json
import socket
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

CHUNK = {"Content-Type": "application/offset+octet-stream"}


class Answer(NamedTuple):
    """One whole answer: status, header fields by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def offset(self) -> int:
        """What it says is there."""
        return int(self.headers["upload-offset"])


def ask(method: str, url: str, body: bytes | Iterable[bytes] | None = None, **headers: str) -> Answer:
    """Send a request with ``Tus-Resumable`` and *headers*; one that is empty is left out."""
    target = urlsplit(url)
    fields = {"Tus-Resumable": "1.0.0"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(target.netloc, timeout=30)
    try:
        connection.request(
            method, target.path, body, {name: value for name, value in fields.items() if value},
            encode_chunked=not isinstance(body, bytes | None),
        )  # fmt: skip
        response = connection.getresponse()
        said = response.read()
    finally:
        connection.close()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, said)


def metadata(**said: object) -> str:
    """Write ``Upload-Metadata``; what is no text is written as JSON first."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in said.items()}
    return ",".join(f"{key} {b64encode(text.encode()).decode()}" for key, text in texts.items())


def create(service: str, length: int, **said: object) -> str:
    """Begin an upload; give its URL."""
    answer = ask(
        "POST", f"{service}/api/uploads", Upload_Length=str(length), Upload_Metadata=metadata(**said)
    )
    assert answer.status == 201, answer
    return service + answer.headers["location"]


def patch(url: str, offset: int, chunk: bytes, **headers: str) -> Answer:
    """Send a chunk."""
    return ask("PATCH", url, chunk, **CHUNK | {"Upload-Offset": str(offset)} | headers)


@contextmanager
def begun(url: str, offset: int, length: int, part: bytes, **headers: str) -> Iterator[socket.socket]:
    """Begin to send a chunk of *length* bytes; the rest of it, and hearing the answer, is the caller's."""
    target = urlsplit(url)
    head = (
        f"PATCH {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nTus-Resumable: 1.0.0\r\n"
        f"Content-Type: {CHUNK['Content-Type']}\r\nUpload-Offset: {offset}\r\n"
        f"Content-Length: {length}\r\n"
    )
    with socket.create_connection((target.hostname, target.port), timeout=30) as connection:
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"{head}{more}\r\n".encode() + part)
        yield connection


def status_of(connection: socket.socket) -> int:
    """Hear the status of the answer to what was sent."""
    return int(connection.recv(4_096).split(b" ")[1])


def id_of(url: str) -> str:
    """Give the id of an upload, which is its operation's."""
    return url.rpartition("/")[2]
