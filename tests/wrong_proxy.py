"""A reverse proxy with a fault: what stands between a service and its readers, configured wrongly.

A real one: takes requests on a port of this machine, asks the service over HTTP, answers as its fault says.
"""

import socket
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Final

from tests.listener import Listener

_NOT_PASSED_ON: Final = frozenset({"connection", "transfer-encoding", "content-length", "host"})
PATIENCE_S: Final = 60.0


class WrongProxy(Listener):
    """In front of the service at *port*; leave the ``with`` to stop it.

    *fault*: ``none``, ``buffers``, ``compresses``, ``caches``, ``rewrites``, ``text``, ``http_1_0``,
    ``drops_header``, ``impatient`` (0.3 s behind the opening), ``swallows`` (all but the opening).
    """

    def __init__(self, port: int, fault: str) -> None:
        super().__init__()
        self._service_port = port
        self._fault = fault
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Answer one request, and close."""
        with client, suppress(OSError, HTTPException):
            line, *lines = _head(client).decode("latin-1").split("\r\n")
            headers = dict(each.split(": ", 1) for each in lines if ": " in each)
            if self._fault == "drops_header":
                headers.pop("Last-Event-ID", None)
            is_stream = "/stream" in line
            with closing(HTTPConnection("127.0.0.1", self._service_port, timeout=PATIENCE_S)) as service:
                method, path, _ = line.split(" ")
                service.request(method, path, headers=headers)
                self._answer(client, service.getresponse(), is_stream=is_stream)

    def _answer(self, client: socket.socket, response: HTTPResponse, *, is_stream: bool) -> None:
        fault = self._fault if is_stream else "none"
        chunked = fault != "http_1_0"
        pieces = _pieces(response, fault)
        if fault == "buffers":
            pieces = iter([b"".join(pieces)])  # with the head, when all is there: never, of a stream
        client.sendall(_answer_head(response, fault, chunked=chunked))
        for piece in pieces:
            client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if fault == "impatient" and b"heartbeat" in piece:
                client.settimeout(0.3)
                client.recv(1)  # nothing: it raises when there is no more patience
        if chunked:
            client.sendall(b"0\r\n\r\n")


def _head(client: socket.socket) -> bytes:
    said = b""
    while b"\r\n\r\n" not in said:
        piece = client.recv(65_536)
        if not piece:
            raise ConnectionError
        said += piece
    return said


def _answer_head(response: HTTPResponse, fault: str, *, chunked: bool) -> bytes:
    headers = {name: value for name, value in response.getheaders() if name.lower() not in _NOT_PASSED_ON} | {
        "Connection": "close"
    }
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    match fault:
        case "compresses":
            headers["Content-Encoding"] = "gzip"
        case "caches":
            headers["Age"] = "30"
        case "rewrites":
            headers["Cache-Control"] = "public, max-age=60"
        case "text":
            headers["Content-Type"] = "text/plain"
    version = "1.1" if chunked else "1.0"
    lines = [
        f"HTTP/{version} {response.status} {response.reason}",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _pieces(response: HTTPResponse, fault: str) -> Iterator[bytes]:
    """Give the body as it comes."""
    packer = zlib.compressobj(wbits=31)
    opened = False
    while piece := response.read1(65_536):
        if fault == "swallows" and opened:
            continue
        opened = opened or b"heartbeat" in piece
        yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) if fault == "compresses" else piece
