"""Uploads on their way in: what is on disk, whoever dies while writing it."""

import hashlib
import os
from pathlib import Path

import pytest

from tasks.incoming import ChunkTooLong, Incoming, Note, Upload, UploadGone, UploadLocked

ID = "op_" + "0" * 32


@pytest.fixture
def incoming(tmp_path: Path) -> Incoming:
    """A folder of the test's own."""
    return Incoming(str(tmp_path), "test")


@pytest.fixture
def upload(incoming: Incoming) -> Upload:
    """An upload that is to have ten bytes."""
    return incoming.create(Note(id=ID, length=10, name="x"))


def write(upload: Upload, content: bytes, digest: bytes | None = None) -> bool:
    """Add a chunk as a request does; *digest* is a SHA-1."""
    with upload.writing() as chunk:
        if digest is not None:
            chunk.expect_checksum("sha1")
        chunk.write(content)
        if digest is not None:
            return chunk.accept(digest)
        chunk.sync()
        return True


def sha1(content: bytes) -> bytes:
    """Give a digest."""
    return hashlib.sha1(content, usedforsecurity=False).digest()


def test_what_was_written_is_found_by_another_process(incoming: Incoming, upload: Upload) -> None:
    """The offset is what is there, and the note is what was said."""
    assert write(upload, b"01234")
    found = incoming.find(ID)
    assert (found.note, found.offset) == (upload.note, 5)


def test_what_is_killed_leaves_what_it_wrote(upload: Upload) -> None:
    """Without a checksum each byte counts; a lock dies with its holder."""
    with upload.writing() as chunk:
        chunk.write(b"012")
    assert upload.offset == 3
    assert write(upload, b"34")
    assert upload.content.read_bytes() == b"01234"


def test_a_chunk_with_a_checksum_counts_as_a_whole_or_not_at_all(upload: Upload) -> None:
    """Killed before it was compared, it is as if it had never come, now and for the next who writes."""
    write(upload, b"01")
    with upload.writing() as chunk:
        chunk.expect_checksum("sha1")
        chunk.write(b"234")
        chunk.sync()
        assert chunk.durable == 2
        assert upload.offset == 2
    assert upload.offset == 2
    assert not write(upload, b"xyz", sha1(b"234"))
    assert upload.offset == 2
    assert write(upload, b"234", sha1(b"234"))
    assert write(upload, b"56789")
    assert upload.content.read_bytes() == b"0123456789"


def test_a_kill_between_naming_a_chunk_and_saying_where_it_begins_costs_nothing(upload: Upload) -> None:
    """The file that says so is empty then, and no byte of the chunk has come."""
    write(upload, b"01")
    (upload.folder / "unverified").touch()
    assert upload.offset == 2
    assert write(upload, b"23")
    assert upload.offset == 4


def test_nothing_counts_before_it_is_synced(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told is what the disk was asked to keep."""
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    with upload.writing() as chunk:
        chunk.write(b"01234")
        assert chunk.durable == 0
        chunk.sync()
        assert (chunk.durable, synced) == (5, [5])
        assert not chunk.is_complete


def test_one_writes_at_a_time(upload: Upload) -> None:
    """The second is refused at once."""
    with upload.writing(), pytest.raises(UploadLocked), upload.writing():
        pass


def test_too_much_is_dropped(upload: Upload) -> None:
    """With all of its chunk."""
    write(upload, b"01234")
    with upload.writing() as chunk:
        chunk.write(b"567")
        with pytest.raises(ChunkTooLong):
            chunk.write(b"890")
    assert upload.offset == 5


def test_who_writes_what_was_deleted_notices(incoming: Incoming, upload: Upload) -> None:
    """At the next sync; and whoever comes then finds nothing."""
    with upload.writing() as chunk:
        incoming.delete(ID)
        chunk.write(b"0")
        with pytest.raises(UploadGone):
            chunk.sync()
    with pytest.raises(UploadGone), upload.writing():
        pass
    with pytest.raises(FileNotFoundError):
        incoming.find(ID)


def test_what_is_done_with_is_still_known_to_be_whole(upload: Upload) -> None:
    """Who was killed before hearing that all had come asks, and sends nothing again."""
    write(upload, b"0123456789")
    assert not upload.is_sent
    upload.discard()
    assert (upload.offset, upload.is_sent) == (10, True)


def test_a_task_may_be_done_before_it_is_noted_that_it_was_sent(incoming: Incoming, upload: Upload) -> None:
    """One that refuses the file deletes all of it: who sent its last byte is told that it has come."""
    write(upload, b"0123456789")
    incoming.delete(ID)
    upload.mark_sent()
    assert upload.is_sent
    with pytest.raises(FileNotFoundError):
        incoming.find(ID)


@pytest.mark.parametrize("name", ["..", ".", "", "op_1", ID.upper(), f"{ID}/..", f"../test/{ID}", f"{ID}\n"])
def test_only_ids_of_ours_are_looked_for(incoming: Incoming, upload: Upload, name: str) -> None:
    """Nothing else becomes a path, to be read or deleted."""
    with pytest.raises(FileNotFoundError):
        incoming.find(name)
    incoming.delete(name)
    assert upload.offset == 0


def test_what_nobody_touched_is_listed(incoming: Incoming, upload: Upload) -> None:
    """By when it was last written to; half of a creation too."""
    assert incoming.untouched(3_600) == []
    for path in (upload.content, upload.folder):
        os.utime(path, (1, 1))
    assert incoming.untouched(3_600) == [ID]
    (upload.folder / "note.json").unlink()
    os.utime(upload.folder, (1, 1))
    assert incoming.untouched(3_600) == [ID]
    incoming.delete(ID)
    assert incoming.untouched(-3_600) == []
