"""The socket that a server listens on."""

from __future__ import annotations

import socket

import pytest

from interfaces.cli.server import CannotListen, bind_socket, listener_url


def test_port_0_takes_any_free_one() -> None:
    with bind_socket("127.0.0.1", 0) as one, bind_socket("127.0.0.1", 0) as other:
        assert listener_url(one) != listener_url(other)
        assert listener_url(one).startswith("http://127.0.0.1:")


def test_every_interface_is_shown_as_an_address_that_can_be_opened() -> None:
    with bind_socket("0.0.0.0", 0) as listener:
        assert listener_url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_version_6_stands_in_brackets() -> None:
    with bind_socket("::1", 0) as listener:
        assert listener_url(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_a_taken_port_is_refused_or_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(CannotListen, match=f"port {port}.*--port"),
            bind_socket("127.0.0.1", port),
        ):
            pass
        with bind_socket("127.0.0.1", port, or_any=True) as another:
            assert another.getsockname()[1] != port


def test_an_address_of_another_machine_is_refused() -> None:
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(CannotListen, match=host), bind_socket(host, 0, or_any=True):
            pass
