"""Set-up: notes that somebody wants ``make run`` to end.

Takes SIGINT, SIGTERM and SIGHUP, and an interrupt that reached only the ``make`` above us; gives the launcher
one thing to ask. It ends nothing itself.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType


class StopRequest:
    """Whether a stop was asked for; one per launcher, made and asked in its main thread.

    Its handlers stay for the life of the process: a second signal must not break the stopping.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._make = MakeAbove(os.getppid())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it, and means it
            signal.signal(signal.SIGHUP, self._note)

    @property
    def made(self) -> bool:
        """Whether a stop was asked for up to now; never blocks."""
        return self._signalled or self._make.interrupted()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled = True


class MakeAbove:
    """What the kernel says of the signals of *pid*, our parent, if that is GNU make.

    Make passes SIGTERM on to its children. A SIGINT or SIGHUP that reaches make alone (a terminal sends its
    Ctrl-C to us as well) is not passed on: make resets the handler and waits for us, for ever. Seen on GNU
    make 4.3; the reset shows in the mask of caught signals, and nothing else does.
    """

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        is_make = sys.platform == "linux" and self._field("Name") in {"make", "gmake"}
        self._caught = self._caught_now() if is_make else 0

    def interrupted(self) -> bool:
        """Tell whether make has let go of a stop signal that it held when we were started; never blocks."""
        return bool(self._caught) and self._caught_now() != self._caught

    def _caught_now(self) -> int:
        stop_signals = sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGHUP))
        return int(self._field("SigCgt") or "0", 16) & stop_signals

    def _field(self, name: str) -> str:
        try:
            lines = self._status.read_text(encoding="utf-8").splitlines()
        except OSError:  # gone: dev.leash tells us, in its own way
            return ""
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{name}:")), "")
