"""The JavaScript client's own tests, which Node runs, and that the service hands it out."""

import subprocess
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from dev import client
from dev.node import find_node
from tests.stack import ROOT
from webapp.app import create_app
from webapp.settings import ServiceSettings

CLIENT = ROOT / "clients" / "js"
SOURCES = sorted(path.name for path in (CLIENT / "src").glob("*.js"))


@pytest.mark.parametrize("file", sorted((CLIENT / "test").glob("*.test.js")), ids=lambda path: path.name)
def test_what_the_client_does_by_itself(file: str) -> None:
    """Each file of its tests passes in Node."""
    done = subprocess.run([find_node(), "--test", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_types_of_events_are_those_of_the_library() -> None:
    """What the library can say, the client's types have: ``python -m dev.client --write`` puts it right."""
    assert client.TYPES.read_text() == client.types()


def test_the_core_is_as_small_as_promised() -> None:
    """4 KB in gzip, for a page that shares no stream."""
    assert client.core_bytes() <= client.MOST_BYTES


@pytest.fixture
def http() -> Iterator[FlaskClient]:
    """The service's HTTP face, without anything behind it."""
    settings = ServiceSettings.from_env(
        {"TIDINGS_AUTH": "open", "HOST": "127.0.0.1", "REDIS_URL": "redis://127.0.0.1:1"}
    )
    with create_app(settings).test_client() as browser:
        yield browser


@pytest.mark.parametrize("name", SOURCES)
def test_each_module_is_served_as_it_is(http: FlaskClient, name: str) -> None:
    """As a script, and once only while it stays the same."""
    with http.get(f"/client/{name}") as answer:
        assert answer.status_code == 200
        assert answer.mimetype == "text/javascript"
        assert answer.data == (CLIENT / "src" / name).read_bytes()
    with http.get(f"/client/{name}", headers={"If-None-Match": answer.headers["ETag"]}) as again:
        assert again.status_code == 304


@pytest.mark.parametrize("path", ["/client/none.js", "/client/..%2Fpackage.js", "/client/../package.json"])
def test_nothing_else_is_served(http: FlaskClient, path: str) -> None:
    """Neither what is not there nor what lies beside it."""
    assert http.get(path).status_code == 404
