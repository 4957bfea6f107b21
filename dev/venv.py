"""Set-up: brings ``.venv`` and what a lock file names into it; the first step of every ``make`` target.

Called by the system's Python as ``dev/venv.py LOCK_FILE``, so it imports the standard library only. Takes a
hashed lock file, gives a virtualenv that holds it, and does nothing if it holds it already. Guarantee: an
install that was interrupted is done again. It does not take away what an older lock had brought.
"""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 -- an older Python may come this far, to be told so
    sys.exit("Tidings needs Python 3.11 or newer; name one, for example: make PYTHON=python3.11 …")

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PIP = VENV / "bin" / "pip"
STAMP = VENV / "installed-locks"
LOG = VENV / "install.log"

COMPILERS = ("cc", "gcc", "clang")

DECISIVE_LINES = 3
"""Lines of pip's errors that are shown: the last ones name the cause, the log has the rest. Guessed."""

BUILD_FAILED = "subprocess-exited-with-error"
"""How pip says that it could not build a package; seen with pip 23.0 and 23.2."""

UNBUILT = re.compile(r"(?:Failed to build '?|Failed building wheel for |setup\.py install for )([\w.-]+)")
"""Where pip names that package; the last is of pip 23.0, which Debian 12 puts into a new virtualenv."""


def main(lock: Path) -> None:
    """Make the virtualenv hold *lock*, or exit with what stands in the way."""
    try:
        hold(ROOT)
        if not usable():
            create()
        bring(lock)
    except OSError as error:
        sys.exit(f"Cannot set up {VENV}: {error.filename}: {error.strerror}")


def hold(folder: Path) -> None:
    """Wait until no other set-up works in *folder*, and keep others out until this process ends."""
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)


def usable() -> bool:
    """Tell whether the virtualenv is whole: its Python runs and is new enough, has pip, and was made here.

    The scripts of a virtualenv that was copied or moved would run another one's Python.
    """
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    try:
        made_here = f"{VENV}/bin/python" in PIP.read_text(encoding="utf-8")
        return made_here and run([str(PYTHON), "-I", "-c", probe]).returncode == 0
    except OSError:
        return False


def create() -> None:
    """Make the virtualenv anew, whatever is left of an older one; exit if this Python cannot."""
    if run([sys.executable, "-I", "-c", "import ensurepip, venv"]).returncode != 0:
        package = "python{}.{}-venv".format(*sys.version_info)
        sys.exit(f"This Python has no venv module; install it: apt-get install {package} (Debian, Ubuntu)")
    made = run([sys.executable, "-I", "-m", "venv", "--clear", str(VENV)])
    if made.returncode != 0:
        sys.exit(f"Cannot make {VENV}: {made.stdout.strip().splitlines()[-1]}")


def bring(lock: Path) -> None:
    """Install *lock* unless it is there; the stamp names the locks that are, under the digest of all of them.

    All of them, because they share pins: once one has changed, what another had brought is no longer certain.
    """
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(ROOT.glob("requirements*.txt"))))
    stamp = STAMP.read_text(encoding="utf-8").split() if STAMP.is_file() else []
    if stamp[:1] != [digest.hexdigest()]:
        stamp = [digest.hexdigest()]
    if lock.name not in stamp:
        STAMP.unlink(missing_ok=True)
        install(lock)
        STAMP.write_text("\n".join([*stamp, lock.name]), encoding="utf-8")


def install(lock: Path) -> None:
    """Install *lock* with pip, every file checked against its hash; exit with what decides a failure."""
    print(f"Installing {lock.name} into {VENV.name} …", flush=True)
    pip = run([str(PYTHON), "-I", "-m", "pip", "install", "--no-input", "--require-hashes", "-r", str(lock)])
    LOG.write_text(pip.stdout, encoding="utf-8")
    if pip.returncode != 0:
        sys.exit(missing_compiler(pip.stdout) or "\n".join([*decisive_lines(pip.stdout), f"(all: {LOG})"]))


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run *command*, returning its output as one text; it ends, with all it started, if we have to end."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output)


def missing_compiler(output: str) -> str:
    """Return what to do if pip's *output* tells of a failed build and there is no C compiler, else ''."""
    named = shlex.split(os.environ.get("CC", ""))[:1]
    if BUILD_FAILED not in output or any(shutil.which(name) for name in [*named, *COMPILERS]):
        return ""
    found = UNBUILT.search(output)
    package = found[1] if found else "a package"
    return (
        f"No C compiler, and {package} has no ready-made wheel for this machine; install a compiler: "
        "apt-get install gcc python3-dev (Debian, Ubuntu), xcode-select --install (macOS)"
    )


def decisive_lines(output: str) -> list[str]:
    """Return the lines of pip's *output* that say why it failed, without repetitions."""
    lines = [line.strip() for line in output.splitlines()]
    retries = [line for line in lines if line.startswith("WARNING: Retrying")][-1:]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return [*retries, *list(dict.fromkeys(errors))[-DECISIVE_LINES:]] or lines[-DECISIVE_LINES:]


if __name__ == "__main__":
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop_signal, lambda number, _frame: sys.exit(128 + number))
    main(ROOT / sys.argv[1])
