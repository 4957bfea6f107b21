"""``tidings publish run``: a whole command is one operation, from its start to its exit.

First stage of the flow, for programs that know nothing of us: takes a command line, runs it, passes what it
prints on as it is, and shows it. The operation is this process', which beats for it: killed, it is
``worker_lost``. Redis is never waited for while the command runs, and never fails it.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, BinaryIO, Final, Self

from tidings.cli.words import clean, count
from tidings.events import CANCELLED, FAILED
from tidings.operation import CANCELLED_MESSAGE, Operation
from tidings.values import MAX_MESSAGE_CHARS

LAST_LINES: Final = 20
"""Of what a command printed, kept with its failure."""
MAX_LINE_BYTES: Final = 4_096
"""What is longer is several lines: nothing that is printed without an end is kept whole."""
LOOK_S: Final = 0.2
"""Between two looks whether it is to be cancelled, which is heard of within 3 s anyway."""
GRACE_S: Final = 10.0
"""From SIGTERM to SIGKILL, for a command that is cancelled. Guessed; Kubernetes gives 30, systemd 90."""
FLUSH_S: Final = 5.0
"""How long the end of a command may wait for its last events, should Redis be away."""
DRAIN_S: Final = 2.0
"""How long its output is waited for once it is gone: a child of its may hold the pipe for ever."""
VARIABLE: Final = "TIDINGS_OPERATION"
"""Names the operation to the command, so that it can publish to it itself."""
SIGNALLED: Final = 128
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""As shells have them. Source: POSIX, XCU 2.8.2."""
_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LINE_END: Final = re.compile(rb"[\r\n]+")


class Output:
    """What a command prints, as the progress of its operation: any thread gives lines.

    Each line counts, out of *total*, and is the message. With *counts*, a pattern with the group of what is
    done and, where it has two, that of the total, only lines that match it are shown. *reports*: at all.
    """

    def __init__(
        self,
        operation: Operation,
        *,
        total: float | None = None,
        counts: re.Pattern[str] | None = None,
        reports: bool = True,
    ) -> None:
        self._operation = operation
        self._total = total
        self._counts = counts
        self._reports = reports
        self._lines = 0
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._lock = threading.Lock()

    @property
    def last(self) -> list[str]:
        """The latest lines, if they may be shown at all."""
        return list(self._last) if self._reports else []

    def take(self, line: str) -> None:
        """Show one line. Never blocks."""
        said = clean(line.rstrip())[:MAX_MESSAGE_CHARS]
        with self._lock:
            self._last.append(said)
            self._lines += 1
            counted = self._count(line) if self._reports else None
            if counted is not None:
                self._operation.progress(*counted, said)

    def _count(self, line: str) -> tuple[float, float | None] | None:
        if self._counts is None:
            return self._lines, self._total
        found = self._counts.search(line)
        with suppress(TypeError, ValueError):  # a group that matched nothing, or no number
            numbers = [count(group) for group in found.groups()] if found else []
            return (numbers[0], numbers[1] if numbers[1:] else self._total) if numbers else None
        return None


def run(operation: Operation, command: Sequence[str], output: Output, environ: Mapping[str, str]) -> int:
    """Run *command* as *operation*; give its exit status, 128 + n where signal n ended it.

    Blocks until it is over; signals meanwhile are the command's. One that cannot be started has failed: 127,
    or 126.
    """
    operation.start()
    with _Signals() as signals:
        try:
            process = _start(command, {**environ, VARIABLE: operation.id})
        except OSError as error:
            status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            message = f"{command[0]} cannot be started: {error.strerror}"
            print(f"tidings: {message}", file=sys.stderr)
            operation.error(FAILED, message, {"exitStatus": status})
        else:
            signals.hand_to(process)
            cancelled = _attend(process, operation, output)
            status = process.returncode if process.returncode >= 0 else SIGNALLED - process.returncode
            _end(operation, command[0], status, output, cancelled=cancelled)
        if not operation.flush(FLUSH_S):
            print("tidings: Redis cannot be reached: the end of the operation may be lost", file=sys.stderr)
    return status


class _Signals:
    """What would end this process, handed to the command instead, from before it starts."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._before: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> Self:
        self._before = [(number, signal.signal(number, self._hear)) for number in _PASSED_ON]
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def hand_to(self, process: "subprocess.Popen[bytes]") -> None:
        """Give *process* those that have come, and those that come."""
        self._process = process
        for number in self._early:
            _signal(process, number)

    def _hear(self, number: int, _frame: Any) -> None:
        if self._process is None:
            self._early.append(number)
        else:
            _signal(self._process, number)


def _start(command: Sequence[str], environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start it in a session of its own, so that what it starts can be ended with it."""
    return subprocess.Popen(  # noqa: S603 - what it is for
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def _attend(process: "subprocess.Popen[bytes]", operation: Operation, output: Output) -> bool:
    """Pass its output on until it is over; end it if that is asked for, and tell whether it was."""
    pairs = ((process.stdout, sys.stdout.buffer), (process.stderr, sys.stderr.buffer))
    readers = [threading.Thread(target=_pass_on, args=(*pair, output), daemon=True) for pair in pairs]
    for reader in readers:
        reader.start()
    cancelled = _wait(process, operation)
    for reader in readers:
        reader.join(DRAIN_S)
    return cancelled


def _wait(process: "subprocess.Popen[bytes]", operation: Operation) -> bool:
    kill_at = None
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
            return kill_at is not None
        if operation.is_cancelling and kill_at is None:
            kill_at = time.monotonic() + GRACE_S
            _signal(process, signal.SIGTERM)
        elif kill_at is not None and time.monotonic() > kill_at:
            _signal(process, signal.SIGKILL)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _pass_on(source: IO[bytes] | None, sink: BinaryIO, output: Output) -> None:
    """Write what comes at once, as it is, and show its lines; a carriage return ends one, too."""
    rest = b""
    while source is not None and (piece := source.read1(MAX_LINE_BYTES)):  # type: ignore[attr-defined]
        with suppress(OSError, ValueError):  # nobody reads our output any more: the command goes on
            sink.write(piece)
            sink.flush()
        *lines, rest = _LINE_END.split(rest + piece)
        if len(rest) >= MAX_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            _take(line, output)
    _take(rest, output)


def _take(line: bytes, output: Output) -> None:
    if line.strip():
        output.take(line.decode(errors="replace"))


def _end(operation: Operation, name: str, status: int, output: Output, *, cancelled: bool) -> None:
    if cancelled:
        operation.error(CANCELLED, CANCELLED_MESSAGE, {"exitStatus": status})
    elif status == 0:
        operation.complete({"exitStatus": 0})
    else:
        details = {"exitStatus": status, "lastLines": output.last}
        operation.error(FAILED, f"{name} ended with status {status}", details)
