"""Whose a request is: the address that limits count by, behind proxies that are believed. Pure.

Takes the address of who has connected, and what `X-Forwarded-For` says; gives a name to count by, empty for
whom nobody counts. Each proxy appends to that field whom it has heard, so it is read from its end, and no
further than proxies go that the operator has named: what stands before is whatever a client has written.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

from tidings.errors import InvalidValue

NOBODY: Final = ""
"""Whoever is not counted: proxies, and private networks that no trusted proxy tells us of."""
RULE: Final = "addresses and networks (10.0.0.0/8, 192.0.2.7, 2001:db8::/32), by commas"
SITE_BITS: Final = 64
"""Of IPv6: every host has as many addresses as it likes in a network of its own. Source: RFC 4291, 2.5.1."""

_Address = IPv4Address | IPv6Address


class Proxies(tuple[str, ...]):
    """The networks whose hosts are believed when they say for whom they ask."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``TIDINGS_TRUSTED_PROXIES``. Raises: InvalidValue."""
        named = [entry.strip() for entry in text.split(",")] if text.strip() else []
        for entry in named:
            try:
                ip_network(entry)
            except ValueError as error:
                raise InvalidValue("TIDINGS_TRUSTED_PROXIES", RULE, entry) from error
        return cls(named)

    def place(self, peer: str, forwarded: str) -> str:
        """Say by what name to count who has connected from *peer*, a socket's path if it is no address."""
        return _place(self, peer, forwarded if self else "")


@lru_cache(maxsize=4_096)
def _place(proxies: Proxies, peer: str, forwarded: str) -> str:
    address = _read(peer)
    if address is not None and not _is_among(address, proxies):
        return _name(address) if address.is_global else NOBODY
    for said in reversed(forwarded.split(",")):
        address = _read(said)
        if address is None:
            return NOBODY
        if not _is_among(address, proxies):
            return _name(address)
    return NOBODY


def _read(said: str) -> _Address | None:
    """Read an address as proxies write them, with a port or without."""
    host = said.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_among(address: _Address, proxies: Proxies) -> bool:
    return any(address in ip_network(network) for network in proxies)


def _name(address: _Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, SITE_BITS), strict=False))
    return str(address)
