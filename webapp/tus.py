"""What tus 1.0 says in headers, read into values, and the refusals that it has words for. Pure.

Source: https://tus.io/protocols/resumable-upload (1.0.0): the core, creation, creation-with-upload, checksum,
expiration, termination.
"""

import hashlib
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Final, NamedTuple, Protocol

from tidings.errors import InvalidValue

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,checksum,expiration,termination"
CHUNK_TYPE: Final = "application/offset+octet-stream"
ALGORITHMS: Final = ("sha1", "sha256")
REQUEST_HEADERS: Final = (
    "Tus-Resumable", "Upload-Checksum", "Upload-Length", "Upload-Metadata", "Upload-Offset",
    "X-HTTP-Method-Override",
)  # fmt: skip
RESPONSE_HEADERS: Final = (
    "Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Resumable", "Tus-Version",
    "Upload-Expires", "Upload-Length", "Upload-Metadata", "Upload-Offset",
)  # fmt: skip
MAX_DIGITS: Final = 18
"""Enough for any file, and few enough for every language's integers."""


class Headers(Protocol):
    """A request's header fields, whatever the case of their names."""

    def get(self, key: str, /) -> str | None:
        """Give a field's value, None if it was not sent."""


class Refusal(Exception):
    """A request that the protocol answers by a status of its own."""

    def __init__(self, status: int, title: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Checksum(NamedTuple):
    """What a chunk must be: its *digest* by *algorithm*."""

    algorithm: str
    digest: bytes


def capabilities(max_bytes: int) -> dict[str, str]:
    """Give the headers that say what this server can do."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        "Tus-Max-Size": str(max_bytes),
    }


def check_version(headers: Headers) -> None:
    """Refuse another version of the protocol, or none. Raises: Refusal."""
    got = headers.get("Tus-Resumable")
    if got != VERSION:
        detail = (
            f"Tus-Resumable must be {VERSION}, not {got!r}" if got else f"Tus-Resumable: {VERSION} is missing"
        )
        raise Refusal(412, "Precondition Failed", detail, Tus_Version=VERSION)


def read_length(headers: Headers, max_bytes: int) -> int:
    """Read how long the upload will be. Raises: InvalidValue, Refusal if it is too long."""
    if headers.get("Upload-Defer-Length") is not None:
        raise InvalidValue("Upload-Defer-Length", "left out: this server wants the Upload-Length at once")
    length = _read_count(headers, "Upload-Length")
    if length > max_bytes:
        detail = f"an upload may have {max_bytes} bytes (Tus-Max-Size), not {length}"
        raise too_large(detail, Tus_Max_Size=str(max_bytes))
    return length


def read_offset(headers: Headers) -> int:
    """Read where a chunk belongs. Raises: InvalidValue."""
    return _read_count(headers, "Upload-Offset")


def check_chunk(headers: Headers, offset: int, length: int) -> None:
    """See that a chunk continues what is here, and not beyond its end. Raises: InvalidValue, Refusal."""
    if headers.get("Content-Type") != CHUNK_TYPE:
        raise Refusal(415, "Unsupported Media Type", f"Content-Type must be {CHUNK_TYPE}")
    asked = read_offset(headers)
    if asked != offset:
        raise Refusal(
            409, "Conflict", f"Upload-Offset must be {offset}, not {asked}", Upload_Offset=str(offset)
        )
    said = headers.get("Content-Length")
    if said and int(said) > length - offset:  # the server has read it as a number
        raise too_large(f"{length - offset} bytes are missing, and {said} were to come")


def read_checksum(headers: Headers) -> Checksum | None:
    """Read what a chunk must be, None if that is not said. Raises: InvalidValue."""
    said = headers.get("Upload-Checksum")
    if said is None:
        return None
    algorithm, _, encoded = said.partition(" ")
    if algorithm not in ALGORITHMS:
        raise InvalidValue("Upload-Checksum", f"by one of {', '.join(ALGORITHMS)}", algorithm)
    digest = _decode(encoded, "Upload-Checksum")
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise InvalidValue("Upload-Checksum", f"a whole {algorithm} digest in base64", encoded)
    return Checksum(algorithm, digest)


def read_metadata(said: str) -> dict[str, str]:
    """Read ``key base64,key base64,…`` into texts; what is no UTF-8 is refused, as are keys that come twice.

    Raises: InvalidValue naming ``Upload-Metadata.<key>``.
    """
    found: dict[str, str] = {}
    for pair in said.split(",") if said.strip() else ():
        key, _, encoded = pair.strip().partition(" ")
        field = f"Upload-Metadata.{key}"
        if not key or not key.isascii() or not key.isprintable():
            raise InvalidValue(
                "Upload-Metadata", "pairs of an ASCII key and a value in base64, by commas", pair
            )
        if key in found:
            raise InvalidValue(field, "given once")
        try:
            found[key] = _decode(encoded, field).decode()
        except UnicodeDecodeError as error:
            raise InvalidValue(field, "UTF-8 in base64") from error
    return found


def file_name(said: str) -> str:
    """Give the name of a file without its folders, whoever's separators they have; it is no path to anything.

    Raises: InvalidValue.
    """
    name = said.replace("\\", "/").rpartition("/")[2]
    if name in {"", ".", ".."}:
        return "upload"
    if len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise InvalidValue(
            "Upload-Metadata.filename", f"of at most {MAX_NAME_CHARS} printable characters", name
        )
    return name


MAX_NAME_CHARS: Final = 255
"""As most file systems have it."""


def too_large(detail: str, **headers: str) -> Refusal:
    """Refuse what is longer than may be."""
    return Refusal(413, "Content Too Large", detail, **headers)


def _read_count(headers: Headers, name: str) -> int:
    said = headers.get(name)
    allowed = "a whole number of bytes from 0 up"
    if said is None:
        raise InvalidValue(name, f"given: {allowed}")
    if not (said.isascii() and said.isdigit() and len(said) <= MAX_DIGITS):
        raise InvalidValue(name, allowed, said)
    return int(said)


def _decode(encoded: str, field: str) -> bytes:
    try:
        return b64decode(encoded, validate=True)
    except (Base64Error, ValueError) as error:
        raise InvalidValue(field, "in base64", encoded) from error
