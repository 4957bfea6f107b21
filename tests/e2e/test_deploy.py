"""docs/deploy.md, as a newcomer follows it: its own lines, on five bare machines, with a reader outside.

Long form (`make chaos`); needs root, and Debian's debootstrap and systemd-container.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.bare_machines import REPOSITORY, BareMachine, Files, Switch, packages_of, why_not
from tests.proxies import Certificate, make_certificate
from tests.stack import ROOT
from tests.walkthrough import OUTSIDE, Block, blocks, section

EDGE, WEB, REDIS = "10.0.0.10", ("10.0.0.11", "10.0.0.12"), ("10.0.0.21", "10.0.0.22")
MACHINES: Final = (EDGE, *WEB, *REDIS)
PUBLIC, READER = "203.0.113.10", "203.0.113.1"
NAME: Final = "tidings.example.com"
SHARED: Final = "/var/lib/tidings"
HEADING: Final = "## Step by step: two web hosts, nginx, Sentinel, TLS"
TEXT: Final = section((ROOT / "docs" / "deploy.md").read_text(), HEADING).replace(
    "<this repository>", f"file://{REPOSITORY}"
)
BATCHES, MORE_BATCHES = 3, 12
"""That run while hosts are stopped, and while workers wait for their ends: 20 and 40 s for two workers."""


class Site:
    """The machines, by their addresses, and somebody outside who has the command line."""

    def __init__(self, machines: dict[str, BareMachine], outside: str, folder: Path) -> None:
        self._machines = machines
        self._outside = outside
        self._folder = folder

    def type(self, block: Block) -> str:
        """Type the lines of *block* where it says, at once where it says no order; gives what was printed."""
        with ThreadPoolExecutor(1 if block.one_by_one else len(block.machines)) as people:
            return "\n".join(people.map(lambda where: self.run(where, block.lines), block.machines))

    def run(self, where: str, lines: str) -> str:
        """Type *lines* on the machine, or outside."""
        if where != OUTSIDE:
            return self._machines[where].run(lines)
        done = subprocess.run(
            self._shell,
            input=lines.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._env,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{lines}:\n{done.stdout.decode()}"
        return done.stdout.decode()

    @contextmanager
    def meanwhile(self, lines: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Type *lines* outside, and do not wait for their end."""
        with subprocess.Popen(
            [*self._shell, "-c", lines],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    @property
    def _shell(self) -> list[str]:
        hosts = f'mount --bind {self._folder}/hosts /etc/hosts && exec bash -e -o pipefail "$@"'
        return ["ip", "netns", "exec", self._outside, "unshare", "-m", "sh", "-c", hosts, "sh"]

    @property
    def _env(self) -> dict[str, str]:
        authority = str(self._folder / "ca.pem")
        others = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return others | {
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "SSL_CERT_FILE": authority,
            "CURL_CA_BUNDLE": authority,
        }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The five of docs/deploy.md: with a certificate on the edge, and one folder for the web hosts."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("site")
    files = Files.make(folder, packages_of(TEXT), ROOT / "requirements.txt")
    certificate = make_certificate(folder, NAME)
    (folder / "hosts").write_text(f"{PUBLIC} {NAME}\n")
    (folder / "shared").mkdir()
    command_line(folder / "tidings")
    with ExitStack() as stack:
        switch = stack.enter_context(Switch())
        machines = {}
        for address in MACHINES:
            plugs = [("lan", address), *([("wan", PUBLIC)] if address == EDGE else [])]
            network = stack.enter_context(switch.socket(*plugs))
            binds = {SHARED: folder / "shared"} if address in WEB else {}
            machine = BareMachine(address, folder / address, files, network, binds)
            machines[address] = stack.enter_context(machine)
        put_certificate(certificate, machines[EDGE])
        yield Site(machines, stack.enter_context(switch.socket(("wan", READER))), folder)


def put_certificate(certificate: Certificate, edge: BareMachine) -> None:
    """Have the edge have a certificate, as its owner got it from somewhere."""
    edge.run("mkdir -p /etc/ssl/tidings")
    for name in ("fullchain.pem", "key.pem"):
        shutil.copy(certificate.folder / name, edge.root / "etc/ssl/tidings" / name)


def command_line(file: Path) -> None:
    """Put our command line there, as a package's would be (tests/e2e/test_packages.py has the real one)."""
    file.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tidings "$@"\n')
    file.chmod(0o755)


def under(heading: str) -> Sequence[Block]:
    """Give the blocks under the heading that begins so."""
    whole = next(line for line in TEXT.splitlines() if line.startswith(heading))
    return list(blocks(section(TEXT, whole), MACHINES))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_who_follows_the_guide_line_by_line_has_a_service_that_outlives_its_hosts(site: Site) -> None:
    """Bare machines come to a service over TLS; its readers hear of no web host or primary that goes."""
    for step in ("### 1.", "### 2.", "### 3."):
        for block in under(step):
            site.type(block)
    (service,) = under("### 4.")
    assert site.type(service).count('{"status":"ready"}') == len(WEB)
    (edge,) = under("### 5.")
    site.type(edge)
    first, stop_web, start_web, stop_primary = under("### 6.")
    assert "no fault was found" in site.type(first)

    watch_through(site, first, [stop_web, start_web])
    watch_through(site, first, [stop_primary])
    site.run(REDIS[0], "systemctl start redis-server")

    (new_version,) = under("### A new")
    watch_through(site, first, [new_version], MORE_BATCHES)


def watch_through(site: Site, first: Block, meanwhile: Sequence[Block], batches: int = BATCHES) -> None:
    """Do the last two lines of *first* again; what is typed *meanwhile* they are not to notice."""
    *lines, start, watch = first.lines.splitlines()
    exports = "\n".join(line for line in lines if line.startswith("export "))
    with site.meanwhile("\n".join([exports, *[start] * batches, watch])) as watcher:
        assert watcher.stdout is not None
        watcher.stdout.readline()  # it has started one
        for block in meanwhile:
            site.type(block)
        is_still_at_it = watcher.poll() is None
        said, _ = watcher.communicate(timeout=120)
    assert watcher.returncode == 0, said.decode()
    assert is_still_at_it, "all was over before anything was stopped"
