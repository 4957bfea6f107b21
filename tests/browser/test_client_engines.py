"""The JavaScript client in Firefox and WebKit, where they are to be had, as in Chromium.

``make test`` installs neither. On Debian: ``apt-get install firefox-esr webkit2gtk-driver xvfb xauth``.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from tests.browser.test_client import (  # noqa: F401 - collected here once more, for other pages
    gate,
    house,
    redis,
    test_a_204_and_an_end_are_the_end,
    test_a_503_in_between_does_not_end_it,
    test_a_lost_history_is_one_reset_with_the_new_state,
    test_a_proxy_that_dies_silently_is_noticed,
    test_a_refused_token_is_asked_for_anew,
    test_nothing_is_missed_when_the_web_process_is_killed,
    test_redis_away_and_back_is_degraded_and_then_live,
)
from tests.engines import FIREFOX, WEBKIT, EnginePage, find, firefox, webkit

Start = Callable[[Path], AbstractContextManager[EnginePage]]

ENGINES: Final[dict[str, tuple[tuple[str, ...], Start]]] = {
    "firefox": (FIREFOX, firefox),
    "webkit": (WEBKIT, webkit),
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnginePage]:
    """The page of a browser that is installed."""
    names, start = ENGINES[request.param]
    if find(names) is None:
        pytest.skip(f"there is no {names[0]} here")
    with start(tmp_path_factory.mktemp(request.param)) as page:
        yield page


@pytest.fixture
def page(engine: EnginePage) -> EnginePage:
    """The page, with nothing on it."""
    engine.goto("about:blank")
    return engine
