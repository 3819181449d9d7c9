"""The network addresses that webhooks may be sent to, enforced when a connection is opened.

A host name is resolved once, every answer has to be allowed, and the connection goes to the address that
was checked: a name that resolves to something else a moment later (DNS rebinding) has no effect.  The check
when an endpoint is saved only gives an early error message.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

from httpcore2 import ConnectError

from application.deliveries.networks import Network, in_any_network, is_address, is_public
from domain.core.errors import InvalidRequest

NameResolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host name and port to addresses; raises OSError."""

ALLOWED_PORTS = (443, 8443)
MAX_URL_LENGTH = 2_000
"""Maximum length of an endpoint's URL, in characters."""

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_NUMERIC_HOST = re.compile(r"(.*\.)?(\d+|0[xX][0-9a-fA-F]*)\.?")
"""Host names that some parsers read as an address: the last label is a number."""

_RESOLVER_THREADS = ThreadPoolExecutor(32, thread_name_prefix="webhook-dns")
"""Resolves names.  Separate, so that a name server that does not answer blocks nothing else."""


class Target(NamedTuple):
    """A parsed endpoint URL."""

    scheme: str
    host: str
    """A host name in ASCII, or an address without brackets."""

    port: int
    path: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        standard = {"https": 443, "http": 80}[self.scheme]
        return host if self.port == standard else f"{host}:{self.port}"


class AddressRefused(ConnectError):
    """The address may not be sent to; no socket was opened."""


class AddressGuard:
    """Policy of addresses that may be sent to: the public internet and the ``allowed`` networks.

    In an allowed network any port and plain http are permitted.
    """

    def __init__(
        self, allowed: Iterable[Network] = (), resolve: NameResolver | None = None
    ) -> None:
        self.allowed = tuple(allowed)
        self.resolve = resolve or _resolve

    def is_allowed(self, address: str) -> bool:
        """Returns whether the address is in an allowed network."""
        return in_any_network(address, self.allowed)

    def permits(self, address: str, target: Target) -> bool:
        """Returns whether a connection to this address may serve the target."""
        if self.is_allowed(address):
            return True
        return target.scheme == "https" and target.port in ALLOWED_PORTS and is_public(address)

    def check_url(self, url: str) -> Target:
        """Parses and checks a URL.  Raises InvalidRequest, with what to write instead."""
        target = parse_target(url)
        literal = is_address(target.host)
        if literal and not self.permits(target.host, target):
            raise InvalidRequest(
                f"webhooks cannot be sent to {target.authority}: use https to a public address on port"
                " 443 or 8443, or add its network to FOLDLINE_WEBHOOK_ALLOW"
            )
        if not (literal or self.allowed) and target.scheme != "https":
            raise InvalidRequest("the URL has to begin with https://")
        if not (literal or self.allowed) and target.port not in ALLOWED_PORTS:
            raise InvalidRequest(f"port {target.port} is not allowed; use 443 or 8443")
        return target

    async def resolve_allowed(self, target: Target) -> Sequence[str]:
        """Resolves the target's name once, and checks every answer.

        Raises ConnectError if the name has no address, AddressRefused if any address is not permitted.
        """
        try:
            addresses = await self.resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"cannot resolve {target.host}: {error}") from error
        if not addresses:
            raise ConnectError(f"{target.host} has no address")
        for address in addresses:
            if not self.permits(address, target):
                raise AddressRefused(f"{target.host} resolves to an address that is not allowed")
        return addresses


def parse_target(url: str) -> Target:
    """Parses a URL.  Raises InvalidRequest for one that two parsers might read differently."""
    if len(url) > MAX_URL_LENGTH or any(
        ord(c) <= 32 or c in '\\"<>^`{|}' or ord(c) == 127 for c in url
    ):
        raise InvalidRequest(
            f"a URL has at most {MAX_URL_LENGTH:,} characters, without spaces, quotes or backslashes"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        literal = is_address(host)
        if not literal:
            host = host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise InvalidRequest(f"{url[:200]!r} is not a URL") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidRequest("the URL is not complete; write it as https://example.com/hooks")
    if "[" in parts.netloc and not literal:
        raise InvalidRequest(f"{host[:200]!r} is not an IPv6 address")
    if "@" in parts.netloc or parts.fragment:
        raise InvalidRequest("an endpoint's URL must not contain a user, a password or a #fragment")
    if not literal and _NUMERIC_HOST.fullmatch(host):
        raise InvalidRequest(
            "write the host as a name or as an address in dotted form, such as 93.184.215.14"
        )
    if not (literal or (_HOST.fullmatch(host) and len(host) <= 253)) or "%" in host:
        raise InvalidRequest(f"{host[:200]!r} is not a host name")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise InvalidRequest("the path of a URL has to be ASCII; write other characters as %XX")
    return Target(parts.scheme, host, port or {"https": 443, "http": 80}[parts.scheme], path)


async def _resolve(host: str, port: int) -> Sequence[str]:
    def query() -> list[str]:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in answers))

    return await asyncio.get_running_loop().run_in_executor(_RESOLVER_THREADS, query)
