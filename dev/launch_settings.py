"""Set-up: what the environment says to ``make run``, checked, and what the launcher passes on.

Takes a mapping, gives one frozen value or one error that names every bad key. It reads only what the launcher
needs; the service reads and checks its own settings.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dev.errors import SetUpError

NUMBERS = {"PORT": ("8000", 65535), "WEB_CONCURRENCY": ("2", 512), "WORKER_CONCURRENCY": ("2", 512)}
"""Settings that are numbers: default and largest value. 65535: RFC 9293, 3.1; 512 processes: guessed."""

EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound
"""Hosts that mean every address of the machine, and the address of each that this machine itself can use."""


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """The launcher's own settings; *redis_url* is empty for an embedded server."""

    host: str
    port: int
    web_concurrency: int
    worker_concurrency: int
    redis_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; a variable that is empty counts as unset.

        Raises: SetUpError with all bad numbers in one line.
        """
        numbers = read_numbers(environ)
        return cls(
            host=environ.get("HOST") or "127.0.0.1",
            port=numbers["PORT"],
            web_concurrency=numbers["WEB_CONCURRENCY"],
            worker_concurrency=numbers["WORKER_CONCURRENCY"],
            redis_url=environ.get("REDIS_URL", ""),
        )

    @property
    def reachable_host(self) -> str:
        """The host to connect to: loopback where *host* means every address."""
        return EVERY_ADDRESS.get(self.host, self.host)

    @property
    def address(self) -> str:
        """The page's address for a person."""
        host = self.reachable_host
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    def environ_for_children(self, environ: Mapping[str, str], redis_url: str) -> dict[str, str]:
        """Return *environ* with the settings filled in and this virtualenv's programs first on the PATH."""
        programs = str(Path(sys.prefix) / "bin")
        return {
            "TIDINGS_AUTH": "open",
            **environ,
            "HOST": self.host,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(self.web_concurrency),
            "WORKER_CONCURRENCY": str(self.worker_concurrency),
            "REDIS_URL": redis_url,
            "PATH": os.pathsep.join([programs, environ.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",
        }


def read_numbers(environ: Mapping[str, str]) -> dict[str, int]:
    """Return the settings that are numbers, by key.

    Raises: SetUpError with all bad ones in one line.
    """
    given = {key: environ.get(key, "").strip() or default for key, (default, _) in NUMBERS.items()}
    bad = [
        f"{key}={text} is not a number from 1 to {NUMBERS[key][1]}"
        for key, text in given.items()
        if not is_number(text, NUMBERS[key][1])
    ]
    if bad:
        raise SetUpError("; ".join(bad))
    return {key: int(text) for key, text in given.items()}


def is_number(text: str, largest: int) -> bool:
    """Tell whether *text* is a whole number from 1 to *largest*, in plain digits."""
    return text.isascii() and text.isdigit() and len(text) <= len(str(largest)) and 1 <= int(text) <= largest
