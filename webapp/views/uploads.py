"""Uploads by tus 1.0: resumable files, each an operation of kind ``upload``."""

import json as text_json
import time
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, request
from msgspec import json
from werkzeug.http import http_date

from tasks.catalog import UPLOAD, UploadParams, kind_named
from tasks.incoming import ID, Note, ThenNote, Upload
from tidings.checking import check
from tidings.errors import InvalidValue
from tidings.events import QUEUED
from tidings.operation import new_id
from webapp import tus
from webapp.allowed import check_references, check_start
from webapp.auth import access
from webapp.cancelling import cancel
from webapp.documents import events_url
from webapp.errors import Gone, NotFound
from webapp.receiving import Body, chunk_of, receive, send
from webapp.service import service
from webapp.threads import in_thread
from webapp.uploading import Uploading

METADATA: Final = "Upload-Metadata"
OVERRIDE: Final = "X-HTTP-Method-Override"

blueprint = Blueprint("uploads", __name__, url_prefix="/api/uploads")


@blueprint.before_request
def _check_version() -> None:
    if request.method != "OPTIONS":
        tus.check_version(request.headers)


@blueprint.after_request
def _say_version(response: Response) -> Response:
    response.headers["Tus-Resumable"] = tus.VERSION
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("", methods=["OPTIONS"])
@blueprint.route("/<upload_id>", methods=["OPTIONS"])
def show_capabilities(upload_id: str = "") -> Response:  # noqa: ARG001 - the same for each
    """Say what this server can do."""
    return Response(status=204, headers=tus.capabilities(service().settings.max_upload_bytes))


@blueprint.post("")
def create_upload() -> Response:
    """Begin an upload, with its first bytes if they come along; whoever creates it knows its operation."""
    here = service()
    check_start(access(), UPLOAD)
    length = tus.read_length(request.headers, here.settings.max_upload_bytes)
    note = _note(new_id(), length, request.headers.get(METADATA, ""))
    if request.content_length and request.mimetype != tus.CHUNK_TYPE:
        raise InvalidValue("Content-Type", f"{tus.CHUNK_TYPE} where bytes come along", request.mimetype)
    checksum = tus.read_checksum(request.headers)
    told = Uploading(here, note, 0)
    told.announce()
    upload = in_thread(partial(here.incoming.create, note))
    with chunk_of(upload) as chunk:
        if request.mimetype == tus.CHUNK_TYPE:
            told.begin()
            receive(Body(request.environ), chunk, told, checksum)
        if chunk.is_complete:
            send(upload, told)
        offset = chunk.durable
    body = {"operationId": note.id, "kind": UPLOAD, "status": QUEUED, "eventsUrl": events_url(note.id)}
    headers = {"Location": f"/api/uploads/{note.id}", "Upload-Offset": str(offset), **_expires(upload)}
    return Response(json.encode(body), 201, headers, content_type="application/json")


@blueprint.route("/<upload_id>", methods=["HEAD"])
def show_offset(upload_id: str) -> Response:
    """Say how much of an upload is here; one that is whole is handed on, if that has failed before."""
    upload = _find(upload_id)
    offset = in_thread(lambda: upload.offset)
    if offset == upload.note.length and not in_thread(lambda: upload.is_sent):
        with chunk_of(upload) as chunk:
            if chunk.is_complete:
                send(upload, Uploading(service(), upload.note, offset))
    headers = {
        "Upload-Offset": str(offset),
        "Upload-Length": str(upload.note.length),
        **({METADATA: upload.note.metadata} if upload.note.metadata else {}),
        **_expires(upload),
    }
    return Response(status=200, headers=headers)


@blueprint.patch("/<upload_id>")
def add_chunk(upload_id: str) -> Response:
    """Take a chunk that continues an upload."""
    upload = _find(upload_id)
    checksum = tus.read_checksum(request.headers)
    tus.read_offset(request.headers)
    with chunk_of(upload) as chunk:
        told = Uploading(service(), upload.note, chunk.durable)
        tus.check_chunk(request.headers, chunk.durable, upload.note.length)
        if not told.announce():
            in_thread(partial(service().incoming.delete, upload_id))
            raise Gone(f"upload {upload_id}")
        if chunk.durable == 0:
            told.begin()
        receive(Body(request.environ), chunk, told, checksum)
        if chunk.is_complete:
            send(upload, told)
        offset = chunk.durable
    return Response(status=204, headers={"Upload-Offset": str(offset), **_expires(upload)})


@blueprint.delete("/<upload_id>")
def terminate(upload_id: str) -> Response:
    """Cancel an upload; what came of it is deleted."""
    here = service()
    upload = _find(upload_id)
    state = here.log.operation(upload.note.id)
    if state is not None:
        cancel(here, state, access().subject, reason="terminated")
    if state is None or state.end is not None:
        in_thread(partial(here.incoming.delete, upload_id))
    return Response(status=204)


@blueprint.post("/<upload_id>")
def override(upload_id: str) -> Response:
    """Do what `X-HTTP-Method-Override` says, for clients that can send nothing but a POST."""
    views = {"PATCH": add_chunk, "DELETE": terminate, "HEAD": show_offset}
    method = request.headers.get(OVERRIDE, "")
    if method not in views:
        raise InvalidValue(OVERRIDE, f"one of {', '.join(views)}, where the method is POST", method)
    return views[method](upload_id)


def _note(upload_id: str, length: int, metadata: str) -> Note:
    """Read what is said of a file. Raises: InvalidValue naming ``Upload-Metadata.<key>``."""
    said: dict[str, Any] = dict(tus.read_metadata(metadata))
    if "then" in said:
        try:
            said["then"] = text_json.loads(said["then"])
        except (ValueError, RecursionError) as error:
            raise InvalidValue(f"{METADATA}.then", f"JSON ({error})") from error
    params = check(said, UploadParams, METADATA)
    then = None
    if params.then is not None:
        kind = kind_named(params.then.kind, f"{METADATA}.then.kind")
        check_start(access(), kind.name)
        path = f"{METADATA}.then.params"
        kwargs = kind.check(_with_id(params.then.params, upload_id), path)
        others = [each for each in kind.references(kwargs, path) if each[1] != upload_id]
        check_references(service(), access(), others)
        then = ThenNote(id=new_id(), kind=kind.name, kwargs=kwargs)
    return Note(
        id=upload_id,
        length=length,
        name=tus.file_name(params.filename),
        sha256=params.sha256.lower(),
        then=then,
        metadata=metadata,
        owner=access().owner or "",
    )


def _with_id(said: Any, upload_id: str) -> Any:
    """Put the upload's id in the place of each text ``$upload``."""
    match said:
        case "$upload":
            return upload_id
        case dict():
            return {key: _with_id(value, upload_id) for key, value in said.items()}
        case list():
            return [_with_id(value, upload_id) for value in said]
        case _:
            return said


def _find(upload_id: str) -> Upload:
    """Find an upload of the asker's. Raises: NotFound; Gone if it has expired, is over, or was deleted."""
    here = service()
    try:
        upload = in_thread(partial(here.incoming.find, upload_id))
    except FileNotFoundError as error:
        known = here.log.operation(upload_id) if ID.fullmatch(upload_id) else None
        is_known = known is not None and access().sees(known.topics)
        raise (Gone if is_known else NotFound)(f"upload {upload_id}") from error
    if not access().owns(upload.note.owner):
        raise NotFound(f"upload {upload_id}")
    if _expires_at(upload) < time.time():
        raise Gone(f"upload {upload_id}")
    return upload


def _expires_at(upload: Upload) -> float:
    return in_thread(lambda: upload.touched_at) + service().settings.upload_ttl_s


def _expires(upload: Upload) -> dict[str, str]:
    return {"Upload-Expires": http_date(_expires_at(upload))}
