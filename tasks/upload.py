"""The upload kind's last part: what has come in is verified, kept, and handed on.

May run twice, or again after half of it: what is kept is kept under the upload's id, what follows has an id
that was chosen when the upload was created, and the bytes that came in are deleted last.
"""

import hashlib
from typing import Any, Final

import tidings.celery
from tasks.catalog import kind_named
from tasks.celery import app, settings
from tasks.incoming import Incoming, Note, Upload
from tasks.running import running
from tasks.uploaded import About, keep, open_upload
from tidings import Cancelled, Failure, InvalidValue, Operation
from tidings.media_type import HEAD_BYTES, media_type
from tidings.process import this_process

PIECE_BYTES: Final = 1_048_576


@app.task(name="tasks.upload", tidings_kind="upload", acks_late=True)
def run_upload(upload: str) -> dict[str, Any]:
    """Verify, keep and hand on a file that has come in whole. Its result: what the file is.

    Ends with the codes ``wrong_size``, ``wrong_checksum`` or ``not_there``; then, or where it is cancelled,
    nothing of the file is left.
    """
    incoming = Incoming(settings.uploads, this_process().settings.namespace)
    operation = running()
    try:
        found = incoming.find(upload)
        about = _kept(found, operation)
    except (Failure, Cancelled):
        incoming.delete(upload)
        raise
    except FileNotFoundError as error:
        raise Failure("not_there", "What was uploaded is not there any more.") from error
    following = _hand_on(found.note)
    found.discard()
    return {
        "name": about.name,
        "bytes": about.bytes,
        "sha256": about.sha256,
        "mediaType": about.media_type,
    } | following


def _kept(found: Upload, operation: Operation) -> About:
    """Verify and keep the file, unless that was done. Raises: Failure, Cancelled, FileNotFoundError."""
    if not found.content.exists():  # an earlier run went as far as this
        return open_upload(found.note.id).about
    operation.status("verifying", {"name": found.note.name, "bytes": found.note.length})
    about = _verified(found, operation)
    operation.check_cancelled()
    operation.status("storing", {"sha256": about.sha256, "mediaType": about.media_type})
    keep(found.note.id, found.content, about)
    return about


def _verified(found: Upload, operation: Operation) -> About:
    note, digest, size, head = found.note, hashlib.sha256(), 0, b""
    with found.content.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            operation.check_cancelled()
            head = head or piece[:HEAD_BYTES]
            digest.update(piece)
            size += len(piece)
    if size != note.length:
        raise Failure("wrong_size", f"{size} bytes are here, and {note.length} were announced.")
    if note.sha256 and note.sha256 != digest.hexdigest():
        details = {"expected": note.sha256, "sha256": digest.hexdigest()}
        raise Failure("wrong_checksum", "The file has another SHA-256 than was announced.", details)
    return About(
        name=note.name, bytes=size, sha256=digest.hexdigest(), media_type=media_type(note.name, head)
    )


def _hand_on(note: Note) -> dict[str, Any]:
    """Start what is to follow, unless an earlier run has; give what the result says of it."""
    if note.then is None:
        return {}
    kind = kind_named(note.then.kind)
    try:
        tidings.celery.dispatch(
            app, kind.task, note.then.kwargs, kind=kind.name, id=note.then.id, owner=note.owner or None
        )
    except InvalidValue as error:
        if error.field != "id":
            raise
    return {"then": {"operationId": note.then.id, "kind": kind.name}}
