"""The files that an operation leaves behind: a report, a screenshot, a table.

Beside the first stage of the flow: takes bytes from a task, gives a reference that goes into an event, for
events are small. The service hands the files out under the reference's URL.
"""

import os
import re
from collections.abc import Iterator
from io import SEEK_END, SEEK_SET
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypedDict

from tidings.current import current_operation
from tidings.errors import InvalidValue
from tidings.media_type import HEAD_BYTES, media_type
from tidings.settings import Settings
from tidings.storage import Storage
from tidings.topics import check_identifier

if TYPE_CHECKING:
    from tidings.operation import Operation

NAME_PATTERN: Final = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)


class ResultReference(TypedDict):
    """What an event says of a result; ``url`` is a path of the service."""

    name: str
    url: str
    bytes: int
    contentType: str


class Result(NamedTuple):
    """One result that is being read."""

    size: int
    content_type: str
    pieces: Iterator[bytes]


class Results:
    """The results of all operations of one namespace."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._folder = f"{settings.namespace}/results"
        self._max_bytes = settings.max_result_bytes

    def save(self, operation_id: str, name: str, content: bytes | str | Path | BinaryIO) -> ResultReference:
        """Keep *content* as the operation's result *name*, in place of one of that name.

        Waits for the disk or the network. Raises: InvalidValue for a name that is none or a content that is
        too large, StorageUnavailable.
        """
        path = self._path(operation_id, name)
        if isinstance(content, str):
            content = content.encode()
        size, head = _measured(content)
        if size > self._max_bytes:
            raise InvalidValue(
                "content", f"of at most {self._max_bytes} bytes (TIDINGS_MAX_RESULT_BYTES)", size
            )
        self._storage.write(path, content)
        return {
            "name": name,
            "url": f"/api/operations/{operation_id}/results/{name}",
            "bytes": size,
            "contentType": media_type(name, head),
        }

    def open(self, operation_id: str, name: str) -> Result:
        """Read a result. Waits. Raises: FileNotFoundError, InvalidValue, StorageUnavailable."""
        path = self._path(operation_id, name)
        size = self._storage.about(path).size
        pieces = self._storage.read(path)
        first = next(pieces, b"")
        return Result(size, media_type(name, first[:HEAD_BYTES]), _behind(first, pieces))

    def names(self, operation_id: str) -> list[str]:
        """List an operation's results by name. Waits. Raises: InvalidValue, StorageUnavailable."""
        folder = self._folder_of(operation_id)
        return sorted(file.path.rpartition("/")[2] for file in self._storage.list(folder))

    def delete_older(self, keep_s: float) -> int:
        """Delete what was written longer ago; say how many results. Waits. Raises: StorageUnavailable."""
        return self._storage.delete_older(self._folder, keep_s)

    def _path(self, operation_id: str, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise InvalidValue("name", "1 to 128 of A-Z a-z 0-9 . _ -, and no dot first", name)
        return f"{self._folder_of(operation_id)}/{name}"

    def _folder_of(self, operation_id: str) -> str:
        return f"{self._folder}/of-{check_identifier('id', operation_id)}"  # an id may be ``..``


def save_result(
    name: str, content: bytes | str | Path | BinaryIO, *, operation: "Operation | str | None" = None
) -> ResultReference:
    """Keep a file of the *operation* (or its id; default: the current one), and get what an event says of it.

    Put the reference into ``details`` of a status, or into the result. Unlike a report this waits, for the
    disk or the network, and may fail. *content*: bytes, text, a file's path, or an open file that can seek.
    Raises: InvalidValue for a name that is none, a content that is too large, or outside of any operation;
    StorageUnavailable.
    """
    return _here().save(_id_of(operation), name, content)


def load_result(name: str, *, operation: "Operation | str | None" = None) -> bytes:
    """Give what the *operation* (or its id; default: the current one) has kept under *name*, whole.

    Waits for the disk or the network. Raises: FileNotFoundError; InvalidValue for a name that is none, or
    outside of any operation; StorageUnavailable.
    """
    return b"".join(_here().open(_id_of(operation), name).pieces)


def _here() -> Results:
    from tidings.process import this_process  # noqa: PLC0415 - which is made of this

    return this_process().results


def _id_of(operation: "Operation | str | None") -> str:
    operation = operation or current_operation()
    if operation is None:
        raise InvalidValue("operation", "given where there is no current one")
    return operation if isinstance(operation, str) else operation.id


def _measured(content: bytes | Path | BinaryIO) -> tuple[int, bytes]:
    """Give the content's size and its first bytes."""
    if isinstance(content, bytes):
        return len(content), content[:HEAD_BYTES]
    if isinstance(content, Path):
        with content.open("rb") as file:
            return os.fstat(file.fileno()).st_size, file.read(HEAD_BYTES)
    begin = content.tell()
    size = content.seek(0, SEEK_END) - begin
    content.seek(begin)
    head = content.read(HEAD_BYTES)
    content.seek(begin, SEEK_SET)
    return size, head


def _behind(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces
