"""What every test of the model needs: servers for all of them, and sizes that a short run reaches."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from tests.model.servers import Servers
from tests.model.world import World, make_apps

SMALL = {
    "tidings.reporter.BATCH_RECORDS": 8,
    "tidings.log.PAGE_ENTRIES": 4,
    "webapp.feed.PAGE_ENTRIES": 4,
    "webapp.subscriber.MAX_WAITING_BYTES": 1_500,
    "webapp.parked.REFILL_BYTES": 900,
    "webapp.hub.LINGER_S": 0,
}
"""Pages, shares and writes of a few events, and no time: none of these sizes is part of the contract."""


@pytest.fixture(autouse=True, scope="module")
def small_sizes() -> Iterator[None]:
    """Have a few events do what thousands do elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in SMALL.items():
            patch.setattr(name, size)
        yield


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Three servers for the whole run."""
    with Servers(tmp_path_factory.mktemp("model")) as servers:
        yield servers


@pytest.fixture(scope="session")
def apps(servers: Servers) -> list[Flask]:
    """The apps of the two web processes."""
    return make_apps(servers)


@pytest.fixture
def make_world(servers: Servers, apps: list[Flask]) -> Iterator[Callable[[], World]]:
    """Make a world, in place of the one that was made before."""
    worlds: list[World] = []

    def make() -> World:
        for before in worlds:
            before.close()
        worlds[:] = [World(servers, apps)]
        return worlds[0]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """An empty log, two web processes that have read it, two authors and some browsers."""
    return make_world()
