"""tqdm's bars become the progress of the operation that they run in, as they are.

Beside the first stage of the flow. After `install` every ``tqdm(...)`` of the process, wherever it was
imported, also reports; ``desc`` is the message. tqdm's own throttle comes first (``mininterval``). A bar
with ``disable=True`` keeps no count and shows nothing. Extra: ``tidings[tqdm]``.
"""

from functools import cache, wraps
from typing import Any

from tqdm.std import tqdm

from tidings.adapters.bars import Bars

_bars = Bars()


@cache
def install() -> None:
    """Have tqdm's bars report from now on; once is enough. Source: tqdm 4, ``display`` and ``close``."""
    display, close = tqdm.display, tqdm.close

    @wraps(display)
    def report_and_display(bar: Any, *args: Any, **kwargs: Any) -> Any:
        _bars.show(bar, bar.n, bar.total, bar.desc.rstrip(": "))
        return display(bar, *args, **kwargs)

    @wraps(close)
    def close_and_let_go(bar: Any) -> None:
        close(bar)  # displays it for the last time
        _bars.close(bar)

    tqdm.display, tqdm.close = report_and_display, close_and_let_go
