"""Which bar of a library speaks for an operation: the first that is open in it.

Beside the first stage of the flow: takes the bars that `tidings.adapters.tqdm` and `rich` hear of, gives
their counts to operations. Bars that open while another is open in the same operation are not shown: one
operation has one progress.
"""

import logging
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from tidings.current import current_operation
from tidings.errors import InvalidValue

if TYPE_CHECKING:
    from tidings.operation import Operation

_OPERATION: Final = "_tidings_operation"
"""The attribute that is added to a bar: what it was first shown in, for threads that move it on."""

logger = logging.getLogger(__name__)


class Bars:
    """One library's bars in this process. Any thread may call it; nothing here waits."""

    def __init__(self) -> None:
        self._shown: WeakValueDictionary[str, object] = WeakValueDictionary()

    def show(self, bar: object, current: float, total: float | None, message: str) -> None:
        """Say how far *bar* is, if it is its operation's; a bar belongs to where it was first shown.

        Never raises on values, strict or not: who shows a bar may hold its library's locks.
        """
        operation: Operation | None = vars(bar).get(_OPERATION) or current_operation()
        if operation is None:
            return
        vars(bar)[_OPERATION] = operation
        if self._shown.setdefault(operation.run, bar) is not bar:
            return
        try:
            operation.progress(current, total, message or None)
        except InvalidValue as error:
            logger.warning(
                "a bar of operation %s was not shown: %s",
                operation.id, error, extra={"operation_id": operation.id},
            )  # fmt: skip

    def close(self, bar: object) -> None:
        """Let the next bar of the operation speak for it."""
        operation = vars(bar).get(_OPERATION)
        if operation is not None and self._shown.get(operation.run) is bar:
            del self._shown[operation.run]
