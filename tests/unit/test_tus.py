"""What tus says in headers. Source of the examples: the protocol's own text."""

import pytest

from tidings.errors import InvalidValue
from webapp.tus import (
    Refusal,
    check_chunk,
    check_version,
    file_name,
    read_checksum,
    read_length,
    read_metadata,
)

CHUNK = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "70"}


def test_the_protocols_own_examples_are_read() -> None:
    """A checksum, metadata with an empty value, and a chunk that continues at 70 of 100."""
    checksum = read_checksum({"Upload-Checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="})
    assert checksum is not None
    assert (checksum.algorithm, checksum.digest.hex()) == ("sha1", "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed")
    assert read_metadata("filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential") == {
        "filename": "world_domination_plan.pdf",
        "is_confidential": "",
    }
    check_chunk(CHUNK | {"Content-Length": "30"}, 70, 100)
    check_version({"Tus-Resumable": "1.0.0"})
    assert read_length({"Upload-Length": "100"}, 100) == 100
    assert read_checksum({}) is None
    assert read_metadata("") == {}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("a.csv", "a.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.txt", "a.txt"),
        ("/", "upload"),
        ("..", "upload"),
        ("x/..", "upload"),
        ("", "upload"),
        (".bashrc", ".bashrc"),
        ("Übersicht 1.pdf", "Übersicht 1.pdf"),
    ],
)
def test_a_name_is_no_path(said: str, name: str) -> None:
    """Only its last part is kept."""
    assert file_name(said) == name


@pytest.mark.parametrize("said", ["a\0b", "a\nb", "a\u202eb", "x" * 256])
def test_a_name_that_hides_something_is_refused(said: str) -> None:
    """Control characters, those that turn the writing round, and what no file system takes."""
    with pytest.raises(InvalidValue, match=r"Upload-Metadata\.filename"):
        file_name(said)


@pytest.mark.parametrize("said", ["", "+5", "-5", "5.0", "\u0665", " 5", "0x5", "1_0", "9" * 19])
def test_a_length_is_digits(said: str) -> None:
    """Whatever else int() would take."""
    with pytest.raises(InvalidValue):
        read_length({"Upload-Length": said}, 10**30)


@pytest.mark.parametrize("said", ["a d29ybGQ", "a b c", "ä YQ==", "a YQ==,,b YQ==", "a YQ==,a YQ=="])
def test_metadata_that_is_none_is_refused(said: str) -> None:
    """No base64, two values, no ASCII, nothing between commas, a key twice."""
    with pytest.raises(InvalidValue, match="Upload-Metadata"):
        read_metadata(said)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"Upload-Offset": "69"}, 409),
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Content-Length": "31"}, 413),
    ],
)
def test_a_chunk_that_does_not_fit_has_its_status(more: dict[str, str], status: int) -> None:
    """In the protocol's words."""
    with pytest.raises(Refusal) as caught:
        check_chunk(CHUNK | more, 70, 100)
    assert caught.value.status == status
