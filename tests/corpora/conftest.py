"""How many cases the corpora's properties make up, and how many it were in the end."""

import pytest

from tests.corpus import choose_profile, tried


def pytest_configure(config: pytest.Config) -> None:
    """Choose: few beside all other tests, many with ``--chaos``."""
    choose_profile(long=config.option.chaos)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many cases a long run has tried."""
    if config.option.chaos:
        for surface, count in sorted(tried.items()):
            terminalreporter.write_line(f"{surface}: {count:,} cases")
        terminalreporter.write_line(f"in all: {tried.total():,} cases")
