"""Addresses of webhooks: no socket is opened to an address that is not public."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.deliveries import transport
from application.deliveries.addresses import AddressGuard, parse_target
from application.deliveries.networks import DENIED_NETWORKS, is_public, parse_networks
from application.deliveries.webhooks import EndpointClient
from domain.core.errors import InvalidRequest

SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

HOSTILE = (
    *("http://127.0.0.1/", "https://127.0.0.1/", "https://localhost/", "https://127.1/"),
    *("https://0x7f000001/", "https://2130706433/", "https://0177.0.0.1/", "https://0/"),
    *("https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::127.0.0.1]/"),
    *("https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://[fec0::1]/"),
    *("https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[ff02::1]/"),
    *("https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/"),
    *("https://10.0.0.1/", "https://100.64.0.1/", "https://192.0.0.192/", "https://198.18.0.1/"),
    *("https://user:password@example.com/", "https://example.com@127.0.0.1/"),
    *("https://example.com:22/", "https://example.com:8080/", "https://93.184.215.14:25/"),
    *("http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/"),
    *("https:///", "https://", "//example.com/", "example.com", "", "https://exa mple.com/"),
    *("https://example.com\\@127.0.0.1/", "https://example.com#@127.0.0.1/", "https://a\r\nb/"),
    *(
        "https://①②⑦.⓪.⓪.①/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127。0。0。1/",
        "https://%31%32%37.0.0.1/",
    ),
    *("https://example.com:99999/", "https://example.com:-1/", "https://[::1/", "https://[v1.a]/"),
)


class Sockets:
    """Records which sockets would be opened, and opens none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[Any] = []

        async def open_connection(address: str, port: int) -> None:
            self.opened.append((address, port))
            raise OSError("no network in this test")

        monkeypatch.setattr(transport, "open_connection", open_connection)


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Sockets:
    return Sockets(monkeypatch)


def resolver(*answers: Sequence[str]):
    """Returns a resolver that gives these answers in order, and repeats the last one."""
    remaining = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return resolve


def send(url: str, guard: AddressGuard) -> Any:
    async def act() -> Any:
        client = EndpointClient(url, 1, guard)
        try:
            return await client.send("m-1", b"{}", {}, [SECRET])
        finally:
            await client.close()

    return asyncio.run(act())


@pytest.mark.parametrize("url", HOSTILE)
def test_no_socket_is_opened_to_a_hostile_url(url: str, sockets: Sockets) -> None:
    # Names are resolved by the system: only names of this machine and numbers are.
    response = send(url, AddressGuard())
    assert response.status is None
    assert sockets.opened == []


def edges() -> list[str]:
    """Returns the first and the last address of every denied network."""
    return [str(address) for net in DENIED_NETWORKS for address in (net[0], net[-1])]


@pytest.mark.parametrize("address", edges())
def test_a_name_that_resolves_to_a_denied_address_is_refused(
    address: str, sockets: Sockets
) -> None:
    response = send("https://hooks.example.com/", AddressGuard(resolve=resolver([address])))
    assert "resolves to an address that is not allowed" in (response.error or "")
    assert sockets.opened == []


@given(st.ip_addresses())
def test_a_public_address_is_in_no_denied_network(address) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not any(address.version == net.version and address in net for net in DENIED_NETWORKS)
        assert address.version == 4 or address in ipaddress.ip_network("2000::/3")


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::6810:84e5"])
def test_a_connection_goes_to_the_public_address_that_was_checked(
    address: str, sockets: Sockets
) -> None:
    send("https://hooks.example.com/", AddressGuard(resolve=resolver([address])))
    assert sockets.opened == [(address, 443)]


def test_one_denied_address_among_public_ones_is_enough(sockets: Sockets) -> None:
    for bad in ("10.0.0.1", "::1", "fe80::1%eth0", "2606:4700::1%lo"):
        response = send(
            "https://a.example/", AddressGuard(resolve=resolver(["93.184.215.14", bad]))
        )
        assert "resolves to" in (response.error or "")
    assert sockets.opened == []


def test_a_rebinding_name_is_resolved_once(sockets: Sockets) -> None:
    resolve = resolver(["93.184.215.14"], ["127.0.0.1"])
    send("https://rebinding.example/", AddressGuard(resolve=resolve))
    assert sockets.opened == [("93.184.215.14", 443)]
    send("https://rebinding.example/", AddressGuard(resolve=resolve))
    assert sockets.opened == [("93.184.215.14", 443)]


def test_proxies_of_the_environment_are_not_used(sockets: Sockets, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
    send("https://hooks.example.com:8443/", AddressGuard(resolve=resolver(["93.184.215.14"])))
    assert sockets.opened == [("93.184.215.14", 8443)]


def test_an_allowed_network_permits_any_port_and_plain_http(sockets) -> None:
    guard = AddressGuard(parse_networks("10.0.0.0/8"), resolve=resolver(["10.1.2.3"]))
    send("http://inside.example:8080/hook", guard)
    guard.resolve = resolver(["10.9.9.9"])
    send("http://10.9.9.9:1234/", guard)
    assert sockets.opened == [("10.1.2.3", 8080), ("10.9.9.9", 1234)]
    sockets.opened.clear()
    send(
        "http://outside.example/",
        AddressGuard(parse_networks("10.0.0.0/8"), resolve=resolver(["93.184.215.14"])),
    )
    assert sockets.opened == []


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), OSError()])
def test_a_name_that_cannot_be_resolved_fails_with_the_reason(
    error: OSError, sockets: Sockets
) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise error

    response = send("https://nowhere.example/", AddressGuard(resolve=resolve))
    assert "cannot resolve" in (response.error or "")
    assert sockets.opened == []


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_when_saved_unless_only_its_name_is_hostile(url: str) -> None:
    if url != "https://localhost/":
        with pytest.raises(InvalidRequest):
            AddressGuard().check_url(url)


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com/{text}"):
        try:
            target = parse_target(url)
        except InvalidRequest:
            continue
        assert target.host.isascii()
        assert target.path.startswith("/")
        assert target.path.isascii()


def test_without_the_check_at_connect_a_denied_address_would_be_reached(
    sockets: Sockets, monkeypatch
) -> None:
    """Sabotage: the check when an endpoint is saved is not enough."""
    monkeypatch.setattr(AddressGuard, "permits", lambda *_: True)
    send("https://hooks.example.com/", AddressGuard(resolve=resolver(["169.254.169.254"])))
    assert sockets.opened == [("169.254.169.254", 443)]
