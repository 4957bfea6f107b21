"""Work in an event loop that stops when its operation is asked to be cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from tidings import Operation

T = TypeVar("T")

LOOK_S: Final = 0.1
"""How often it is looked: not felt by a person, and no load. Guessed."""

CLEAN_UP_S: Final = 20.0
"""How long clean-up may take: a browser is closed in a tenth of a second. Guessed."""


def run(work: Coroutine[Any, Any, T], operation: Operation) -> T:
    """Do *work* in a loop of its own and return what it comes to; blocks as long.

    Where the operation is to be cancelled, the work is stopped wherever it waits, its ``finally`` run, and
    Cancelled raised.
    """
    return asyncio.run(_until_cancelled(work, operation))


async def _until_cancelled(work: Coroutine[Any, Any, T], operation: Operation) -> T:
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_S)
            if not task.done():
                operation.check_cancelled()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CLEAN_UP_S)
    return task.result()
