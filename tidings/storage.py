"""Where the files lie that operations make or take in: a folder, or an S3 bucket.

Beside the flow: takes paths such as ``results/<operation>/<name>`` and bytes, gives bytes. Knows nothing of
operations. Every call waits for the disk or the network; under gevent, call it from a real thread.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from tidings.errors import InvalidValue, StorageUnavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHUNK_BYTES: Final = 262_144
_lock = threading.Lock()
_first_used_by = 0


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file: its path, its size, and when it was written."""

    path: str
    size: int
    written_at: datetime


class Storage:
    """The files of one place. Shared by all threads of a process."""

    def __init__(self, place: str) -> None:
        """Take a folder's path, which is made when something is first written, or ``s3://bucket/prefix``.

        A bucket's region, keys and endpoint come from the usual ``AWS_…`` variables.
        """
        self._place = place
        self._opened: ObjectStore | None = None

    def write(self, path: str, content: bytes | Path | BinaryIO) -> StoredFile:
        """Write a whole file, in place of one that had its path; nobody sees half of it.

        Raises: StorageUnavailable, InvalidValue for a path that leaves the place.
        """
        with _translated(path):
            self._store.put(path, content)
        return self.about(path)

    def about(self, path: str) -> StoredFile:
        """Say what there is at *path*. Raises: FileNotFoundError, StorageUnavailable."""
        with _translated(path):
            meta = self._store.head(path)
        return StoredFile(path, meta["size"], meta["last_modified"])

    def read(self, path: str) -> Iterator[bytes]:
        """Give a file in pieces. Raises: FileNotFoundError at once; StorageUnavailable at any piece."""
        with _translated(path):
            found = self._store.get(path)
        return _pieces(path, iter(found.stream(min_chunk_size=CHUNK_BYTES)))

    def list(self, folder: str) -> Iterator[StoredFile]:
        """List what is below *folder*; none if there is no such. Raises: StorageUnavailable."""
        with _translated(folder):
            for page in self._store.list(folder):
                for meta in page:
                    yield StoredFile(meta["path"], meta["size"], meta["last_modified"])

    def delete(self, path: str) -> None:
        """Delete a file, if there is one. Raises: StorageUnavailable."""
        try:
            with _translated(path):
                self._store.delete(path)
        except FileNotFoundError:
            return

    def delete_older(self, folder: str, keep_s: float) -> int:
        """Delete what was written below *folder* more than *keep_s* seconds ago; say how many files."""
        now = datetime.now(UTC)
        old = [file for file in self.list(folder) if (now - file.written_at).total_seconds() > keep_s]
        for file in old:
            self.delete(file.path)
        return len(old)

    @property
    def _store(self) -> "ObjectStore":
        """The library's own, opened when first used: by then a worker's process has been forked."""
        if self._opened is None:
            _see_that_nobody_forked_since()
            self._opened = _open(self._place)
        return self._opened


def _open(place: str) -> "ObjectStore":
    try:
        from obstore.store import LocalStore, S3Store  # noqa: PLC0415 - an extra, and of no use before a fork
    except ImportError as error:
        raise StorageUnavailable("pip install 'tidings[storage]' first") from error
    if not place.startswith("s3://"):
        return LocalStore(Path(place).absolute(), mkdir=True)
    return S3Store.from_url(place)


def _see_that_nobody_forked_since() -> None:
    """Refuse what would hang: the library's threads do not come along into a forked process."""
    global _first_used_by  # noqa: PLW0603 - one runtime per process is the library's
    with _lock:
        _first_used_by = _first_used_by or os.getpid()
        if _first_used_by != os.getpid():
            raise StorageUnavailable("files were read or written before this process was forked")


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Translate the library's errors; it puts pages of debugging behind a first line that says enough."""
    from obstore.exceptions import BaseError, NotFoundError  # noqa: PLC0415 - as above

    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise FileNotFoundError(path) from error
    except ValueError as error:
        raise InvalidValue("path", "one below its place, without empty parts", path) from error
    except (BaseError, OSError) as error:
        raise StorageUnavailable(f"{path}: {str(error).splitlines()[0]}") from error


def _pieces(path: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with _translated(path):
            piece = next(pieces, None)
        if piece is None:
            return
        yield bytes(piece)
