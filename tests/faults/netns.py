"""A Redis behind a cable of the kernel's own: in a network namespace, at the far end of a veth pair.

Pulling the cable takes the carrier away and drops every packet, so that nobody hears of it: no FIN, no RST,
and no answer to a SYN. Only root can make one. Those who use its unix socket need no cable.
"""

import os
import secrets
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dev.leash import leashed
from dev.redis_server import RedisServer

PORT: Final = 6379
NEAR, FAR = "10.213.{net}.1", "10.213.{net}.2"


class FarAway:
    """A network namespace and its cable, from ``with`` to its end. Only where `why_not` says nothing."""

    def __init__(self) -> None:
        self._name = f"tidings{secrets.token_hex(3)}"  # an interface's name has at most 15 characters
        net = secrets.randbelow(254)
        self.near, self.address = NEAR.format(net=net), FAR.format(net=net)

    def __enter__(self) -> Self:
        name = self._name
        _ip("netns", "add", name)
        try:
            _ip("link", "add", name, "type", "veth", "peer", "name", "far", "netns", name)
            _ip("addr", "add", f"{self.near}/30", "dev", name)
            _ip("link", "set", name, "up")
            _ip("-n", name, "addr", "add", f"{self.address}/30", "dev", "far")
            self.mend()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _ip("netns", "del", self._name)  # takes the cable with it

    @property
    def path(self) -> Path:
        """The namespace as a file."""
        return Path("/run/netns", self._name)

    def cut(self) -> None:
        """Pull the cable."""
        _ip("-n", self._name, "link", "set", "far", "down")

    def mend(self) -> None:
        """Put the cable in again."""
        _ip("-n", self._name, "link", "set", "far", "up")


class FarRedis(RedisServer):
    """A server at the far end; its ``url`` is a unix socket, ``far_url`` goes over the cable."""

    def __init__(self, folder: Path, place: FarAway) -> None:
        super().__init__(folder)
        self._place = place
        self.far_url = f"redis://{place.address}:{PORT}/0"

    def _address_options(self) -> dict[str, str]:
        far = {"--bind": self._place.address, "--port": str(PORT), "--protected-mode": "no"}
        return super()._address_options() | far

    def _spawn(self, binary: Path) -> None:
        command = leashed(["nsenter", f"--net={self._place.path}", str(binary), *self._options()])
        with self._log_path().open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )


def why_not() -> str | None:
    """Say why no cable can be made here, if none can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    try:
        with FarAway():
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace can be made: {error}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
