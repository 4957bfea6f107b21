"""Set-up: reads the Procfile and runs its lines as children of the launcher.

Takes the text of a Procfile and gives a crew of processes. Guarantee: after :meth:`Crew.stop` none of them is
left, nor what they started in their process groups. It restarts nothing, and their output is not touched.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dev.errors import SetUpError
from dev.leash import leashed

STOP_S = 25.0
"""Specified: the web may take 20 s to hand its streams over, a Heroku-like host kills after 30 s."""

POLL_S = 0.05
"""Pause between two looks at processes that stop: not felt by a person, and no load. Guessed."""

LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$", re.MULTILINE)
"""Specified: the Procfile format of the hosts that run it, ``name: command``."""

RELEASE = "release"
"""Specified: Heroku's release phase runs this line once per deploy, it is not a process of the service."""


def read_procfile(path: Path) -> dict[str, str]:
    """Return the commands of the Procfile at *path* that are meant to go on running, by name, in its order.

    Raises: SetUpError if there is no such file or no line of that form in it.
    """
    try:
        lines = dict(LINE.findall(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SetUpError(f"Cannot read {path}: {error.strerror}") from error
    lines.pop(RELEASE, None)
    if not lines:
        raise SetUpError(f"{path} has no line of the form `name: command`")
    return lines


class Member:
    """One line of the Procfile as a process group of its own; lives from its making to :meth:`end`.

    The line is one command, with variables set before it if need be (``A=1 gunicorn …``), and expanded by a
    shell. The shell becomes the command by ``exec env``, or it would take the signals that are meant for it
    (seen with dash 0.5.12). A process group of its own keeps a terminal's Ctrl-C away, so that the launcher
    decides who stops when.
    """

    def __init__(self, name: str, line: str, *, folder: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            leashed(["/bin/sh", "-c", f"exec env {line}"]), cwd=folder, env=environ, start_new_session=True
        )

    @property
    def alive(self) -> bool:
        """Whether its first process runs; never blocks."""
        return self._process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended, for a person: ``exited with status 1``, ``was killed by SIGKILL``."""
        status = self._process.returncode
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"exited with status {status}"

    def ask_to_stop(self) -> None:
        """Send SIGTERM to its first process only: Celery's pool processes would drop their tasks on it."""
        if self.alive:
            self._process.terminate()

    def end(self) -> None:
        """Kill what is left of the group and wait for its first process."""
        with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Crew:
    """The running lines of one Procfile; the launcher makes it and stops it."""

    def __init__(self) -> None:
        self._members: list[Member] = []

    def start(self, lines: Mapping[str, str], *, folder: Path, environ: Mapping[str, str]) -> None:
        """Start every line in *folder* with exactly the environment *environ*."""
        for name, line in lines.items():
            self._members.append(Member(name, line, folder=folder, environ=environ))

    def ended(self) -> list[Member]:
        """Return the members whose first process is gone; never blocks."""
        return [member for member in self._members if not member.alive]

    def stop(self) -> list[str]:
        """Ask all to stop, wait up to 25 s, kill what is left; return the names of those still alive then."""
        for member in self._members:
            member.ask_to_stop()
        deadline = time.monotonic() + STOP_S
        while (alive := [member for member in self._members if member.alive]) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for member in self._members:
            member.end()
        return [member.name for member in alive]
