"""What is said once per process: advice that would otherwise fill a task's log."""

_said: set[tuple[str, ...]] = set()


def is_first(*what: str) -> bool:
    """Tell whether *what* is asked about for the first time in this process."""
    if what in _said:
        return False
    _said.add(what)
    return True
