"""The head of a request as plain browsers send it, read out of its bytes.

Takes what a socket had, gives a GET without a body; None for whatever is not plainly that, which is
left to the server's own parser. It only ever says yes: whatever could be read in two ways is not plain.
Pure. Source of the grammar: RFC 9112, 2 to 5; RFC 9110, 5.
"""

import re
from typing import Final, NamedTuple

MAX_BYTES: Final = 8_192
"""A longer head is left to the server's parser: a browser's has some 500 bytes, and cookies."""

_HEAD: Final = re.compile(
    rb"GET (/[!$&-~]*) HTTP/1\.([01])\r\n"  # no fragment, nothing encoded, nothing quoted
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n"
)
_NOT_PLAIN: Final = frozenset({"content-length", "transfer-encoding", "expect", "upgrade"})


class Head(NamedTuple):
    """A GET. ``headers`` by their names in lower case, each of which came once."""

    path: str
    query: bytes
    is_http_1_1: bool
    headers: dict[str, str]


def read_head(said: bytes) -> Head | None:
    """Read *said*, all that has come; None unless it is one plain GET, whole, with nothing behind it."""
    found = _HEAD.fullmatch(said)
    if found is None:
        return None
    target, minor, lines = found.groups()
    headers: dict[str, str] = {}
    for line in lines.decode("latin-1").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in headers:
            return None
        headers[name] = value.strip(" \t")
    if not _NOT_PLAIN.isdisjoint(headers) or "host" not in headers:
        return None
    path, _, query = target.partition(b"?")
    return Head(path.decode("ascii"), query, minor == b"1", headers)
