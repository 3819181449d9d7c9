"""Nothing is sent to an address that is not public, whatever it is called; not one socket is opened."""

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
from application.deliveries.addresses import (
    DENIED_NETWORKS,
    AddressGuard,
    is_public,
    parse_networks,
    parse_target,
)
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
    """Counts the sockets that are opened, and opens none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[Any] = []

        async def opened(address: str, port: int) -> None:
            self.opened.append((address, port))
            raise OSError("no network in this test")

        monkeypatch.setattr(transport, "open_connection", opened)


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Sockets:
    return Sockets(monkeypatch)


def says(*answers: Sequence[str]):
    """Return a resolver that gives these answers, one after the other, the last one for ever."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def send(url: str, guard: AddressGuard) -> Any:
    async def act() -> Any:
        receiver = EndpointClient(url, 1, guard)
        try:
            return await receiver.send("m-1", b"{}", {}, [SECRET])
        finally:
            await receiver.close()

    return asyncio.run(act())


@pytest.mark.parametrize("url", HOSTILE)
def test_no_socket_is_opened_to_a_hostile_url(url: str, sockets: Sockets) -> None:
    reply = send(
        url, AddressGuard()
    )  # names are really looked up: those of this machine, and numbers
    assert reply.status is None
    assert sockets.opened == []


def edges() -> list[str]:
    """The first and the last address of every range that is denied."""
    return [str(at) for net in DENIED_NETWORKS for at in (net[0], net[-1])]


@pytest.mark.parametrize("address", edges())
def test_a_name_that_leads_into_a_denied_range_is_refused(address: str, sockets: Sockets) -> None:
    reply = send("https://hooks.example.com/", AddressGuard(resolve=says([address])))
    assert "leads to an address that nothing is sent to" in (reply.error or "")
    assert sockets.opened == []


@given(st.ip_addresses())
def test_what_is_public_is_in_no_denied_range(address) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not any(address.version == net.version and address in net for net in DENIED_NETWORKS)
        assert address.version == 4 or address in ipaddress.ip_network("2000::/3")


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::6810:84e5"])
def test_a_public_address_is_sent_to_as_it_was_checked(address: str, sockets: Sockets) -> None:
    send("https://hooks.example.com/", AddressGuard(resolve=says([address])))
    assert sockets.opened == [(address, 443)]


def test_one_bad_answer_among_good_ones_is_enough(sockets: Sockets) -> None:
    for bad in ("10.0.0.1", "::1", "fe80::1%eth0", "2606:4700::1%lo"):
        reply = send("https://a.example/", AddressGuard(resolve=says(["93.184.215.14", bad])))
        assert "leads to" in (reply.error or "")
    assert sockets.opened == []


def test_a_name_that_changes_its_mind_is_looked_up_once(sockets: Sockets) -> None:
    resolve = says(["93.184.215.14"], ["127.0.0.1"])
    send("https://rebinding.example/", AddressGuard(resolve=resolve))
    assert sockets.opened == [("93.184.215.14", 443)]
    send("https://rebinding.example/", AddressGuard(resolve=resolve))
    assert sockets.opened == [("93.184.215.14", 443)]


def test_proxies_of_the_environment_are_not_asked(sockets: Sockets, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
    send("https://hooks.example.com:8443/", AddressGuard(resolve=says(["93.184.215.14"])))
    assert sockets.opened == [("93.184.215.14", 8443)]


def test_a_network_that_is_allowed_may_be_sent_to_at_any_port_and_in_clear(sockets) -> None:
    guard = AddressGuard(parse_networks("10.0.0.0/8"), resolve=says(["10.1.2.3"]))
    send("http://inside.example:8080/hook", guard)
    guard.resolve = says(["10.9.9.9"])
    send("http://10.9.9.9:1234/", guard)
    assert sockets.opened == [("10.1.2.3", 8080), ("10.9.9.9", 1234)]
    sockets.opened.clear()
    send(
        "http://outside.example/",
        AddressGuard(parse_networks("10.0.0.0/8"), resolve=says(["93.184.215.14"])),
    )
    assert sockets.opened == []


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), OSError()])
def test_a_name_that_cannot_be_looked_up_is_said_to_be(error: OSError, sockets: Sockets) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise error

    reply = send("https://nowhere.example/", AddressGuard(resolve=resolve))
    assert "cannot be looked up" in (reply.error or "")
    assert sockets.opened == []


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_as_it_is_saved_unless_its_name_says_nothing(url: str) -> None:
    if url != "https://localhost/":
        with pytest.raises(InvalidRequest):
            AddressGuard().check_url(url)


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_is_refused(text: str) -> None:
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
    """Sabotage: what is checked when an endpoint is saved does not do."""
    monkeypatch.setattr(AddressGuard, "permits", lambda *_: True)
    send("https://hooks.example.com/", AddressGuard(resolve=says(["169.254.169.254"])))
    assert sockets.opened == [("169.254.169.254", 443)]
