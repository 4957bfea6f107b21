"""What the machine allows and what processes use of it. Reads /proc (Linux); changes only our own limit."""

import os
import platform
import resource
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.errors import NotMeasured

SPARE_DESCRIPTORS: Final = 1_000
"""Descriptors of a server or client process that are no streams: a guess, generous."""
STREAM_BYTES: Final = 40_000
"""Of a stream in the dearest server: 28 KB in the prototypes' Go hub, and 8.2 KB of kernel (measured)."""
ESTABLISHED: Final = "01"
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def raise_limit() -> int:
    """Raise this process' descriptor limit to the hard one, for itself and all it starts; give it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def streams_per_process() -> int:
    """Say how many streams one process can hold under its descriptor limit."""
    return raise_limit() - SPARE_DESCRIPTORS


def processes_for(streams: int, least: int) -> int:
    """Say how many server processes *streams* need; some room is left, as accept shares unevenly."""
    return max(least, -(-streams // (streams_per_process() * 9 // 10)))


def check_room(streams: int) -> None:
    """Raise NotMeasured if this machine cannot hold *streams* streams and their clients."""
    files = int(Path("/proc/sys/fs/file-max").read_text(encoding="ascii"))
    if files < streams * 2 + 10_000:
        raise NotMeasured(f"{streams:,} streams need {streams * 2:,} open files; fs.file-max is {files:,}")
    free = _memory_kb("MemAvailable") * 1024
    if free < streams * STREAM_BYTES:
        raise NotMeasured(
            f"{streams:,} streams may need {streams * STREAM_BYTES >> 20} MB; {free >> 20} MB are free"
        )


def tree(pid: int) -> list[int]:
    """Give *pid* and all its descendants that live now."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
    return found


def pss_kb(pids: Iterable[int]) -> int:
    """Give the proportional set size of *pids* together, in KB: pages that are shared count once."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def cpu_s(pids: Iterable[int]) -> float:
    """Give the CPU seconds, user and kernel, that *pids* have used."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            fields = stat.rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


def unsent(port: int, peer: str) -> dict[int, int]:
    """Give the bytes unsent in each connection of *port* to *peer*, by the peer's port. Source: proc(5)."""
    here, there = f":{port:04X}", f"{int.from_bytes(socket.inet_aton(peer), sys.byteorder):08X}:"
    waiting: dict[int, int] = {}
    with Path("/proc/net/tcp").open(encoding="ascii") as rows:
        for row in rows:
            _, local, remote, state, queues, _ = row.split(maxsplit=5)
            if local.endswith(here) and remote.startswith(there) and state == ESTABLISHED:
                waiting[int(remote[-4:], 16)] = int(queues.partition(":")[0], 16)
    return waiting


def describe() -> dict[str, str | int]:
    """Describe the machine for the table's head."""
    return {
        "cores": os.cpu_count() or 1,
        "memory_mb": _memory_kb("MemTotal") // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "descriptors_per_process": raise_limit(),
    }


def _memory_kb(name: str) -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
