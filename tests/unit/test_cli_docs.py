"""docs/cli.md has each command and flag that there is, and no other."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.cli.arguments import parser
from tidings.cli.client_settings import ClientSettings
from tidings.cli.exits import Exit

ROOT = Path(__file__).parent.parent.parent
CLI = ROOT / "tidings/cli"
PAGE = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^##+ (\S.*)\n((?:(?!##).*\n?)*)", PAGE, re.MULTILINE))
COMMON = {"-h", "--help", "--json", "--url", "--token"}


def commands(of: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Give each command with its parser."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, made in action.choices.items():
                yield from commands(made, f"{name} {word}".strip())
    if name:
        yield name, of


COMMANDS = dict(commands(parser(ClientSettings())))


def section_of(command: str) -> str:
    """Give the name of the section that describes *command*."""
    return command if command in SECTIONS else command.split(maxsplit=1)[0]


def flags(made: argparse.ArgumentParser) -> set[str]:
    """Give the flags of a command that are its own."""
    return {flag for action in made._actions for flag in action.option_strings} - COMMON


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_and_flag_is_described(command: str) -> None:
    """In the section of its command."""
    assert f"`tidings {command}" in PAGE or f"`{command} " in PAGE
    described = SECTIONS[section_of(command)]
    assert {flag for flag in flags(COMMANDS[command]) if f"| `{flag}` |" not in described} == set()


@pytest.mark.parametrize("section", SECTIONS)
def test_no_flag_is_described_that_there_is_not(section: str) -> None:
    """Of any command of the section."""
    there = [flags(made) for command, made in COMMANDS.items() if section_of(command) == section]
    assert set(re.findall(r"^\| `(--[\w-]+)` \|", SECTIONS[section], re.MULTILINE)) <= set().union(*there)


def test_each_fault_of_the_doctor_is_described() -> None:
    """And none that there is not."""
    sources = [(CLI / name).read_text() for name in ("doctor.py", "findings.py", "surroundings.py")]
    made = {code for source in sources for code in re.findall(r'Finding\(\s*"(\w+)"', source)}
    faults = SECTIONS["doctor"].partition("| fault |")[2].partition("Notes:")[0]
    rows = {code for row in faults.splitlines() for code in re.findall(r"`(\w+)`", row.partition(" | ")[0])}
    assert rows == made - {"versions", "clocks", "redis_doubt"}


@pytest.mark.parametrize("status", Exit)
def test_each_exit_status_is_described(status: Exit) -> None:
    """As a row."""
    assert f"\n| {status.value} | " in PAGE
