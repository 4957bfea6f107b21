"""Set-up: finds a Chromium for the tests, or, as the command that ``make test`` calls, brings one.

Takes the environment, gives the path of a program. It looks first and installs only what is missing; it does
not start the browser or check its version.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dev.errors import SetUpError
from tasks import chromium

APT_GET = (
    "apt-get -qq update",
    "env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends chromium",
)
"""Debian's way to a browser, which asks nothing."""

INSTALL_S = 900.0
"""Some 100 MB to fetch and unpack: a minute on a usual line, this long on a slow one. Guessed."""


def find_chromium(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the Chromium to use, as the tasks find it. Raises: SetUpError if there is none."""
    try:
        return chromium.find_chromium(environ)
    except chromium.NoChromium as error:
        raise SetUpError(str(error)) from error


def install_chromium() -> None:
    """Install one, with Debian's packages as root, else with Playwright; blocks for minutes.

    A failure is not reported here: what counts is whether a browser is found afterwards.
    """
    with_apt = os.geteuid() == 0 and shutil.which("apt-get") is not None
    if not (with_apt and all(succeeds(command.split()) for command in APT_GET)):
        succeeds([sys.executable, "-m", "playwright", "install", "chromium"])


def succeeds(command: list[str]) -> bool:
    """Run *command* to its end, unseen; tell whether it succeeded."""
    try:
        subprocess.run(command, timeout=INSTALL_S, check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def main() -> int:
    """Find or bring a Chromium; return the exit status."""
    try:
        find_chromium()
    except SetUpError as error:
        if os.environ.get("CHROMIUM"):  # a wrong name is a mistake to show, not a browser to install
            return complain(error)
        print("No Chromium here: installing one …", flush=True)
        install_chromium()
        return check()
    return 0


def check() -> int:
    """Return the exit status that says whether there is a Chromium now."""
    try:
        find_chromium()
    except SetUpError as error:
        return complain(error)
    return 0


def complain(error: SetUpError) -> int:
    """Print *error* and return the exit status of a failure."""
    print(error, file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
