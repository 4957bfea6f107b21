"""Machines with Debian and nothing else, each booted by a systemd of its own, that reach only one another.

A machine is a container of systemd-nspawn with a network namespace; all hang on one switch, which is a
namespace too, so that no address of theirs is this machine's. What apt and pip are to install is fetched
before, once, into the files that all begin with. Needs root and the Debian packages `NEEDED`.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dev.leash import leashed
from tests.stack import ROOT
from tests.waiting import wait_until

NEEDED: Final = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "ip": "iproute2"}
"""Programs, and the packages that have them."""
RELEASE: Final = "bookworm"
_WITH: Final = "systemd,systemd-sysv,dbus,iproute2,ca-certificates"
"""What every Debian has that was installed, and the smallest that debootstrap makes has not."""
WHEELS, REPOSITORY = "/mnt/wheels", "/mnt/repository"
"""Where a machine finds what pip installs, and what git clones."""
BOOT_S: Final = 60.0
_ENTER: Final = 'for group in $0; do echo $$ > "$group/cgroup.procs"; done'
FETCH_S: Final = 900.0
_EVERYWHERE: Final = ("-m", "-u", "-i", "-n", "-p", "-r", "-w")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PLAIN: Final = {"PATH": _PATH, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}
_OFFLINE: Final = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def why_not() -> str | None:
    """Say why there can be none here, if so."""
    if os.geteuid() != 0:
        return "only root can boot machines"
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    return f"apt-get install {' '.join(missing)}" if missing else None


@dataclass(frozen=True, slots=True)
class Files:
    """What every machine begins with: a Debian with *packages* fetched, not installed; and wheels."""

    debian: Path
    wheels: Path

    @classmethod
    def make(cls, folder: Path, packages: Sequence[str], requirements: Path) -> Self:
        """Fetch it all: a minute or three."""
        debian, fetching = folder / "debian", folder / "fetching"
        _do("debootstrap", "--variant=minbase", f"--include={_WITH}", RELEASE, str(debian))
        # Whatever authority and name server this machine believes, that one does too.
        for name in ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"):
            shutil.copyfile(name, debian / name[1:])
        _inside(debian, "apt-get update", f"apt-get install --download-only -y {' '.join(packages)}")
        _do("cp", "-a", str(debian), str(fetching))  # by its own Python: what it needs is not what ours does
        shutil.copy(requirements, fetching / "requirements.txt")
        _inside(
            fetching,
            "apt-get install -y python3-venv",
            "python3 -m venv /venv",
            "/venv/bin/pip download -q -d /wheels -r /requirements.txt",
        )
        (debian / "etc/resolv.conf").write_text("")
        return cls(debian, fetching / "wheels")


class Switch:
    """A network namespace with two bridges: ``lan``, and ``wan`` for what is outside."""

    def __init__(self) -> None:
        self._name = _fresh_name()

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        for bridge in ("lan", "wan"):
            _ip("-n", self._name, "link", "add", bridge, "type", "bridge")
            _ip("-n", self._name, "link", "set", bridge, "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _ip("netns", "del", self._name)

    @contextmanager
    def socket(self, *plugs: tuple[str, str]) -> Iterator[str]:
        """Make a namespace that is plugged in: by ``(bridge, address)`` each. Gives its name."""
        name = _fresh_name()
        _ip("netns", "add", name)
        try:
            _ip("-n", name, "link", "set", "lo", "up")
            for bridge, address in plugs:
                port = _fresh_name()
                _ip("-n", name, "link", "add", bridge, "type", "veth", "peer", port, "netns", self._name)
                _ip("-n", self._name, "link", "set", port, "master", bridge, "up")
                _ip("-n", name, "addr", "add", f"{address}/24", "dev", bridge)
                _ip("-n", name, "link", "set", bridge, "up")
            yield name
        finally:
            _ip("netns", "del", name)


@dataclass
class BareMachine:
    """One machine, from ``with`` to its end. *binds*: folders of ours that it sees, by their place there."""

    address: str
    folder: Path
    files: Files
    network: str
    binds: Mapping[str, Path] = field(default_factory=dict)
    _leader: int = 0
    _ends: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            self._boot(ends)
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ends.close()

    @property
    def root(self) -> Path:
        """Its files, as this machine sees them."""
        return self.folder / "root"

    def run(self, lines: str, timeout_s: float = 300.0) -> str:
        """Type *lines* into a shell that ends at the first that fails; gives what they print.

        Raises: AssertionError with what they printed.
        """
        done = self._type(lines, timeout_s)
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{self.address}, {lines}:\n{said}\n{self._journal()}"
        return said

    def _type(self, lines: str, timeout_s: float) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            ["nsenter", "-t", str(self._leader), *_EVERYWHERE, "/bin/bash", "-e", "-o", "pipefail"],
            input=lines.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_PLAIN | _OFFLINE | {"ME": self.address},
            timeout=timeout_s,
            check=False,
        )

    def _journal(self) -> str:
        return self._type("journalctl --no-pager -n 60", BOOT_S).stdout.decode(errors="replace")

    def _boot(self, ends: ExitStack) -> None:
        for name in ("changed", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        layers = f"lowerdir={self.files.debian},upperdir={self.folder}/changed,workdir={self.folder}/work"
        _do("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        ends.callback(_do, "umount", "--lazy", str(self.root))
        (self.root / "etc/hostname").write_text(f"host-{self.address.replace('.', '-')}\n")
        told = ends.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        where = Path(ends.enter_context(tempfile.TemporaryDirectory()), "notify")  # 107 characters at most
        told.bind(str(where))
        told.settimeout(BOOT_S)
        log = ends.enter_context((self.folder / "console").open("wb"))
        groups = ends.enter_context(_control_groups())
        process = subprocess.Popen(
            leashed(["sh", "-c", f'{_ENTER}; exec systemd-nspawn "$@"', " ".join(groups), *self._options()]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"NOTIFY_SOCKET": str(where)},
        )
        ends.callback(_end, process)
        self._leader = _booted(told)
        ends.callback(os.kill, self._leader, signal.SIGKILL)  # the kernel ends all of its pid namespace then
        wait_until(lambda: "running" in self.run("systemctl is-system-running || true"), timeout_s=BOOT_S)

    def _options(self) -> list[str]:
        binds = {WHEELS: self.files.wheels, REPOSITORY: ROOT}
        return [
            *("--boot", "--register=no", "--keep-unit", "--console=pipe", "--notify-ready=yes"),
            f"--directory={self.root}",
            f"--network-namespace-path=/run/netns/{self.network}",
            *(f"--bind-ro={here}:{there}" for there, here in binds.items()),
            *(f"--bind={here}:{there}" for there, here in self.binds.items()),
        ]


def packages_of(lines: str) -> list[str]:
    """Name what ``apt-get install`` installs anywhere in *lines*."""
    return [name for line in re.findall(r"apt-get install -y (.*)", lines) for name in line.split()]


@contextmanager
def _control_groups() -> Iterator[list[str]]:
    """Make groups for one machine: two whose systemds share theirs remove each other's services.

    Of one name in each hierarchy, for systemd-nspawn makes those that it misses.
    """
    name, roots = _fresh_name(), [Path("/sys/fs/cgroup", kind) for kind in ("systemd", "unified", "")]
    groups = [root / name for root in roots if (root / "cgroup.procs").exists()]
    for group in groups:
        group.mkdir()
    try:
        yield [str(group) for group in groups]
    finally:
        for group in groups:
            wait_until(partial(_is_removed, group), timeout_s=BOOT_S)


def _is_removed(group: Path) -> bool:
    with suppress(OSError):  # what is in it is still ending
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()
    return not group.exists()


def _booted(told: socket.socket) -> int:
    """Wait until systemd-nspawn says that the machine is up; gives the pid of its first process."""
    said = ""
    while "READY=1" not in said:
        said += told.recv(4_096).decode() + "\n"
    found = re.search(r"X_NSPAWN_LEADER_PID=(\d+)", said)
    assert found, said
    return int(found[1])


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _inside(root: Path, *lines: str) -> None:
    for line in lines:
        _do("chroot", str(root), "sh", "-c", line, env=_PLAIN)


def _fresh_name() -> str:
    return f"td{os.urandom(4).hex()}"  # an interface's name has at most 15 characters


def _ip(*words: str) -> None:
    _do("ip", *words)


def _do(*command: str, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, timeout=FETCH_S
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout.decode(errors='replace')[-4_000:]}"
