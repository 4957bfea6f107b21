"""Calls what waits for a disk or a network, where it holds up no stream."""

from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")


def in_thread(call: Callable[[], T]) -> T:
    """Call it in a real thread and wait for what it gives or raises, as other greenlets run."""
    results: list[T] = []
    error: BaseException | None = gevent.get_hub().threadpool.apply(_keep, (call, results))
    if error is not None:
        raise error
    return results[0]


def _keep(call: Callable[[], T], results: list[T]) -> BaseException | None:
    """Give what it raises: gevent prints all that passes a thread's end, be it never so expected."""
    try:
        results.append(call())
    except BaseException as error:  # noqa: BLE001 - raised again by who waits
        return error
    return None
