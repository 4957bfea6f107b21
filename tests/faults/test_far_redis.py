"""The cable between web and Redis is pulled: the kernel's own loss, not a relay's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import netns
from tests.faults.arena import Arena
from tests.faults.figures import Figures
from tests.faults.run import Run


@pytest.fixture
def place() -> Iterator[netns.FarAway]:
    """A network namespace at the far end of a cable."""
    if reason := netns.why_not():
        pytest.skip(f"{reason}; a relay that holds the bytes back stands in for it (test_faults.py)")
    with netns.FarAway() as place:
        yield place


def test_pulled_cable_costs_time_and_nothing_else(
    place: netns.FarAway, tmp_path: Path, seed: str, figures: list[Figures]
) -> None:
    """Web finds out by itself that Redis is gone, goes on when the cable is back, and loses nothing."""
    redis = netns.FarRedis(tmp_path / "redis", place)
    with (
        Arena(tmp_path, redis, web_url=redis.far_url) as arena,
        Run(arena, "cable pulled", seed, figures) as run,
        run.fault(),
    ):
        place.cut()
        run.until_noticed()
        place.mend()
    assert run.figures.resets == 0
