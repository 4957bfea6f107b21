"""The hosts that a browser session may visit. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from tidings import InvalidValue

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NAME: Final = re.compile(r"[A-Za-z0-9._:-]+")
_LOCAL: Final = frozenset({"about", "data", "blob"})
"""What a page makes by itself, without a host."""


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Hosts with their ports, the one that paths belong to first."""

    places: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """Read ``host:port``, or ``host`` alone for its ports 80 and 443. Raises: InvalidValue."""
        return cls(tuple(place for entry in entries for place in _places(entry.strip())))

    def allows(self, url: str) -> bool:
        """Tell whether *url* may be fetched; a URL that is none may not."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            return False
        return parts.scheme in _LOCAL or (
            parts.scheme in _PORTS and ((parts.hostname or "").lower(), port) in self.places
        )

    def whole(self, url: str) -> str:
        """Give *url*, or where it is a path, that of the first host."""
        host, port = self.places[0]
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}{url}" if url.startswith("/") else url

    @property
    def resolver_rules(self) -> str:
        """Chromium's ``--host-resolver-rules``: no other name or address is ever connected to."""
        hosts = {f"[{host}]" if ":" in host else host for host, _ in self.places}
        return ", ".join(["MAP * ~NOTFOUND", *(f"EXCLUDE {host}" for host in sorted(hosts))])


def _places(entry: str) -> list[tuple[str, int]]:
    try:
        parts = urlsplit(f"//{entry}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not _NAME.fullmatch(host) or parts.netloc != entry or parts.username is not None:
        raise InvalidValue("TIDINGS_BROWSER_HOSTS", "host or host:port, by commas", entry)
    return [(host, port)] if port else [(host, 80), (host, 443)]
