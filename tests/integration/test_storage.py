"""Where files lie: the same behaviour in a folder and in a bucket of a server that speaks S3."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tidings.errors import InvalidValue, StorageUnavailable
from tidings.storage import CHUNK_BYTES, Storage


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket behind a real HTTP server, which the usual variables name."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        variables = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
        for name, value in variables.items():
            environment.setenv(name, value)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="tidings")
        yield "s3://tidings/some/prefix"
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty place of each sort."""
    if request.param == "folder":
        return Storage(str(tmp_path / "made" / "when written"))
    return Storage(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def test_what_is_written_is_read_in_pieces(storage: Storage, tmp_path: Path) -> None:
    """Bytes, a path and an open file arrive whole, and are given out a piece at a time."""
    content = bytes(range(256)) * (CHUNK_BYTES // 256 * 2 + 1)
    (tmp_path / "given").write_bytes(content)
    with (tmp_path / "given").open("rb") as opened:
        for name, source in (("bytes", content), ("path", tmp_path / "given"), ("file", opened)):
            assert storage.write(f"a/{name}", source).size == len(content)
            pieces = list(storage.read(f"a/{name}"))
            assert b"".join(pieces) == content
            assert len(pieces) > 1


def test_the_later_of_two_writes_stands(storage: Storage) -> None:
    """A file that is written again is replaced."""
    storage.write("a/b", b"first, and longer")
    storage.write("a/b", b"second")
    assert b"".join(storage.read("a/b")) == b"second"


def test_only_what_lies_below_is_listed(storage: Storage) -> None:
    """A folder is no prefix of a name."""
    for path in ("a/one", "a/two", "ab/three"):
        storage.write(path, b"x")
    assert sorted(file.path for file in storage.list("a")) == ["a/one", "a/two"]
    assert list(storage.list("nothing/here")) == []


def test_what_is_deleted_is_gone_and_deleting_it_again_is_nothing(storage: Storage) -> None:
    """Twice is as good as once."""
    storage.write("a", b"x")
    storage.delete("a")
    storage.delete("a")
    with pytest.raises(FileNotFoundError, match=r"^a$"):
        storage.read("a")
    with pytest.raises(FileNotFoundError, match=r"^a$"):
        storage.about("a")


def test_only_what_is_old_enough_is_deleted(storage: Storage) -> None:
    """Files are kept as long as asked for, by when they were written."""
    storage.write("a/one", b"x")
    assert storage.delete_older("a", keep_s=3_600) == 0
    assert storage.delete_older("a", keep_s=-3_600) == 1
    assert list(storage.list("a")) == []


@pytest.mark.parametrize("path", ["../a", "a/../../b", "a//b", "a/./b"])
def test_a_path_that_leaves_the_place_is_refused(storage: Storage, path: str) -> None:
    """Nothing above the place, or of another spelling, is read or written."""
    with pytest.raises(InvalidValue):
        storage.write(path, b"x")


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    """The error is ours and short, whatever the library had to say."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable) as caught:
        Storage(str(tmp_path / "file")).write("a", b"x")
    assert "\n" not in str(caught.value)
