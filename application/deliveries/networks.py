"""Networks, and which of them belong to the public internet."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

DENIED_NETWORKS: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4"),
            *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
            *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16"),
            *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        ),
    )
)
"""Networks that are never public.

``is_global`` alone lets NAT64, 6to4, site-local and multicast pass (measured).
"""

_UNICAST = ip_network("2000::/3")
"""The allocated part of IPv6; nothing outside of it is sent to."""


def is_public(address: str) -> bool:
    """Returns whether a literal address belongs to the public internet."""
    if not is_address(address):
        return False
    ip = ip_address(address)
    if getattr(ip, "scope_id", None) is not None or in_any_network(address, DENIED_NETWORKS):
        return False
    return ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in _UNICAST)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parses a list of networks such as ``10.1.0.0/16, ::1/128``.  Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def in_any_network(address: str, networks: Iterable[Network]) -> bool:
    """Returns whether a literal address is in one of the networks."""
    ip = ip_address(address)
    return any(ip.version == net.version and ip in net for net in networks)


def is_address(text: str) -> bool:
    """Returns whether a text is a literal IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
