"""The files that were uploaded, verified and kept, for the kinds that work on them.

Beside the flow: the upload's own task keeps a file here under the upload's id, and what works on it opens it
by that id. A file is here whole or not at all: what is said of it is written last.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, cast

from msgspec import DecodeError, Struct, ValidationError, json

from tidings import StorageUnavailable
from tidings.process import this_process
from tidings.topics import check_identifier

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FOLDER: Final = "uploads"


class About(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of an uploaded file. ``name`` is the sender's word and no path of ours."""

    name: str
    bytes: int
    sha256: str
    media_type: str


class Uploaded(NamedTuple):
    """An uploaded file, and its bytes from the first on."""

    about: About
    file: BinaryIO


def keep(upload_id: str, content: Path, about: About) -> None:
    """Keep *content* as the upload's file. Waits for the disk or the network.

    Raises: InvalidValue, StorageUnavailable.
    """
    storage, folder = this_process().storage, _folder(upload_id)
    storage.write(f"{folder}/content", content)
    storage.write(f"{folder}/about.json", json.encode(about))


def open_upload(upload_id: str) -> Uploaded:
    """Open an upload's file to be read once, in pieces as they are asked for. Waits.

    For text wrap the file: ``io.TextIOWrapper(opened.file, "utf-8-sig", newline="")``.
    Raises: FileNotFoundError if there is none (any more), InvalidValue for an id that is none,
    StorageUnavailable, at any read too.
    """
    storage, folder = this_process().storage, _folder(upload_id)
    said = b"".join(storage.read(f"{folder}/about.json"))
    try:
        about = json.decode(said, type=About)
    except (DecodeError, ValidationError) as error:
        raise StorageUnavailable(f"{folder}/about.json: {error}") from error
    pieces = _Pieces(storage.read(f"{folder}/content"))
    return Uploaded(about, cast("BinaryIO", io.BufferedReader(pieces)))


def delete_older(keep_s: float) -> int:
    """Delete what was kept longer ago; say how many files. Waits. Raises: StorageUnavailable."""
    process = this_process()
    return process.storage.delete_older(f"{process.settings.namespace}/{FOLDER}", keep_s)


def _folder(upload_id: str) -> str:
    name = check_identifier("upload", upload_id)
    return f"{this_process().settings.namespace}/{FOLDER}/of-{name}"  # an id may be ``..``


class _Pieces(io.RawIOBase):
    """Pieces as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        room = memoryview(buffer)
        taken = min(len(room), len(self._rest))
        room[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken
