"""Somebody who goes on telling while a test does harm: events at an even pace, from a thread of their own."""

import threading
from types import TracebackType
from typing import Final, Self

from tests.stack import Stack

JOIN_S: Final = 30.0


class Talk:
    """Warnings and progress of some operations, *rate* events a second, until the ``with`` is left.

    ``said`` counts them; each is durable or progress in turn.
    """

    def __init__(self, stack: Stack, *, rate: float, operations: int = 3) -> None:
        self._pause_s = 1 / rate
        self._operations = [stack.operation() for _ in range(operations)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.said = 0

    @property
    def operation_ids(self) -> list[str]:
        """Whom the events are about."""
        return [operation.id for operation in self._operations]

    def warnings(self) -> dict[str, list[str]]:
        """The codes of the warnings said of each operation, in order."""
        count = len(self._operations)
        return {
            operation.id: [f"w{n}" for n in range(at, self.said, count) if n % 2 == 0]
            for at, operation in enumerate(self._operations)
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Say no more; twice does no harm."""
        self._over.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._over.wait(self._pause_s):
            operation = self._operations[self.said % len(self._operations)]
            if self.said % 2:
                operation.progress(self.said, 1_000_000)
            else:
                operation.warning(f"w{self.said}", "noticed")
            self.said += 1
