"""Tests: the command line, called in this process, with what it prints."""

import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from msgspec import json

from tests.stack import ROOT
from tidings.cli.main import main


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    exit: int
    out: str
    err: str

    @property
    def json(self) -> list[dict[str, object]]:
        """What it printed, read as a JSON value a line."""
        return [json.decode(line) for line in self.out.splitlines()]


class CommandLine:
    """``tidings`` with an environment of its own."""

    def __init__(
        self, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.environ = environ
        self._capsys = capsys
        for name, value in environ.items():
            monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str) -> Said:
        """Call it in this process."""
        self._capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as end:  # argparse's way
            status = int(end.code or 0)
        printed = self._capsys.readouterr()
        return Said(status, printed.out, printed.err)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start it as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "tidings", *arguments],
            cwd=ROOT,
            env=dict(self.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
