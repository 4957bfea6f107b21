"""A small disk of the test's own, which can be full without harm to anybody. Only root can make one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SIZE: Final = "64m"
"""Some runs' append-only file, twice: it is written anew now and then."""


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Have *folder* be a disk of its own, if we may; otherwise nothing changes."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = os.geteuid() == 0 and _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder))
    try:
        yield
    finally:
        if mounted:
            _run("umount", str(folder))


def _run(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
