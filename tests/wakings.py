"""Whether a stream of the generator gear has been woken: looked at without waiting for anything."""

from typing import Final

import gevent

from webapp.waiting import WaitingSubscriber

NEVER_S: Final = 36_000.0
"""A wait that no test lives to see the end of."""


def woken(subscriber: WaitingSubscriber) -> bool:
    """Tell whether a wait of *subscriber* returns long before its time is up; it takes the waking."""
    waiter = gevent.spawn(subscriber.wait, NEVER_S)
    gevent.idle()  # until the waiter has come as far as it can
    returned = waiter.successful()
    waiter.kill()
    return returned
