"""A network of a test's own, in which it can make peers fall silent: neither FIN, nor RST, nor ACK.

Needs the right to make a network namespace (root has it, unless a container took it away) and ``ip``; skips
the test otherwise.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

_CLONE_NEWNET: Final = 0x4000_0000  # sched.h; os.unshare comes with Python 3.12


@contextmanager
def private_network() -> Iterator[None]:
    """Have this thread, and all that it starts from now on, see a network with nothing but a loopback."""
    if shutil.which("ip") is None:
        pytest.skip("no ip(8) to take a route away with")
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace of our own: {os.strerror(ctypes.get_errno())}")
        try:
            _ip("link", "set", "lo", "up")
            yield
        finally:
            if libc.setns(home, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot go back to the network that we came from")
    finally:
        os.close(home)


@contextmanager
def silenced(address: str) -> Iterator[None]:
    """Have nothing reach the sockets of *address*, of this private network, and nothing come from there."""
    _ip("route", "add", "blackhole", address, "table", "local")
    try:
        yield
    finally:
        _ip("route", "del", "blackhole", address, "table", "local")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
