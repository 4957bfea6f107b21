"""Uploads on their way in: a folder that the web processes write and the upload's task reads.

Beside the flow. One folder per upload, named by its id, which is ours::

    note.json    what was said when it was created; written last, and so there is an upload
    content      the bytes so far: its size is the offset. Locked by who writes it. Gone when the task is done
    unverified   where the chunk begins that is being written and has a checksum: the rest does not count
    sent         the task was sent

Every call waits for the disk. What a process that is killed leaves behind is an upload that goes on from the
bytes that are there. It knows neither HTTP nor operations.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec import DecodeError, Struct, ValidationError, json

PLACE: Final = "var/uploads"
"""Where they come in if nothing else is said."""
ID: Final = re.compile(r"op_[0-9a-f]{32}", re.ASCII)
SYNC_S: Final = 0.5
"""Between two syncs to disk while a chunk comes in: what is reported is never more than has been synced."""


class UploadLocked(Exception):
    """Somebody else is writing it."""


class UploadGone(Exception):
    """It was deleted while it was written: cancelled."""


class ChunkTooLong(Exception):
    """More came than the upload is to have."""


class ThenNote(Struct, frozen=True, kw_only=True):
    """What is to be started with the file: an operation's id, its kind, and its task's arguments."""

    id: str
    kind: str
    kwargs: dict[str, Any]


class Note(Struct, frozen=True, kw_only=True):
    """What is known of an upload from the beginning.

    ``metadata`` is the client's own text, ``owner`` whose it is.
    """

    id: str
    length: int
    name: str
    sha256: str = ""
    then: ThenNote | None = None
    metadata: str = ""
    owner: str = ""


class Incoming:
    """The uploads of one namespace. Any thread or process may call it."""

    def __init__(self, place: str, namespace: str) -> None:
        self._folder = Path(place).absolute() / namespace

    def create(self, note: Note) -> "Upload":
        """Begin an upload. Raises: OSError."""
        folder = self._folder / note.id
        folder.mkdir(parents=True)
        (folder / "content").touch()
        draft = folder / "note.new"
        with draft.open("wb") as file:
            file.write(json.encode(note))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(folder / "note.json")
        return Upload(folder, note)

    def find(self, upload_id: str) -> "Upload":
        """Find an upload. Raises: FileNotFoundError, also for what is no id of ours."""
        if not ID.fullmatch(upload_id):
            raise FileNotFoundError(upload_id)
        folder = self._folder / upload_id
        try:
            return Upload(folder, json.decode((folder / "note.json").read_bytes(), type=Note))
        except (DecodeError, ValidationError) as error:
            raise FileNotFoundError(upload_id) from error

    def delete(self, upload_id: str) -> None:
        """Delete all of an upload, if there is one: whoever writes it notices."""
        if ID.fullmatch(upload_id):
            shutil.rmtree(self._folder / upload_id, ignore_errors=True)

    def untouched(self, for_s: float) -> list[str]:
        """List what nobody has written to for so long."""
        found = []
        for folder in self._folder.glob("op_*"):
            at = _touched_at(folder)
            if at is not None and at + for_s < time.time():
                found.append(folder.name)
        return found


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload as it lies on disk."""

    folder: Path
    note: Note

    @property
    def content(self) -> Path:
        """The bytes that have come so far."""
        return self.folder / "content"

    @property
    def offset(self) -> int:
        """How many bytes are here for good. Raises: FileNotFoundError if it was deleted."""
        base = _base(self.folder)
        if base is not None:
            return base
        try:
            return self.content.stat().st_size
        except FileNotFoundError:
            (self.folder / "note.json").stat()
            return self.note.length

    @property
    def touched_at(self) -> float:
        """When it was last written to, in seconds since 1970; 0 if it was deleted."""
        return _touched_at(self.folder) or 0

    @property
    def is_sent(self) -> bool:
        """Whether its task was sent: it may have run before that was noted."""
        return (self.folder / "sent").exists() or not self.content.exists()

    def mark_sent(self) -> None:
        """Keep that its task was sent, unless that is done already, and has deleted all of it."""
        with suppress(FileNotFoundError):
            (self.folder / "sent").touch()

    @contextmanager
    def writing(self) -> Iterator["Chunk"]:
        """Be the only one who writes it, in any process; a killed one's lock and unverified rest are gone.

        Raises: UploadLocked, UploadGone.
        """
        try:
            descriptor = os.open(self.content, os.O_WRONLY)
        except FileNotFoundError as error:
            raise UploadGone from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UploadLocked from error
            if os.fstat(descriptor).st_nlink == 0:
                raise UploadGone
            yield Chunk(descriptor, self.folder, self.note.length)
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """Delete the bytes, not what is known of it: who asks later hears that all has come."""
        self.content.unlink(missing_ok=True)


class Chunk:
    """What is added to an upload in one go, while its lock is held. One caller at a time, from any thread.

    ``durable``: how many bytes of the upload are on disk for good.
    """

    def __init__(self, descriptor: int, folder: Path, length: int) -> None:
        self._descriptor = descriptor
        self._folder = folder
        self._length = length
        self._hash: Any = None
        self._drop_unverified()
        self._begin = self._offset = self.durable = os.lseek(descriptor, 0, os.SEEK_END)
        self._synced_at = time.monotonic()

    @property
    def is_complete(self) -> bool:
        """Whether all of the upload has come."""
        return self.durable == self._length

    def expect_checksum(self, algorithm: str) -> None:
        """Count nothing of this chunk before `accept` has been told what it must be."""
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        with (self._folder / "unverified").open("w", encoding="ascii") as file:
            file.write(str(self._begin))
            file.flush()
            os.fsync(file.fileno())

    def write(self, piece: bytes) -> None:
        """Add bytes. Raises: ChunkTooLong, and the chunk is dropped; UploadGone; OSError."""
        if self._offset + len(piece) > self._length:
            self.drop()
            raise ChunkTooLong
        if self._hash is not None:
            self._hash.update(piece)
        left = memoryview(piece)
        while left:
            written = os.write(self._descriptor, left)
            left = left[written:]
            self._offset += written
        if time.monotonic() - self._synced_at >= SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Have the disk keep what was written. Raises: UploadGone, OSError."""
        if os.fstat(self._descriptor).st_nlink == 0:
            raise UploadGone
        os.fdatasync(self._descriptor)
        self._synced_at = time.monotonic()
        if self._hash is None:
            self.durable = self._offset

    def accept(self, digest: bytes) -> bool:
        """Count the chunk if it has that checksum, else drop it; tell which. Raises as `sync`."""
        if self._hash.digest() != digest:
            self.drop()
            return False
        self._hash = None
        self.sync()
        (self._folder / "unverified").unlink(missing_ok=True)
        return True

    def drop(self) -> None:
        """Forget all of this chunk."""
        os.ftruncate(self._descriptor, self._begin)
        self._offset = self.durable = os.lseek(self._descriptor, self._begin, os.SEEK_SET)
        (self._folder / "unverified").unlink(missing_ok=True)

    def _drop_unverified(self) -> None:
        base = _base(self._folder)
        if base is not None:
            os.ftruncate(self._descriptor, base)
            (self._folder / "unverified").unlink(missing_ok=True)


def _base(folder: Path) -> int | None:
    """Give where the unverified chunk begins, if there is one; an empty file was cut off before any byte."""
    try:
        said = (folder / "unverified").read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    return int(said) if said else None


def _touched_at(folder: Path) -> float | None:
    newest = None
    for path in (folder, folder / "content"):
        try:
            at = path.stat().st_mtime
        except FileNotFoundError:
            continue
        newest = max(newest or 0, at)
    return newest
