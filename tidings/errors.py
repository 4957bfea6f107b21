"""Everything that Tidings raises, in one tree.

::

    TidingsError
    ├── SettingsError      the environment asks for something impossible; lists every problem
    ├── InvalidValue       one value is wrong; names the field and what is allowed
    ├── InvalidToken       a signed token is not good; what it says is not to be acted on
    ├── Cancelled          somebody asked for the operation to be cancelled; let it pass
    ├── Failure            an operation cannot go on, in words for who waits (`tidings.failure`)
    ├── DispatchFailed     the broker did not take a task; nothing will run
    ├── HistoryChanged     the log opened another era while it was read; start over
    ├── LogUnavailable     Redis did not do what was asked; trying again may help
    └── StorageUnavailable files could not be written or read: the disk, the bucket, its keys

Errors of lower layers (redis, msgspec) are translated into these once, where they are met.
"""

from collections.abc import Sequence


class TidingsError(Exception):
    """The root: catch this to catch all that Tidings raises on purpose."""


class SettingsError(TidingsError):
    """The environment does not make valid settings.

    *problems* holds one sentence per wrong variable, all of them at once.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class InvalidValue(TidingsError, ValueError):
    """A value was refused: *field* names it, *allowed* says what would have been taken."""

    def __init__(self, field: str, allowed: str, got: object = None) -> None:
        shown = "" if got is None else f", not {_short(got)}"
        super().__init__(f"{field} must be {allowed}{shown}")
        self.field = field
        self.allowed = allowed


class InvalidToken(TidingsError):
    """A token is not good, whatever about it: *reason* is for logs, never for who sent it."""

    def __init__(self, reason: str = "") -> None:
        super().__init__("the token is not valid")
        self.reason = reason


class Cancelled(TidingsError):
    """Somebody asked for the operation to be cancelled: raised in its own code, by `check_cancelled`.

    Let it pass after cleaning up. Who catches it is met with it again at the next check; a task that
    returns all the same has succeeded.
    """

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"operation {operation_id} was asked to be cancelled")
        self.operation_id = operation_id

    def __reduce__(self) -> tuple[type["Cancelled"], tuple[str]]:
        return type(self), (self.operation_id,)


class DispatchFailed(TidingsError):
    """The broker did not take a task; its operation was ended, and nothing will run."""


class HistoryChanged(TidingsError):
    """The log is in another life than the reader was: what was read does not go together."""


class LogUnavailable(TidingsError):
    """Redis could not be reached, answered too late, or refused the command.

    *temporary* is true where the same call may succeed later. An append that ends so may
    or may not have been stored: repeat it with the same numbers and the log sorts it out.
    """

    def __init__(self, message: str, *, temporary: bool = True) -> None:
        super().__init__(message)
        self.temporary = temporary


class StorageUnavailable(TidingsError):
    """The place where files lie did not do what was asked; nothing is half written."""


def _short(value: object, limit: int = 80) -> str:
    """Show *value* in an error message, at most *limit* characters of it, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - an author's own __repr__, or an int too long to print
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
