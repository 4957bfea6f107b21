"""Functions that are run elsewhere go on working for the operation they were handed on in.

Beside the first stage of the flow: for ``concurrent.futures`` and ``multiprocessing``, whose threads and
processes know of no current operation. Needs no extra::

    with ProcessPoolExecutor() as pool:
        futures = [pool.submit(carry(resize), image) for image in images]
        for future in track(as_completed(futures), len(futures)):
            ...

A child process reports by a reporter of its own, into the same run: the parent's beat keeps it alive, and
the parent ends it. Of progress that several report the latest counts, so count in one place. That the
operation is to be cancelled a child hears with its own next report; one that says nothing does not.

In prefork workers Python forbids children (``billiard`` has executors that work); threads are possible
everywhere.
"""

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final, Generic, ParamSpec, TypeVar

from tidings.current import activate, current_operation, deactivate
from tidings.descriptor import Descriptor
from tidings.errors import Cancelled
from tidings.operation import Operation
from tidings.process import adopt, this_process
from tidings.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

FLUSH_S: Final = 0.25
"""How long a child's result may wait for its last report: a hundred times what Redis takes, and no outage."""


def carry(function: Callable[P, R], operation: Operation | None = None) -> Callable[P, R]:
    """Have *function* run in *operation*, or in the one that is current here, wherever it is called.

    What it gives can be pickled if *function* can. Outside any operation it gives *function* itself.
    """
    operation = operation or current_operation()
    return function if operation is None else Carried(function, operation, os.getpid())


class Carried(Generic[P, R]):
    """A function with the operation that it works for. Called any number of times, by any thread.

    In a child process a call ends when its last report has reached the log, or after `FLUSH_S`: the
    parent may end the operation as soon as it has the result.
    """

    def __init__(self, function: Callable[P, R], operation: Operation, pid: int) -> None:
        self._function, self._operation, self._pid = function, operation, pid

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function in its operation."""
        is_child = os.getpid() != self._pid
        with self._operation.visited(FLUSH_S) if is_child else nullcontext():
            token = activate(self._operation)
            try:
                return self._function(*args, **kwargs)
            finally:
                deactivate(token)

    def __reduce__(self) -> tuple[Any, ...]:
        operation = self._operation
        told = (operation.descriptor.encode(), operation.attempt, operation.redelivery_s, operation.run)
        error = operation.cancelled_error
        return _carried, (self._function, told, error, this_process().settings, self._pid)


def _carried(
    function: Callable[P, R],
    told: tuple[bytes, int, int, str],
    cancelled_error: type[Cancelled],
    settings: Settings,
    pid: int,
) -> Carried[P, R]:
    """Make it again in a child process."""
    descriptor, attempt, redelivery_s, run = told
    adopt(settings)
    operation = Operation.of(Descriptor.decode(descriptor), attempt, redelivery_s)
    operation.run = run
    operation.cancelled_error = cancelled_error
    return Carried(function, operation, pid)
