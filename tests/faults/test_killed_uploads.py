"""A large upload whose web processes are killed again and again, and whose client goes on each time."""

import hashlib
import random
import time
from pathlib import Path
from typing import Final

import pytest

from dev.redis_server import RedisServer
from tasks.uploaded import open_upload
from tests.http_stream import get_json
from tests.long_run import Figure
from tests.stack import Stack
from tests.tus_talk import id_of
from tests.uploads import events, finished, kill_at, progress, tus_js
from tidings.process import configure
from tidings.settings import Settings

BYTES: Final = 200_000_000
CHUNK_BYTES: Final = 25_000_000
KILLS: Final = 5


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_large_upload_lives_through_kills(
    own_redis: RedisServer, tmp_path: Path, chance: random.Random, figure: Figure
) -> None:
    """tus-js-client sends 200 MB, all web processes are killed -9 five times: the file is right.

    What had been told when they were dead was on disk, and what is told never falls.
    """
    content = chance.randbytes(BYTES)
    (tmp_path / "given").write_bytes(content)
    sizes = sorted(chance.sample(range(BYTES // 20, BYTES * 9 // 10), KILLS))
    began = time.monotonic()
    with Stack(own_redis.url, tmp_path) as stack:
        client = tus_js(tmp_path / "given", f"{stack.url}/api/uploads", chunkSize=CHUNK_BYTES)
        assert client.stdout is not None
        upload_id = id_of(client.stdout.readline().decode().strip())
        for size in sizes:
            on_disk = kill_at(stack, upload_id, size)
            told = get_json(f"{stack.url}/api/operations/{upload_id}").body["operation"]["events"]["progress"]
            assert told["current"] <= on_disk < BYTES
            figure(f"killed at {on_disk:,} bytes, told", f"{told['current']:,}")
        finished(client)
        figure("all sent after", f"{time.monotonic() - began:.1f} s")
        said = events(stack, upload_id)
        figure("verified and kept after", f"{time.monotonic() - began:.1f} s")
        configure(Settings.from_env(stack.env))
        kept = open_upload(upload_id)
        assert kept.file.read() == content

    assert said[-1][1]["result"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert progress(said) == sorted(progress(said))
    assert progress(said)[-1] == BYTES
    figure("progress events", len(progress(said)))
