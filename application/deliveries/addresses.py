"""Which addresses a webhook may go to.  What counts is checked as the connection is made.

A name is looked up once, every answer has to pass, and the connection goes to the address that was
checked: a name that says something else a moment later leads nowhere else.  The check when an endpoint is
saved is there for its message alone.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from httpcore2 import ConnectError

from domain.core.errors import InvalidRequest

Network = IPv4Network | IPv6Network
NameResolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks a name up; raises OSError."""

ALLOWED_PORTS = (443, 8443)
MAX_URL_LENGTH = 2_000
"""Characters of a URL."""

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
"""Beyond what ``is_global`` says, which lets NAT64, 6to4, site-local and multicast pass (measured)."""

_UNICAST = ip_network("2000::/3")
"""All that is handed out of IPv6; nothing outside is sent to."""

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_NUMERIC_HOST = re.compile(r"(.*\.)?(\d+|0[xX][0-9a-fA-F]*)\.?")
"""What some readers take for an address: a name whose last part is a number."""

_RESOLVER_THREADS = ThreadPoolExecutor(32, thread_name_prefix="webhook-names")
"""Looks names up.  Of its own: a name server that does not answer holds up nothing else."""


class Target(NamedTuple):
    """Where a URL leads."""

    scheme: str
    host: str
    """A name in ASCII, or an address without brackets."""

    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        standard = {"https": 443, "http": 80}[self.scheme]
        return host if self.port == standard else f"{host}:{self.port}"


class AddressRefused(ConnectError):
    """The address is none that may be sent to; no socket was opened."""


class AddressGuard:
    """Says which addresses may be sent to: those of the public internet, and those in ``allowed``.

    To an allowed network any port and plain http will do.
    """

    def __init__(
        self, allowed: Iterable[Network] = (), resolve: NameResolver | None = None
    ) -> None:
        self.allowed = tuple(allowed)
        self.resolve = resolve or _resolve

    def is_allowed(self, address: str) -> bool:
        """Say whether the address is in one of the networks that were allowed."""
        return _in_any_network(address, self.allowed)

    def permits(self, address: str, target: Target) -> bool:
        """Say whether this address may be sent to."""
        if self.is_allowed(address):
            return True
        return target.scheme == "https" and target.port in ALLOWED_PORTS and is_public(address)

    def check_url(self, url: str) -> Target:
        """Return where the URL leads.  Raises InvalidRequest, with what to write, if it may not be."""
        target = parse_target(url)
        literal = _is_address(target.host)
        if literal and not self.permits(target.host, target):
            raise InvalidRequest(
                f"{target.host} is an address, or a port of it, that nothing is sent to: only https"
                " at public addresses, port 443 or 8443, and what FOLDLINE_WEBHOOK_ALLOW names"
            )
        if not (literal or self.allowed) and target.scheme != "https":
            raise InvalidRequest("write a URL that begins with https://; nothing is sent in clear")
        if not (literal or self.allowed) and target.port not in ALLOWED_PORTS:
            raise InvalidRequest(f"port {target.port} is not sent to; take 443 or 8443")
        return target

    async def resolve_allowed(self, target: Target) -> Sequence[str]:
        """Look the name up, once.  Raises Refused unless every answer may be sent to."""
        try:
            found = await self.resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"the name {target.host} cannot be looked up: {error}") from error
        if not found:
            raise ConnectError(f"the name {target.host} has no address")
        for address in found:
            if not self.permits(address, target):
                raise AddressRefused(f"{target.host} leads to an address that nothing is sent to")
        return found


def parse_target(url: str) -> Target:
    """Take a URL apart.  Raises InvalidRequest for one that two readers might read differently."""
    if len(url) > MAX_URL_LENGTH or any(
        ord(it) <= 32 or it in '\\"<>^`{|}' or ord(it) == 127 for it in url
    ):
        raise InvalidRequest(
            f"a URL has at most {MAX_URL_LENGTH:,} characters, and no blanks, quotes or backslashes"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        is_address = _is_address(host)
        if not is_address:
            host = host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise InvalidRequest(f"{url[:200]!r} is no URL") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidRequest("write a URL such as https://example.com/hooks")
    if "[" in parts.netloc and not is_address:
        raise InvalidRequest(f"{host[:200]!r} is no address")
    if "@" in parts.netloc or parts.fragment:
        raise InvalidRequest("a URL to send to has no user, no password and no #fragment")
    if not is_address and _NUMERIC_HOST.fullmatch(host):
        raise InvalidRequest("write an address as four numbers with dots between, or a name")
    if not (is_address or (_HOST.fullmatch(host) and len(host) <= 253)) or "%" in host:
        raise InvalidRequest(f"{host[:200]!r} is no name of a host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise InvalidRequest("write the path of a URL in ASCII, the rest as %XX")
    return Target(parts.scheme, host, port or {"https": 443, "http": 80}[parts.scheme], path)


def is_public(address: str) -> bool:
    """Say whether an address is one of the public internet's, as a literal."""
    if not _is_address(address):
        return False
    ip = ip_address(address)
    if getattr(ip, "scope_id", None) is not None or _in_any_network(address, DENIED_NETWORKS):
        return False
    return ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in _UNICAST)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read networks such as ``10.1.0.0/16, ::1/128``.  Raises ValueError."""
    return tuple(ip_network(it.strip()) for it in text.split(",") if it.strip())


def _in_any_network(address: str, networks: Iterable[Network]) -> bool:
    ip = ip_address(address)
    return any(ip.version == net.version and ip in net for net in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


async def _resolve(host: str, port: int) -> Sequence[str]:
    def query() -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    return await asyncio.get_running_loop().run_in_executor(_RESOLVER_THREADS, query)
