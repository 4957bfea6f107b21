"""What is kept is trimmed and expires in mid-run, and web processes remember little themselves."""

from pathlib import Path

from dev.redis_server import RedisServer
from tests.faults import faults
from tests.faults.arena import Arena
from tests.faults.figures import Figures
from tests.faults.run import Run


def test_trimmed_and_expired_history_is_told(tmp_path: Path, seed: str, figures: list[Figures]) -> None:
    """Who comes back to a hole is told; who does not has every event."""
    with (
        Arena(tmp_path, RedisServer(tmp_path / "redis"), TIDINGS_RING_EVENTS="20") as arena,
        Run(arena, "trimmed and expired", seed, figures) as run,
    ):
        faults.holes_until_told(run)
    assert run.figures.resets
