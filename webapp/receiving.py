"""A chunk of an upload, from a request's body to the disk.

Takes the body piece by piece, gives each to a real thread that writes it, and what the disk has to the
operation's progress. At most one piece of it is in memory.
"""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from gunicorn.http.errors import ParseException

from tasks.incoming import Chunk, ChunkTooLong, Upload, UploadGone, UploadLocked
from tidings.errors import InvalidValue
from webapp.errors import Gone
from webapp.threads import in_thread
from webapp.tus import Checksum, Refusal, too_large
from webapp.uploading import Uploading

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
PIECE_BYTES: Final = 262_144
SILENCE_S: Final = 10.0
"""Whoever sends nothing for so long is let go, and with them the lock: they resume where they were."""

logger = logging.getLogger(__name__)


class Body:
    """The body of one request, read in pieces.

    ``is_measured``: its length was said. ``is_whole``: all of it came.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        self._input = environ["wsgi.input"]
        self._left = int(environ.get("CONTENT_LENGTH") or -1)
        self._socket = environ.get("gunicorn.socket")
        self.is_measured = self._left >= 0
        self.is_whole = False

    def pieces(self) -> Iterator[bytes]:
        """Give what comes, until it ends or breaks off. Waits for the client, `SILENCE_S` at most."""
        with self._impatiently():
            while self._left:
                try:
                    piece = self._input.read(PIECE_BYTES if self._left < 0 else min(PIECE_BYTES, self._left))
                except (OSError, ParseException) as error:
                    logger.info("an upload's chunk broke off: %s", error)
                    return
                if not piece:
                    self.is_whole = self._left < 0
                    return
                self._left -= len(piece) if self._left > 0 else 0
                yield piece
            self.is_whole = True

    @contextmanager
    def _impatiently(self) -> Iterator[None]:
        if self._socket is None:
            yield
            return
        before = self._socket.gettimeout()
        self._socket.settimeout(SILENCE_S)
        try:
            yield
        finally:
            self._socket.settimeout(before)


@contextmanager
def chunk_of(upload: Upload) -> Iterator[Chunk]:
    """Be the one who writes the upload. Raises: Refusal if somebody else does, Gone."""
    writing = upload.writing()
    try:
        chunk = in_thread(writing.__enter__)
    except UploadLocked as error:
        raise Refusal(423, "Locked", "another request is writing this upload; try again") from error
    except UploadGone as error:
        raise Gone(f"upload {upload.note.id}") from error
    try:
        yield chunk
    except (UploadGone, FileNotFoundError) as error:
        raise Gone(f"upload {upload.note.id}") from error
    finally:
        in_thread(partial(writing.__exit__, None, None, None))


def receive(body: Body, chunk: Chunk, told: Uploading, checksum: Checksum | None) -> None:
    """Write a chunk, and tell its progress. What has come counts, even where the rest does not come.

    With a *checksum* it counts as a whole or not at all. Waits for the client and the disk.
    Raises: Refusal, UploadGone, OSError.
    """
    if checksum is not None:
        in_thread(partial(chunk.expect_checksum, checksum.algorithm))
    for piece in body.pieces():
        _write(chunk, piece)
        told.count(len(piece))
        if body.is_measured:  # else it may turn out too long, and be dropped
            told.progress(chunk.durable)
    if checksum is None:
        in_thread(chunk.sync)
    elif not in_thread(partial(chunk.accept, checksum.digest)):
        raise Refusal(460, "Checksum Mismatch", f"the chunk has another {checksum.algorithm}; it was dropped")
    told.progress(chunk.durable)
    told.settle()
    if not body.is_whole:
        raise Refusal(408, "Request Timeout", "the chunk broke off", Connection="close")


def _write(chunk: Chunk, piece: bytes) -> None:
    try:
        in_thread(partial(chunk.write, piece))
    except ChunkTooLong as error:
        raise too_large("more came than the upload was to have") from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise Refusal(507, "Insufficient Storage", "the disk for uploads is full") from error


def send(upload: Upload, told: Uploading) -> None:
    """Have the task go on with an upload that is whole, while its lock is held. Once is enough.

    Raises: LogUnavailable, DispatchFailed, Gone.
    """
    if in_thread(lambda: upload.is_sent):
        return
    try:
        told.send()
    except InvalidValue as error:
        raise Gone(f"upload {upload.note.id}") from error
    in_thread(upload.mark_sent)
