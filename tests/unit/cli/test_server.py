"""The socket that a server listens on."""

from __future__ import annotations

import socket

import pytest

from interfaces.cli.server import CannotListen, bound, url_of


def test_port_0_takes_any_free_one() -> None:
    with bound("127.0.0.1", 0) as one, bound("127.0.0.1", 0) as other:
        assert url_of(one) != url_of(other)
        assert url_of(one).startswith("http://127.0.0.1:")


def test_every_interface_is_shown_as_an_address_that_can_be_opened() -> None:
    with bound("0.0.0.0", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_version_6_stands_in_brackets() -> None:
    with bound("::1", 0) as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_a_taken_port_is_refused_or_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port}.*--port"), bound("127.0.0.1", port):
            pass
        with bound("127.0.0.1", port, or_any=True) as another:
            assert another.getsockname()[1] != port


def test_an_address_of_another_machine_is_refused() -> None:
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(CannotListen, match=host), bound(host, 0, or_any=True):
            pass
