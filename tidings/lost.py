"""What is said of an attempt whose worker was lost, whoever notices it first.

Takes what the log knows of the attempt, gives the records that end it: the operation is over, or
goes on with another attempt where the broker will deliver its task again. Pure.
"""

from typing import Any, Final

from tidings.descriptor import Descriptor
from tidings.events import CANCELLED, FAILED, RETRYING, Error, Status
from tidings.record import Record

WORKER_LOST: Final = "worker_lost"


def lost_attempt(
    descriptor: Descriptor,
    message: str,
    *,
    condition: str,
    run: str = "",
    attempt: int = 1,
    redelivery_s: int = 0,
) -> list[Record]:
    """Say that the attempt's worker was lost: the end, or ``retrying`` if its task comes again.

    *redelivery_s*: within so long; 0: it does not.
    """
    if not redelivery_s:
        return ending(descriptor, WORKER_LOST, message, condition=condition, run=run, attempt=attempt)
    details = {"reason": WORKER_LOST, "message": message, "redeliveryS": redelivery_s}
    return [
        Record.of(
            descriptor, Status, condition=condition, run=run, attempt=attempt, leaves=True,
            redelivery_s=redelivery_s, status=RETRYING, details=details,
        )
    ]  # fmt: skip


def ending(
    descriptor: Descriptor,
    code: str,
    message: str,
    details: object = None,
    *,
    condition: str,
    run: str = "",
    attempt: int = 1,
) -> list[Record]:
    """Say from outside that an operation has ended: its final status, then its terminal error."""
    status = CANCELLED if code == CANCELLED else FAILED
    said: dict[str, Any] = {"code": code, "message": message, "terminal": True}
    if details is not None:
        said["details"] = details
    return [
        Record.of(descriptor, Status, condition=condition, run=run, attempt=attempt, status=status),
        Record.of(descriptor, Error, condition=condition, run=run, attempt=attempt, **said),
    ]
