"""The listening socket of a server."""

from __future__ import annotations

import socket

import pytest

from interfaces.cli.server import CannotListen, bind_socket, listener_url


def test_port_0_selects_a_free_port() -> None:
    with bind_socket("127.0.0.1", 0) as first, bind_socket("127.0.0.1", 0) as second:
        assert listener_url(first) != listener_url(second)
        assert listener_url(first).startswith("http://127.0.0.1:")


def test_the_url_of_a_wildcard_address_is_the_loopback_address() -> None:
    with bind_socket("0.0.0.0", 0) as listener:
        assert listener_url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_in_brackets() -> None:
    with bind_socket("::1", 0) as listener:
        assert listener_url(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_a_port_in_use_is_rejected_or_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(CannotListen, match=f":{port}:.*--port"),
            bind_socket("127.0.0.1", port),
        ):
            pass
        with bind_socket("127.0.0.1", port, or_any=True) as another:
            assert another.getsockname()[1] != port


def test_an_address_of_another_machine_is_rejected() -> None:
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(CannotListen, match=host), bind_socket(host, 0, or_any=True):
            pass
