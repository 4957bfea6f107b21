"""Asks for the cancelling of an operation, and of all that a workflow has begun or is about to.

Takes what the log knows, appends what `tidings.cancel` says, and has the broker drop what waits for its turn.
"""

from collections.abc import Iterator
from functools import partial
from typing import Final

import tidings.celery
from tasks.catalog import UPLOAD
from tidings.cancel import cancelling
from tidings.log import OperationState
from tidings.replay import MAX_STATES
from webapp.service import Service
from webapp.threads import in_thread

AT_A_TIME: Final = 100
"""Operations per append: some 10 ms of Redis (guessed)."""


def cancel(
    here: Service, state: OperationState, by: str, *, reason: str | None = None, attempt: int | None = None
) -> list[str]:
    """Ask for one operation; give what the log said to each record. Waits for Redis and the broker.

    Raises: LogUnavailable.
    """
    records = cancelling(state, by, reason=reason, attempt=attempt)
    codes = [outcome.code for outcome in here.process.writer.append_all(records)]
    if codes[0] == "stored":
        tidings.celery.revoke(here.producer, [state.descriptor.id])
    if codes[-1] == "stored" and state.descriptor.kind == UPLOAD:  # its task, if it runs, cleans up itself
        in_thread(partial(here.incoming.delete, state.descriptor.id))
    return codes


def cancel_leaves(here: Service, workflow: str, by: str, *, reason: str | None = None) -> None:
    """Ask for what a workflow has running and waiting: the running first, at most `MAX_STATES` in all.

    Those beyond, and those that are still to be sent, hear of it as they begin. Waits as `cancel` does.
    Raises: LogUnavailable.
    """
    leaves = list(_leaves(here, workflow))
    for first in range(0, len(leaves), AT_A_TIME):
        some = leaves[first : first + AT_A_TIME]
        here.process.writer.append_all(
            [record for leaf in some for record in cancelling(leaf, by, reason=reason)]
        )
        tidings.celery.revoke(here.producer, [leaf.descriptor.id for leaf in some])


def _leaves(here: Service, workflow: str) -> Iterator[OperationState]:
    _, states = here.log.state([f"members:{workflow}", f"workflows:{workflow}"], MAX_STATES)
    return (state for state in states if state.end is None and state.descriptor.id != workflow)
