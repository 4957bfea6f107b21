"""The Chromium of this machine: where it is, how it is started.

Takes the environment, gives the path of a program. It looks only: it installs nothing and starts nothing.
"""

import os
import shutil
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

CACHES: Final = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
"""Specified: Playwright's documentation, "Browsers", for Linux and macOS."""

PROGRAMS: Final = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/chrome-*/*headless*shell",
)
"""Where a browser lies in Playwright's cache. Read in the registry of playwright 1.65."""

FLAGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",  # these four: no traffic but the session's own
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-breakpad",  # no handler of crashes that would outlive the browser
)

INSTALL: Final = "apt-get install chromium (as root), or: python -m playwright install chromium"


class NoChromium(Exception):
    """There is no Chromium here; says how to get one."""


def find_chromium(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the Chromium to use: ``$CHROMIUM``, else the PATH's, else Playwright's own.

    Raises: NoChromium.
    """
    chosen = environ.get("CHROMIUM")
    path = environ.get("PATH", os.defpath)
    if chosen and shutil.which(chosen, path=path) is None:
        raise NoChromium(f"CHROMIUM={chosen} is not a program that can be run")
    on_path = (shutil.which(name, path=path) for name in ([chosen] if chosen else NAMES))
    found = next(filter(None, chain(on_path, cached(environ))), None)
    if found is None:
        raise NoChromium(f"No Chromium was found. Install one ({INSTALL}), or name one in CHROMIUM.")
    return Path(found)


def cached(environ: Mapping[str, str]) -> list[str]:
    """Return the browsers in Playwright's cache, the newest of each sort first."""
    folders = [environ.get("PLAYWRIGHT_BROWSERS_PATH") or "", *CACHES]
    caches = [Path(folder).expanduser() for folder in folders if folder]
    found = [sorted(cache.glob(program), reverse=True) for program in PROGRAMS for cache in caches]
    return [str(path) for path in chain.from_iterable(found) if os.access(path, os.X_OK)]
