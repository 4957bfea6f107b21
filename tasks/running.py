"""The operation that a task of ours runs for."""

from tidings import Operation, current_operation


def running() -> Operation:
    """Give the current operation, without which none of our kinds runs. Raises: RuntimeError."""
    operation = current_operation()
    if operation is None:
        raise RuntimeError("called outside any operation")
    return operation
