"""What is past its time: uploads nobody went on with, results, files that were uploaded."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dev.redis_server import RedisServer
from tasks.journal import Journal, Plan
from tasks.uploaded import About, keep, open_upload
from tests.tus_talk import CHUNK, metadata
from tidings import Operation, save_result
from tidings.log import Log
from tidings.settings import Settings
from webapp.app import create_app
from webapp.service import EXTENSION, Service
from webapp.settings import ServiceSettings

HOUR_S = 3_600
DAY_S = 86_400
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def settings(own_redis: RedisServer) -> Settings:
    """A Redis of the test's own: what is sent here is for no worker."""
    return Settings(redis_url=own_redis.url)


@pytest.fixture
def app(settings: Settings, tmp_path: Path) -> Flask:
    """A service that keeps uploads for an hour and files for a day."""
    log = replace(settings, storage=str(tmp_path / "files"))
    return create_app(
        ServiceSettings(
            log=log, host="127.0.0.1", auth="open", uploads=str(tmp_path / "uploads"), upload_ttl_s=HOUR_S,
            files_ttl_s=DAY_S,
        )
    )  # fmt: skip


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A client of it."""
    with app.test_client() as client:
        yield client


@pytest.fixture
def here(app: Flask) -> Service:
    """Its parts."""
    service: Service = app.extensions[EXTENSION]
    return service


def begin(client: FlaskClient, **said: object) -> str:
    """Begin an upload of ten bytes and send five; give its id."""
    headers = {"Upload-Length": "10", "Upload-Metadata": metadata(**said)}
    answer = client.post("/api/uploads", data=b"01234", headers=TUS | CHUNK | headers)
    assert answer.status_code == 201
    url: str = answer.headers["Location"]
    return url.rpartition("/")[2]


def forget(folder: Path, age_s: float) -> None:
    """Have all below *folder* look as if nobody had touched it for so long."""
    at = time.time() - age_s
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (at, at))


def test_an_upload_that_nobody_went_on_with_expires(
    client: FlaskClient, here: Service, log: Log, tmp_path: Path
) -> None:
    """It is 410 at once, whoever deletes it when; then it is gone, and its operation has ended, once."""
    upload_id = begin(client)
    assert client.head(f"/api/uploads/{upload_id}", headers=TUS).headers["Upload-Expires"].endswith("GMT")
    forget(tmp_path / "uploads", HOUR_S - 60)
    here.housekeeping.tidy()
    assert client.head(f"/api/uploads/{upload_id}", headers=TUS).status_code == 200

    forget(tmp_path / "uploads", HOUR_S + 60)
    assert client.head(f"/api/uploads/{upload_id}", headers=TUS).status_code == 410
    here.housekeeping.tidy()
    here.housekeeping.tidy()

    state = log.operation(upload_id)
    assert state is not None
    assert (state.status, b'"code":"expired"' in state.events["error"]) == ("failed", True)
    assert not list((tmp_path / "uploads").rglob("op_*"))
    headers = TUS | CHUNK | {"Upload-Offset": "5"}
    assert client.patch(f"/api/uploads/{upload_id}", data=b"56789", headers=headers).status_code == 410


def test_an_upload_that_is_being_written_does_not_expire(
    client: FlaskClient, here: Service, log: Log, tmp_path: Path
) -> None:
    """Whoever holds its lock has it."""
    upload_id = begin(client)
    with here.incoming.find(upload_id).writing():
        forget(tmp_path / "uploads", HOUR_S + 60)
        here.housekeeping.tidy()
    state = log.operation(upload_id)
    assert state is not None
    assert state.end is None
    assert here.incoming.find(upload_id).offset == 5


def test_an_upload_that_waits_for_its_task_does_not_expire(
    client: FlaskClient, here: Service, log: Log, tmp_path: Path
) -> None:
    """All of it has come; what keeps it is ours. When its operation is over, it goes."""
    upload_id = begin(client)
    headers = TUS | CHUNK | {"Upload-Offset": "5"}
    assert client.patch(f"/api/uploads/{upload_id}", data=b"56789", headers=headers).status_code == 204
    forget(tmp_path / "uploads", HOUR_S + 60)
    here.housekeeping.tidy()
    assert here.incoming.find(upload_id).offset == 10
    assert client.post(f"/api/operations/{upload_id}/cancel", json={}).status_code == 202
    assert not list((tmp_path / "uploads").rglob("op_*"))
    assert log.operation(upload_id) is not None


def test_a_whole_upload_that_was_not_handed_on_is_when_its_client_asks(
    client: FlaskClient, here: Service, log: Log
) -> None:
    """Its web process was killed behind the last byte; whoever sent that was not answered, and asks."""
    upload_id = begin(client)
    with here.incoming.find(upload_id).writing() as chunk:
        chunk.write(b"56789")
    assert not here.incoming.find(upload_id).is_sent
    assert client.head(f"/api/uploads/{upload_id}", headers=TUS).headers["Upload-Offset"] == "10"
    assert here.incoming.find(upload_id).is_sent
    assert client.head(f"/api/uploads/{upload_id}", headers=TUS).status_code == 200
    assert log.redis.llen("tidings") == 1


def test_results_uploaded_files_and_journals_are_kept_for_their_time(here: Service, tmp_path: Path) -> None:
    """A day, here; the young ones stay."""
    about = About(name="x", bytes=1, sha256="", media_type="text/plain")
    (tmp_path / "x").write_bytes(b"x")
    with Operation(kind="report") as operation:
        save_result("old", b"x")
        keep("old", tmp_path / "x", about)
        Journal("old").begin(Plan({}, 1))
        forget(tmp_path / "files", DAY_S + 60)
        save_result("young", b"x")
        keep("young", tmp_path / "x", about)
        Journal("young").begin(Plan({}, 1))
    here.housekeeping.tidy()
    assert here.process.results.names(operation.id) == ["young"]
    assert open_upload("young").about == about
    assert (Journal("young").plan(), Journal("old").plan()) == (Plan({}, 1), None)
    with pytest.raises(FileNotFoundError):
        open_upload("old")


def test_what_is_to_follow_is_told_the_uploads_id(client: FlaskClient, here: Service) -> None:
    """Each ``$upload`` in its parameters is the id; they are checked as if they had been posted."""
    then = {"kind": "browser", "params": {"steps": [{"action": "fill", "selector": "#a", "text": "$upload"}]}}
    upload_id = begin(client, then=then)
    noted = here.incoming.find(upload_id).note.then
    assert noted is not None
    assert noted.kwargs["steps"][0]["text"] == upload_id


def test_an_upload_that_the_log_forgot_is_told_to_it_again(
    client: FlaskClient, here: Service, log: Log, settings: Settings
) -> None:
    """Its bytes are there; a chunk makes its operation known and goes on."""
    upload_id = begin(client)
    assert log.redis.delete(f"{{{settings.namespace}}}:op:{upload_id}") == 1
    headers = TUS | CHUNK | {"Upload-Offset": "5"}
    assert client.patch(f"/api/uploads/{upload_id}", data=b"5678", headers=headers).status_code == 204
    state = log.operation(upload_id)
    assert state is not None
    assert b'"current":9' in state.events["progress"]
    assert here.incoming.find(upload_id).offset == 9
