"""How a loop over many streams lets others run.

``gevent.sleep(0)`` runs only other greenlets: up to fifty turns pass before a readable socket is
looked at. A timer goes through the event loop (PARKING.md, 2: 12 ms against 196 ms).
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import gevent

STRIDE: Final = 64
"""Steps between two pauses: 64 writes are some 0.4 ms; measured (PARKING.md, 2)."""


_Item = TypeVar("_Item")


def in_strides(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Give *items* in order, some at a time; let everything else run once before the next.

    A loop in a loop, because a call for each of ten thousand would cost as much as finding its frame.
    """
    hub = gevent.get_hub()
    timer = hub.loop.timer(0)
    for first in range(0, len(items), STRIDE):
        if first:
            hub.wait(timer)
        yield items[first : first + STRIDE]
