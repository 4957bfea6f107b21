"""Set-up: ties a process to the life of the one that starts it, then becomes the command it was given.

Called as ``leash.py SIGNAL PARENT_PID COMMAND [ARGUMENT …]``. It asks the kernel to send SIGNAL when the
parent is gone, even by SIGKILL, and execs COMMAND under the same pid. The request survives exec but is not
inherited: it holds COMMAND and not what COMMAND starts. Linux only; elsewhere COMMAND runs without a leash.

A script of its own, because ``preexec_fn`` is unsafe in a process with threads. "Parent" means the *thread*
that started us: start a leashed process from a thread that lives as long as it should.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Specified: ``<linux/prctl.h>``."""

COMMAND_NOT_FOUND = 127
"""Specified: POSIX, the exit status of a shell that cannot find its command."""


def leashed(command: list[str], death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the command line that runs *command* and sends it *death_signal* when this process is gone."""
    return [sys.executable, "-I", "-S", __file__, death_signal.name, str(os.getpid()), *command]


def tie_to_parent(death_signal: signal.Signals, parent_pid: int) -> None:
    """Ask the kernel for *death_signal* when our parent goes; exit at once if it went before we asked.

    Raises: OSError if the kernel refuses; a retry does not help.
    """
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal)) != 0:
        raise OSError("the kernel refused PR_SET_PDEATHSIG")
    if os.getppid() != parent_pid:
        sys.exit(1)


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the command; returns never."""
    signal_name, parent_pid, *command = arguments
    tie_to_parent(signal.Signals[signal_name], int(parent_pid))
    try:
        os.execvp(command[0], command)  # noqa: S606 -- becoming the command is what a leash is for
    except OSError as error:
        print(f"Cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(COMMAND_NOT_FOUND)


if __name__ == "__main__":
    main(sys.argv[1:])
