"""What those who wait are told of an exception: its own text only if it was written for them.

An exception's text may repeat arguments, paths, queries, or a URL with its password; who raised it wrote it
for who reads logs. So what is told is its name, unless it is a `Failure` or the settings say otherwise. The
worker's own log has the rest. Pure.
"""

import traceback
from typing import Any, Final, Literal

from tidings.errors import TidingsError
from tidings.events import FAILED

Shows = Literal["name", "message", "traceback"]
"""How much of an exception is told: each is also what the ones before it are."""
FRAMES: Final = 10
"""The last of them are told: those of the task."""


class Failure(TidingsError):
    """An operation cannot go on, for a reason that who waits for it is to read. Raise it in a task.

    The operation ends with *code* (a word for programs), *message* and *details* as its error. To Celery it
    is an exception like any other.
    """

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or {}

    def __reduce__(self) -> tuple[type["Failure"], tuple[str, str, dict[str, Any]]]:
        return type(self), (self.code, str(self), self.details)


def told_of(error: BaseException, shows: Shows) -> tuple[str, str, dict[str, Any]]:
    """Give the code, the message and the details that an operation ends with on account of *error*."""
    if isinstance(error, Failure):
        return error.code, str(error), error.details
    name = type(error).__name__
    details = {"exception": name}
    if shows == "traceback":
        details["traceback"] = "".join(traceback.format_exception(error, limit=-FRAMES))
    return FAILED, said_by(error, shows, f"It failed with {name}."), details


def said_by(error: BaseException, shows: Shows, otherwise: str) -> str:
    """Give what *error* says, if that may be told; *otherwise* if not, or if it says nothing."""
    may_be_told = isinstance(error, Failure) or shows != "name"
    return (may_be_told and str(error)) or otherwise
