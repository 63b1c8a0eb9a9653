"""Who is at the other end of a connection, and which addresses belong together."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final, TypeAlias

from starlette.types import Scope

from posada._checks import invalid, texts

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK: Final = ("127.0.0.0/8", "::1")
"""The addresses of this machine itself."""


def peer_of(scope: Scope) -> str | None:
    """The address at the other end of the socket; ``None`` where there is none, as behind a Unix socket."""
    client = scope.get("client")
    address = _address(_without_port(str(client[0]))) if client else None
    return None if address is None else str(address)


def _without_port(host: str) -> str:
    """A host that a server took from a header of some proxies, which put a port behind it."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def together(key: str) -> str:
    """The name under which requests of a key are counted: addresses of one IPv6 /64 together, as sign-in does.

    Everybody has a /64 of its own, at least. The port behind an address does not count.
    """
    address = (_address(key) or _address(_without_port(key))) if ":" in key else None
    if not isinstance(address, ipaddress.IPv6Address):
        return key if address is None else str(address)
    first = address.packed[:8]
    return ".".join(f"{int.from_bytes(first[at : at + 2], 'big'):x}" for at in range(0, 8, 2)) + "/64"


class Networks:
    """Addresses and networks that may see something."""

    def __init__(self, name: str, allowed: Collection[str]) -> None:
        self._networks = [_network(name, each) for each in texts(name, allowed)]

    def __contains__(self, peer: str | None) -> bool:
        if peer is None:
            return False
        address = ipaddress.ip_address(peer)
        return any(address in network for network in self._networks)


def _address(given: str) -> _Address | None:
    """An address as it is compared: an IPv4 address within IPv6 as itself, without the name of an interface."""
    try:
        address = ipaddress.ip_address(given.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _network(name: str, given: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(str(_address(given) or given), strict=False)
    except ValueError:
        raise invalid(name, "expected addresses or networks such as 10.0.0.0/8") from None
