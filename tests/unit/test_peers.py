"""Whose a request is: read from the end of what proxies say, and only as far as they are known."""

import pytest

from tidings.errors import InvalidValue
from webapp.peers import Proxies

NONE = Proxies.parse("")
KNOWN = Proxies.parse("10.0.0.0/8, 93.184.216.34, 2606:4700::/32")
CLIENT = "8.8.4.4"

COUNTED = {
    "who connects itself": (NONE, CLIENT, "", CLIENT),
    "who says that it is another": (NONE, CLIENT, "9.9.9.9", CLIENT),
    "who says so where proxies are known": (KNOWN, CLIENT, "9.9.9.9", CLIENT),
    "behind a proxy": (KNOWN, "10.1.2.3", CLIENT, CLIENT),
    "who says more to a proxy": (KNOWN, "10.1.2.3", f"9.9.9.9, 10.0.0.1, {CLIENT}", CLIENT),
    "behind two proxies": (KNOWN, "10.1.2.3", f"9.9.9.9, {CLIENT}, 93.184.216.34", CLIENT),
    "behind a socket": (KNOWN, "", CLIENT, CLIENT),
    "a port behind it": (KNOWN, "10.1.2.3", f"{CLIENT}:51234", CLIENT),
    "in a private network, as a proxy says": (KNOWN, "10.1.2.3", "192.168.1.5", "192.168.1.5"),
    "IPv6": (NONE, "2a00:1450:4001:82b::200e", "", "2a00:1450:4001:82b::/64"),
    "IPv6 of the same network": (NONE, "2a00:1450:4001:82b:1:2:3:4", "", "2a00:1450:4001:82b::/64"),
    "IPv6 with a port": (KNOWN, "10.1.2.3", "[2a00:1450:4001:82b::200e]:443", "2a00:1450:4001:82b::/64"),
    "IPv4 in IPv6": (NONE, f"::ffff:{CLIENT}", "", CLIENT),
    "IPv6 behind an IPv6 proxy": (KNOWN, "2606:4700::1", "2a00:1450::1", "2a00:1450::/64"),
}
NOT_COUNTED = {
    "this machine": (NONE, "127.0.0.1", ""),
    "this machine, saying that it is another": (NONE, "127.0.0.1", CLIENT),
    "a private network": (NONE, "172.16.5.5", CLIENT),
    "a socket": (NONE, "", CLIENT),
    "a proxy by itself": (KNOWN, "10.1.2.3", ""),
    "a proxy behind a proxy": (KNOWN, "10.1.2.3", "10.4.5.6"),
    "a proxy that says what is no address": (KNOWN, "10.1.2.3", f"{CLIENT}, unknown"),
}


@pytest.mark.parametrize(("proxies", "peer", "forwarded", "name"), COUNTED.values(), ids=COUNTED)
def test_the_last_that_is_no_proxy_is_counted(proxies: Proxies, peer: str, forwarded: str, name: str) -> None:
    """Nobody is counted as another by what they write themselves."""
    assert proxies.place(peer, forwarded) == name


@pytest.mark.parametrize(("proxies", "peer", "forwarded"), NOT_COUNTED.values(), ids=NOT_COUNTED)
def test_whoever_may_be_many_is_not_counted(proxies: Proxies, peer: str, forwarded: str) -> None:
    """A limit by address would meet all users of a proxy that is not named."""
    assert proxies.place(peer, forwarded) == ""


@pytest.mark.parametrize("text", ["*", "all", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8,", "proxy.example"])
def test_what_is_no_network_is_refused_at_the_start(text: str) -> None:
    """A name, a star, or a network with bits of a host."""
    with pytest.raises(InvalidValue, match="TIDINGS_TRUSTED_PROXIES"):
        Proxies.parse(text)
