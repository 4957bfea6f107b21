"""Tests: a terminal of a test's own, and what a person would see in it.

A pty whose other end is read by pyte, an emulator.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Self

import pyte

from tests.stack import READ_S, ROOT
from tests.waiting import wait_until

FIXED_SIZE: Final = frozenset({"COLUMNS", "LINES"})
"""Of the terminal that the tests run in: a program that has them does not ask its own for its size."""


class Terminal:
    """``tidings`` in a terminal; leave the ``with`` to end it."""

    def __init__(self, arguments: list[str], environ: Mapping[str, str], columns: int, lines: int) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._ours, self._theirs = pty.openpty()
        self._set_size(columns, lines)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tidings", *arguments],
            cwd=ROOT,
            env={name: value for name, value in environ.items() if name not in FIXED_SIZE}
            | {"TERM": "xterm-256color"},
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
        )

    def __enter__(self) -> Self:
        os.close(self._theirs)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without the lines that are empty."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display if line.strip()]

    def wait_for(self, shows: Callable[[list[str]], bool]) -> None:
        """Wait until its lines are such. Raises: AssertionError with what is there instead."""
        try:
            wait_until(lambda: shows(self.lines), timeout_s=READ_S)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.lines])) from error

    def resize(self, columns: int, lines: int) -> None:
        """Make it of another size, as a person who drags its corner does."""
        with self._lock:
            self._screen.resize(lines, columns)
            self._set_size(columns, lines)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self) -> None:
        with suppress(OSError):  # the other end is closed
            while piece := os.read(self._ours, 65_536):
                with self._lock:
                    self._stream.feed(piece)
        os.close(self._ours)
