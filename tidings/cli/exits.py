"""How a command ends: its exit status, and the errors that end it."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from tidings.errors import TidingsError


class Exit(IntEnum):
    """The exit statuses of ``tidings``, the same for every command."""

    OK = 0
    """Done. `watch`: every operation succeeded."""
    FAILED = 1
    """An operation failed; what was asked for was refused; the doctor found a fault."""
    USAGE = 2
    """The command line or a setting is wrong."""
    CANCELLED = 3
    """An operation was cancelled, and none failed."""
    UNREACHABLE = 4
    """The service, or Redis, cannot be reached, cannot answer now, or does not let us in."""
    UNKNOWN = 5
    """There is no such operation."""
    INTERRUPTED = 130
    """Ctrl-C. Source: what shells make of a SIGINT."""


class CommandFailed(TidingsError):
    """A command cannot go on; *exit* is its status."""

    def __init__(self, message: str, status: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit = status


class Unreachable(CommandFailed):
    """The service could not be reached, or what answered does not speak HTTP; trying again may help."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} cannot be reached: {reason}", Exit.UNREACHABLE)
        self.reason = reason


class Refused(CommandFailed):
    """The service answered with an error: *status* is HTTP's, *problem* the document that came with it."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"the service answered {status}"), _exit(status))
        self.status = status
        self.problem = problem

    @property
    def temporary(self) -> bool:
        """Whether the same request may be answered later."""
        return self.status in {408, 425, 429} or self.status >= 500  # noqa: PLR2004 - HTTP's


def _exit(status: int) -> Exit:
    match status:
        case 400 | 422:
            return Exit.USAGE
        case 404 | 410:
            return Exit.UNKNOWN
        case 409 | 413:
            return Exit.FAILED
        case _:
            return Exit.UNREACHABLE
