"""The generator gear's subscriber: what ends its wait, and what does not."""

import gevent
import pytest

from tests.wakings import NEVER_S, woken
from tidings.cursor import Cursor
from tidings.topics import Filter
from webapp.page import Page
from webapp.ring import Ring
from webapp.subscriber import CloseReason
from webapp.waiting import WaitingSubscriber

START = Cursor(9, 0)


@pytest.fixture
def subscriber() -> WaitingSubscriber:
    """A stream that nobody has woken."""
    return WaitingSubscriber(Filter(), START)


@pytest.fixture
def page() -> Page:
    """A page for it to hear of."""
    ring = Ring(10)
    ring.restart(START)
    return Page(ring, START)


def test_waking_and_closing_end_a_wait(subscriber: WaitingSubscriber, page: Page) -> None:
    """A wait returns at once if it was woken before, and once per waking."""
    assert not woken(subscriber)
    subscriber.deliver(page)
    subscriber.deliver(page)
    assert woken(subscriber)
    assert not woken(subscriber)
    subscriber.close(CloseReason.GONE)
    assert woken(subscriber)


@pytest.mark.parametrize("closing", [False, True], ids=["news", "the end"])
def test_who_waits_already_is_woken(subscriber: WaitingSubscriber, page: Page, *, closing: bool) -> None:
    """News and the end also reach a greenlet that is in the middle of its wait."""
    waiter = gevent.spawn(subscriber.wait, NEVER_S)
    gevent.idle()
    assert not waiter.ready()
    if closing:
        subscriber.close(CloseReason.DRAINING)
    else:
        subscriber.deliver(page)
    waiter.get(timeout=10)
    assert subscriber.closed is (CloseReason.DRAINING if closing else None)


def test_a_wait_ends_with_its_time(subscriber: WaitingSubscriber) -> None:
    """Without news it returns when its time is up, so that a heartbeat can be said."""
    subscriber.wait(0)
    subscriber.wait(0.001)
    assert subscriber.closed is None


def test_it_closes_for_the_first_reason_given(subscriber: WaitingSubscriber) -> None:
    """Later reasons do not hide why it ended."""
    subscriber.close(CloseReason.DRAINING)
    subscriber.close(CloseReason.LAGGED)
    assert subscriber.closed is CloseReason.DRAINING
