"""An end that a kind of ours has a name for, told as the operation's error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tidings import Operation, current_operation


class Failure(Exception):
    """The operation cannot go on: *code*, message and *details* are what is told."""

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or {}

    def __reduce__(self) -> tuple[type["Failure"], tuple[str, str, dict[str, Any]]]:
        return type(self), (self.code, str(self), self.details)


@contextmanager
def failing() -> Iterator[Operation]:
    """Give the current operation, and end it with what a Failure says; Celery has it as failed too."""
    operation = current_operation()
    if operation is None:
        raise RuntimeError("called outside any operation")
    try:
        yield operation
    except Failure as failure:
        operation.error(failure.code, str(failure), failure.details or None)
        raise
