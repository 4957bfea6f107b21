"""The files that operations leave behind: kept by a task, handed out by the service."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tidings import InvalidValue, Operation, load_result, save_result
from tidings.results import Results
from tidings.settings import Settings
from tidings.storage import Storage
from webapp.app import create_app
from webapp.settings import ServiceSettings


@pytest.fixture
def of_the_test(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with a folder of the test's own."""
    return replace(settings, storage=str(tmp_path / "files"), max_result_bytes=1_000)


@pytest.fixture
def client(of_the_test: Settings) -> Iterator[FlaskClient]:
    """A client of the service; making the service configures this process."""
    with create_app(ServiceSettings(log=of_the_test, host="127.0.0.1", auth="open")).test_client() as client:
        yield client


@pytest.fixture
def results(of_the_test: Settings) -> Results:
    """The results that the service knows."""
    return Results(Storage(of_the_test.storage), of_the_test)


def test_a_task_keeps_a_report_that_the_service_hands_out(client: FlaskClient) -> None:
    """What a task saved comes back byte by byte under the reference's URL, listed by its name."""
    with Operation(kind="report") as operation:
        reference = save_result("report.html", "<h1>Done</h1>")
    answer = client.get(reference["url"])

    assert reference["bytes"] == len(answer.data)
    assert answer.data == b"<h1>Done</h1>"
    assert answer.content_type == reference["contentType"] == "text/html; charset=utf-8"
    assert client.get(f"/api/operations/{operation.id}/results").json == {
        "results": [{"name": "report.html", "url": reference["url"]}]
    }


def test_a_report_is_no_document_of_our_origin(client: FlaskClient, results: Results) -> None:
    """Whoever wrote the report can run nothing in the name of this service."""
    answer = client.get(results.save("o", "evil.html", b"<script>alert(1)</script>")["url"])
    policy = answer.headers["Content-Security-Policy"]

    assert policy.startswith("sandbox;")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_a_browser_cannot_show_is_saved_by_its_name(client: FlaskClient, results: Results) -> None:
    """Unknown bytes are offered as a file; text is shown."""
    binary = client.get(results.save("o", "a.bin", b"\x00\x01")["url"])
    text = client.get(results.save("o", "a.txt", b"a")["url"])

    assert binary.headers["Content-Disposition"] == 'attachment; filename="a.bin"'
    assert text.headers["Content-Disposition"] == 'inline; filename="a.txt"'


@pytest.mark.parametrize("path", ["o/results/missing", "never-was/results/report.html"])
def test_what_is_not_there_is_404(client: FlaskClient, path: str) -> None:
    """An unknown result and one of an unknown operation read alike."""
    answer = client.get(f"/api/operations/{path}")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "é", "a" * 129, "a\n"])
def test_a_name_that_is_none_is_refused(results: Results, name: str) -> None:
    """Names are names: no paths, nothing hidden, nothing that a header could not carry."""
    with pytest.raises(InvalidValue) as caught:
        results.save("o", name, b"x")
    assert caught.value.field == "name"


def test_an_operation_whose_id_looks_like_a_path_keeps_to_its_folder(
    results: Results, of_the_test: Settings
) -> None:
    """`..` is a valid id, and its results are its own."""
    results.save("..", "a", b"x")
    assert results.names("..") == ["a"]
    written = [path.name for path in Path(of_the_test.storage).rglob("*") if path.is_file()]
    assert written == ["a"]


@pytest.mark.parametrize("content", [b"x" * 1_001, io.BytesIO(b"x" * 1_001), "é" * 501])
def test_what_is_too_large_is_refused_and_not_kept(results: Results, content: bytes) -> None:
    """The bound holds for every way to give content."""
    with pytest.raises(InvalidValue) as caught:
        results.save("o", "a", content)
    assert caught.value.field == "content"
    assert results.names("o") == []


def test_what_was_kept_is_read_by_whoever_knows_the_operation(client: FlaskClient) -> None:
    """By its own code, and by that of another operation; what is not there is no empty file."""
    with Operation(kind="report") as operation:
        save_result("rows.json", "[1]")
        assert load_result("rows.json") == b"[1]"
    with Operation(kind="report"):
        assert load_result("rows.json", operation=operation.id) == b"[1]"
        save_result("rows.json", "[2]", operation=operation.id)
        assert load_result("rows.json", operation=operation) == b"[2]"
        with pytest.raises(FileNotFoundError):
            load_result("rows.json")


def test_saving_outside_of_an_operation_is_refused() -> None:
    """There is nobody to whom the file would belong."""
    with pytest.raises(InvalidValue, match="current"):
        save_result("a", b"x")
    with pytest.raises(InvalidValue, match="current"):
        load_result("a")
