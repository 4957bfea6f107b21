"""Calls what waits for a disk or a network, where it holds up no stream."""

from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")


def in_thread(call: Callable[[], T]) -> T:
    """Call it in a real thread and wait for what it gives or raises, as other greenlets run."""
    result: T = gevent.get_hub().threadpool.apply(call)
    return result
