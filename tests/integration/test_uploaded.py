"""The files that uploads keep, for the kinds that work on them."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.uploaded import About, delete_older, keep, open_upload
from tidings import InvalidValue
from tidings.process import configure
from tidings.settings import Settings
from tidings.storage import CHUNK_BYTES


@pytest.fixture(autouse=True)
def place(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """A storage of the test's own."""
    configure(replace(settings, storage=str(tmp_path / "files")))
    yield tmp_path
    configure(settings)


def test_what_was_kept_is_read_line_by_line(place: Path) -> None:
    """A file of several pieces is a file: csv reads every row of it, and what is known of it comes along."""
    rows = [[str(number), "ä, quoted"] for number in range(CHUNK_BYTES // 10)]
    with (place / "given").open("w", newline="", encoding="utf-8") as given:
        csv.writer(given).writerows(rows)
    about = About(name="../a.csv", bytes=7, sha256="00", media_type="text/csv")
    keep("up", place / "given", about)

    opened = open_upload("up")

    assert opened.about == about
    assert list(csv.reader(io.TextIOWrapper(opened.file, "utf-8-sig", newline=""))) == rows


def test_what_is_not_there_or_no_id_is_said(place: Path) -> None:
    """An unknown upload is no file, a path is no id, and an id of dots leads nowhere."""
    for unknown in ("nobody", ".."):
        with pytest.raises(FileNotFoundError):
            open_upload(unknown)
    with pytest.raises(InvalidValue, match="upload"):
        open_upload("../results/of-x")


def test_what_is_old_is_deleted(place: Path) -> None:
    """Files are kept as long as asked for; then they are not found."""
    (place / "given").write_bytes(b"x")
    keep("up", place / "given", About(name="x", bytes=1, sha256="00", media_type="text/plain"))
    assert delete_older(3_600) == 0
    assert delete_older(-3_600) == 2
    with pytest.raises(FileNotFoundError):
        open_upload("up")
