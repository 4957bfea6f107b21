"""Uploads on the whole stack: processes, a bucket, clients that others wrote, and requests gone wrong."""

import hashlib
import io
import random
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tusclient.client import TusClient

from dev.redis_server import RedisServer
from tests.http_stream import get_json, post_json
from tests.stack import READ_S, Stack
from tests.tus_talk import ask, begun, create, id_of, metadata, patch, status_of
from tests.uploads import end, events, files_of, finished, kill_at, progress, tus_js
from tests.waiting import wait_until

SIZE: Final = 20_000_000
MAX_BYTES: Final = 50_000_000
TYPE: Final = "application/offset+octet-stream"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket behind a real HTTP server, as the environment names it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    endpoint = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (keys | endpoint).items():
            environment.setenv(name, value)
        with closing(boto3.client("s3", region_name="us-east-1")) as client:
            client.create_bucket(Bucket="tidings")
        yield "s3://tidings"
    server.stop()


@pytest.fixture(scope="module")
def site(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two web processes and a worker that keep files in the bucket, with a broker of their own."""
    folder = tmp_path_factory.mktemp("uploads")
    with (
        RedisServer(folder / "redis") as redis,
        Stack(redis.url, folder, TIDINGS_STORAGE=bucket, TIDINGS_MAX_UPLOAD_BYTES=str(MAX_BYTES)) as stack,
    ):
        yield stack


@pytest.fixture(scope="module")
def content() -> bytes:
    """A file of 20 MB, of no pattern."""
    return random.Random(6).randbytes(SIZE)  # noqa: S311 - to be repeatable


def in_bucket(upload_id: str) -> bytes:
    """Give what was kept of an upload."""
    key = f"tidings/uploads/of-{upload_id}/content"
    with (
        closing(boto3.client("s3", region_name="us-east-1")) as client,
        closing(client.get_object(Bucket="tidings", Key=key)["Body"]) as body,
    ):
        found: bytes = body.read()
    return found


def test_tuspy_uploads_a_file_in_chunks_with_checksums(stack: Stack) -> None:
    """The file is verified and kept, its name is no path, and all of it is told: bytes, then one end."""
    content = b"a,b\n1,2\n" * 100_000
    said = {"filename": "../../etc/table.csv", "sha256": hashlib.sha256(content).hexdigest()}
    uploader = TusClient(f"{stack.url}/api/uploads").uploader(
        file_stream=io.BytesIO(content), chunk_size=200_000, metadata=said, upload_checksum=True
    )
    uploader.upload()

    url = str(uploader.url)
    told = events(stack, id_of(url))
    done = progress(told)
    statuses = [event["status"] for kind, event in told if kind == "status"]
    assert told[-1][1]["result"] == {
        "name": "table.csv",
        "bytes": len(content),
        "sha256": said["sha256"],
        "mediaType": "text/csv; charset=utf-8",
    }
    assert done == sorted(done)
    assert {200_000, 400_000, 600_000, 800_000} <= set(done)
    assert statuses == ["queued", "uploading", "queued", "running", "verifying", "storing", "succeeded"]
    assert [kind for kind, event in told if kind == "complete" or event.get("terminal")] == ["complete"]
    assert ask("HEAD", url).offset == len(content)
    assert not [path for path in files_of(stack, id_of(url)) if path.name == "content"]


def test_an_upload_goes_on_where_a_kill_of_the_web_processes_left_it(
    site: Stack, content: bytes, tmp_path: Path
) -> None:
    """tus-js-client goes on after a kill -9, and what had been told was on disk when nobody wrote."""
    (tmp_path / "given").write_bytes(content)
    client = tus_js(tmp_path / "given", f"{site.url}/api/uploads", chunkSize=3_000_000)
    assert client.stdout is not None
    upload_id = id_of(client.stdout.readline().decode().strip())
    on_disk = kill_at(site, upload_id, SIZE // 3)
    state = get_json(f"{site.url}/api/operations/{upload_id}").body["operation"]["events"]
    finished(client)
    told = events(site, upload_id)

    assert state["progress"]["current"] <= on_disk < SIZE
    assert told[-1][1]["result"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert progress(told) == sorted(progress(told))
    assert progress(told)[-1] == SIZE
    assert in_bucket(upload_id) == content


def test_a_second_web_process_goes_on_with_what_the_first_has(site: Stack) -> None:
    """Chunks meet whichever process they meet, and no progress falls."""
    url = create(site.url, 100_000)
    for offset in range(0, 100_000, 2_000):
        assert patch(url, offset, b"x" * 2_000).status == 204
    told = events(site, id_of(url))
    assert progress(told) == sorted(progress(told))
    assert set(range(2_000, 100_001, 2_000)) <= set(progress(told))
    assert told[-1][1]["result"]["sha256"] == hashlib.sha256(b"x" * 100_000).hexdigest()


def test_it_says_what_it_can_do(site: Stack) -> None:
    """Asked without a version, and of each upload alike."""
    for path in ("/api/uploads", "/api/uploads/op_1"):
        answer = ask("OPTIONS", site.url + path, Tus_Resumable="")
        assert answer.status == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-max-size"] == str(MAX_BYTES)
        assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
        assert "creation" in answer.headers["tus-extension"].split(",")


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Tus_Resumable": ""}, 412, None),
        ({"Tus_Resumable": "0.2.2"}, 412, None),
        ({"Upload_Length": ""}, 400, "Upload-Length"),
        ({"Upload_Length": "-1"}, 400, "Upload-Length"),
        ({"Upload_Length": "1e3"}, 400, "Upload-Length"),
        ({"Upload_Length": "", "Upload_Defer_Length": "1"}, 400, "Upload-Defer-Length"),
        ({"Upload_Length": str(MAX_BYTES + 1)}, 413, None),
        ({"Upload_Metadata": "filename äöü"}, 400, "Upload-Metadata.filename"),
        ({"Upload_Metadata": "a YQ==,a YQ=="}, 400, "Upload-Metadata.a"),
        ({"Upload_Metadata": ",,"}, 400, "Upload-Metadata"),
        ({"Upload_Metadata": "filename /w=="}, 400, "Upload-Metadata.filename"),
        ({"Upload_Metadata": metadata(filename="a\nb")}, 400, "Upload-Metadata.filename"),
        ({"Upload_Metadata": metadata(sha256="00")}, 400, "Upload-Metadata.sha256"),
        ({"Upload_Metadata": metadata(then="{")}, 400, "Upload-Metadata.then"),
        ({"Upload_Metadata": metadata(then={"kind": "batch"})}, 400, "Upload-Metadata.then.params"),
        (
            {"Upload_Metadata": metadata(then={"kind": "upload", "params": {}})},
            400,
            "Upload-Metadata.then.kind",
        ),
        (
            {"Upload_Metadata": metadata(then={"kind": "batch", "params": {"source": "$upload"}})},
            400,
            "Upload-Metadata.then.params.source",
        ),
    ],
)
def test_what_cannot_be_begun_is_refused_by_name(
    site: Stack, headers: dict[str, str], status: int, field: str | None
) -> None:
    """The answer names the field, and nothing was begun."""
    before = sorted((site.folder / "uploads").rglob("op_*"))
    answer = ask("POST", f"{site.url}/api/uploads", None, **{"Upload_Length": "5"} | headers)
    assert answer.status == status
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.json.get("field") == field
    assert status != 412 or answer.headers["tus-version"] == "1.0.0"
    assert sorted((site.folder / "uploads").rglob("op_*")) == before


def sha1(content: bytes) -> str:
    """Write the header of a checksum."""
    return f"sha1 {b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()}"


def test_a_wrong_chunk_changes_nothing(site: Stack) -> None:
    """Each has the protocol's status, and behind all of them the right one makes the file whole."""
    url = create(site.url, 10)
    assert patch(url, 0, b"01234").offset == 5
    wrong = [
        (409, patch(url, 0, b"56789")),
        (409, patch(url, 6, b"6789")),
        (400, patch(url, 5, b"56789", Upload_Offset="five")),
        (400, ask("PATCH", url, b"56789", Content_Type=TYPE)),
        (415, patch(url, 5, b"56789", Content_Type="text/plain")),
        (412, patch(url, 5, b"56789", Tus_Resumable="")),
        (413, patch(url, 5, b"567890")),
        (413, ask("PATCH", url, iter([b"567", b"890"]), Content_Type=TYPE, Upload_Offset="5")),
        (460, patch(url, 5, b"56789", Upload_Checksum=sha1(b"56780"))),
        (460, patch(url, 5, b"567", Upload_Checksum=sha1(b"56789"))),
        (400, patch(url, 5, b"56789", Upload_Checksum="md5 AAAA")),
        (400, patch(url, 5, b"56789", Upload_Checksum="sha1 AAAA")),
    ]
    assert [answer.status for _, answer in wrong] == [status for status, _ in wrong]
    assert wrong[0][1].offset == 5
    assert ask("HEAD", url).offset == 5
    assert patch(url, 5, b"56789", Upload_Checksum=sha1(b"56789")).offset == 10
    assert end(site, id_of(url))["result"]["sha256"] == hashlib.sha256(b"0123456789").hexdigest()


@pytest.mark.parametrize("name", ["op_" + "0" * 32, "nobody", "..", "%2e%2e", "..%2fuploads", "op_0/../x"])
def test_what_is_no_upload_is_not_found(site: Stack, name: str) -> None:
    """Whatever it looks like, a name that is not known is 404 to each method, never a path, nor news."""
    for method in ("HEAD", "PATCH", "DELETE"):
        assert ask(method, f"{site.url}/api/uploads/{name}", Upload_Offset="0").status in {404, 405}
    assert "Traceback" not in site.output("web")


def test_the_second_of_two_writers_is_told_to_wait(site: Stack) -> None:
    """While one sends, in whichever process, the other is refused; then the file is the first one's."""
    url = create(site.url, 2_000_000)
    with begun(url, 0, 2_000_000, b"a" * 1_000_000) as first:
        wait_until(lambda: ask("HEAD", url).offset, timeout_s=READ_S)  # asks for no lock, unlike a PATCH
        refused = {patch(url, 0, b"xxxxx").status for _ in range(4)}
        first.sendall(b"b" * 1_000_000)
        assert status_of(first) == 204
    assert refused == {423}
    sha256 = hashlib.sha256(b"a" * 1_000_000 + b"b" * 1_000_000).hexdigest()
    assert end(site, id_of(url))["result"]["sha256"] == sha256


def test_what_came_before_the_line_dropped_counts(site: Stack) -> None:
    """A chunk that breaks off leaves what had come; one with a checksum leaves nothing."""
    url = create(site.url, 10)
    with begun(url, 0, 10, b"01234"):
        pass
    wait_until(lambda: ask("HEAD", url).offset == 5, timeout_s=READ_S)
    with begun(url, 5, 5, b"567", Upload_Checksum=sha1(b"56789")):
        pass
    wait_until(lambda: patch(url, 5, b"56789").status == 204, timeout_s=READ_S)
    assert end(site, id_of(url))["result"]["sha256"] == hashlib.sha256(b"0123456789").hexdigest()


def test_a_file_that_is_not_what_was_announced_fails_and_is_deleted(site: Stack) -> None:
    """Its SHA-256 decides; nothing of it is left, and whoever comes back is told that it is gone."""
    url = create(site.url, 5, sha256="0" * 64)
    assert patch(url, 0, b"01234").status == 204
    said = end(site, id_of(url))
    assert said["code"] == "wrong_checksum"
    assert said["terminal"] is True
    wait_until(lambda: not files_of(site, id_of(url)), timeout_s=READ_S)
    assert ask("HEAD", url).status == 410


@pytest.mark.parametrize("by", ["api", "tus"])
def test_a_cancelled_upload_ends_and_is_deleted(site: Stack, by: str) -> None:
    """Also while a chunk comes in, whose sender is told; there is one end, and nothing is left."""
    url = create(site.url, 2_000_000)
    with begun(url, 0, 2_000_000, b"x" * 1_000_000) as sender:
        wait_until(lambda: ask("HEAD", url).offset, timeout_s=READ_S)
        if by == "api":
            assert post_json(f"{site.url}/api/operations/{id_of(url)}/cancel", {}).status == 202
        else:
            assert ask("DELETE", url).status == 204
        sender.sendall(b"x" * 1_000_000)
        assert status_of(sender) == 410
    told = events(site, id_of(url))
    assert told[-1][1]["code"] == "cancelled"
    assert [event["status"] for kind, event in told if kind == "status"][-1] == "cancelled"
    assert sum(kind == "complete" or event.get("terminal", False) for kind, event in told) == 1
    assert not files_of(site, id_of(url))
    assert {ask(method, url, Upload_Offset="0").status for method in ("HEAD", "PATCH", "DELETE")} == {410}


def test_what_is_to_follow_is_started(site: Stack) -> None:
    """The result names the batch that was started behind the upload, and that one works on its rows."""
    then = {"kind": "batch", "params": {"source": {"upload": "$upload"}}}
    body = b"a;b\n1;2\n3;4\n5\n"
    answer = ask(
        "POST", f"{site.url}/api/uploads", body, Content_Type=TYPE, Upload_Length=str(len(body)),
        Upload_Metadata=metadata(filename="a.txt", then=then, colour="blue"),
    )  # fmt: skip
    assert (answer.status, answer.offset) == (201, len(body))
    result = end(site, answer.json["operationId"])["result"]
    assert result["mediaType"] == "text/plain; charset=utf-8"
    assert result["then"]["kind"] == "batch"
    batch = end(site, result["then"]["operationId"])["result"]
    assert (batch["done"], batch["failed"]) == (2, 1)
    assert batch["profile"] == {"a": {"integer": 2}, "b": {"integer": 2}}


def test_a_file_of_nothing_is_a_file(site: Stack) -> None:
    """It is whole when it is created. Its metadata comes back as it was sent."""
    url = create(site.url, 0, filename="none", colour="blue")
    assert end(site, id_of(url))["result"]["bytes"] == 0
    answer = ask("HEAD", url)
    assert (answer.offset, answer.headers["upload-length"]) == (0, "0")
    assert answer.headers["upload-metadata"] == metadata(filename="none", colour="blue")
    assert answer.headers["cache-control"] == "no-store"


def test_a_client_that_can_only_post_says_what_it_means(site: Stack) -> None:
    """X-HTTP-Method-Override is the method."""
    url = create(site.url, 3)
    headers = {"Content-Type": TYPE, "Upload-Offset": "0"}
    assert ask("POST", url, b"abc", X_HTTP_Method_Override="PATCH", **headers).status == 204
    assert ask("POST", url, b"abc", X_HTTP_Method_Override="GET", **headers).status == 400
    assert end(site, id_of(url))["result"]["bytes"] == 3


def test_a_web_processs_memory_does_not_grow_with_a_chunk(site: Stack) -> None:
    """A chunk of 40 MB costs less than a third of it at any moment. Source of the counters: proc(5)."""
    url = create(site.url, MAX_BYTES)
    assert (
        patch(url, 0, b"x" * 1_000_000).status == 204
    )  # both have done it before, or one will for the first time
    for pid in site.web_pids():
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = {pid: peak_bytes(pid) for pid in site.web_pids()}
    assert patch(url, 1_000_000, bytes(40_000_000)).status == 204
    grown = {pid: peak_bytes(pid) - size for pid, size in before.items()}
    assert max(grown.values()) < 40_000_000 // 3
    assert ask("DELETE", url).status == 204


def peak_bytes(pid: int) -> int:
    """Give the most memory that a process has had since its counter was put back."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.split("\n") if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1_024
