"""What is said when somebody asks for an operation to be cancelled. Pure.

Takes the operation as the log knows it, gives the records that ask it to end, and end it where nobody
works on it. How the run that does so hears of it: docs/adr/0009.
"""

from tidings.events import CANCELLED, CANCELLING, Error, Status
from tidings.log import OperationState
from tidings.record import IDLE, Record, cancel

MESSAGE = "The operation was cancelled before it began."


def cancelling(
    state: OperationState, by: str, *, reason: str | None = None, attempt: int | None = None
) -> list[Record]:
    """Say that *by* asked for it, to be appended in one step; of *attempt* only, if one is named.

    The first one is told ``asked`` where that is said already, ``stale`` where another attempt is at it; the
    others end the operation if it waits for its turn, and are told ``alive`` if it does not.
    """
    asked = {"askedBy": by} | ({} if reason is None else {"reason": reason})
    about, number = state.descriptor, state.attempt
    return [
        Record.of(about, Status, condition=cancel(attempt), attempt=number, status=CANCELLING, details=asked),
        Record.of(about, Status, condition=IDLE, attempt=number, status=CANCELLED),
        Record.of(
            about, Error, condition=IDLE, attempt=number, code=CANCELLED, message=MESSAGE, details=asked,
            terminal=True,
        ),
    ]  # fmt: skip
