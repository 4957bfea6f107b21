"""Set-up: what can go wrong before the service runs, as errors whose text is one line for a person.

::

    SetUpError
    └── ServerStartError   the embedded server did not come up
"""


class SetUpError(Exception):
    """Something this machine or its environment has to change first; the text says what."""


class ServerStartError(SetUpError):
    """The embedded server exited or stayed silent; *log_lines* holds the last lines it wrote."""

    def __init__(self, reason: str, log_lines: list[str]) -> None:
        self.reason = reason
        self.log_lines = log_lines
        super().__init__(" | ".join([reason, *log_lines]))
