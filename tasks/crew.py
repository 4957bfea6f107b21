"""Threads that work through items, a bounded number at a time.

Takes items as they are asked for, gives outcomes as they come, in no order. Knows nothing of reporting.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import count, islice
from typing import Any, Final

from tasks.items import Item, ItemFailed, Outcome
from tidings.adapters.futures import carry
from tidings.failure import said_by
from tidings.process import shown_exceptions

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.1
"""How often it is looked whether to stop: not felt by a person. Guessed."""
AHEAD: Final = 2
"""How many items are handed out per thread: one to do, one to go on with."""
PAUSE_S: Final = 0.2
"""Before the first further try of an item, and twice as long before each one after. Guessed."""


def worked(
    items: Iterator[Item],
    work: Callable[[Any], list[Any]],
    *,
    concurrency: int,
    retries: int,
    is_cancelling: Callable[[], bool],
) -> Iterator[list[Outcome]]:
    """Give what becomes of the *items*: some outcomes at a time, none if there were none for `LOOK_S`.

    An item whose failure may pass is tried up to *retries* times more. Once *is_cancelling*, no item is begun
    any more, and those that are in work are given still. Raises: what *items* raises.
    """
    stop = threading.Event()
    pending: set[Future[Outcome]] = set()
    hand = carry(_tried)
    with ThreadPoolExecutor(concurrency, "batch") as pool:
        try:
            while True:
                if is_cancelling():
                    stop.set()
                    pending = {future for future in pending if not future.cancel()}
                else:
                    for item in islice(items, AHEAD * concurrency - len(pending)):
                        pending.add(pool.submit(hand, item, work, retries, stop))
                if not pending:
                    return
                done, pending = wait(pending, LOOK_S, FIRST_COMPLETED)
                yield [future.result() for future in done]
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _tried(item: Item, work: Callable[[Any], list[Any]], retries: int, stop: threading.Event) -> Outcome:
    for tries in count(1):
        try:
            return Outcome(item.number, item.name, tries, work(item.value))
        except ItemFailed as error:
            failed = error
        except Exception as error:
            failed = _unforeseen(error)
            if tries > retries:
                logger.warning("an item of a batch failed with what its work does not know of", exc_info=True)
        if tries > retries or not failed.may_pass or stop.wait(PAUSE_S * 2 ** (tries - 1)):
            break
    return Outcome(item.number, item.name, tries, [], failed.code, str(failed))


def _unforeseen(error: Exception) -> ItemFailed:
    """Say the error by its class, and in its own words where the settings say so."""
    name = type(error).__name__
    said = said_by(error, shown_exceptions(), "")
    return ItemFailed("item_failed", f"{name}: {said}" if said else name, may_pass=True)
