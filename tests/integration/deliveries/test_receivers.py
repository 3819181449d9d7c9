"""Misbehaving receivers: each attempt ends in time, reads little, and records what happened."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme

from application.deliveries import transport, webhooks
from application.deliveries.addresses import AddressGuard
from application.deliveries.service import DeliveryService
from tests.integration.deliveries.outbound import LOCAL_NETWORKS, Outbound
from tests.receiver import Behave, Received, Receiver, answers

pytestmark = pytest.mark.storage

HEAD = b"HTTP/1.1 200 OK\r\n"


def raw(*parts: bytes, then: Any = None) -> Behave:
    def behave(connection: socket.socket, _: Received) -> bool:
        for part in parts:
            connection.sendall(part)
        if then is not None:
            then(connection)
        return False

    return behave


def reset(connection: socket.socket) -> None:
    time.sleep(0.2)  # a reset discards data that has not been delivered yet
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def forever(connection: socket.socket, piece: bytes = b"x" * 65_536) -> None:
    with suppress(OSError):
        while True:
            connection.sendall(piece)


def drip(connection: socket.socket) -> None:
    connection.settimeout(30)
    with suppress(OSError):
        while True:
            connection.sendall(b"x")
            time.sleep(0.2)  # the receiver is slow


def silent(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.settimeout(30)
        connection.recv(1)


BOMB = gzip.compress(bytes(50_000_000))

ACKNOWLEDGED: dict[str, Behave] = {
    "200": answers(200),
    "201": answers(201),
    "204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "299": answers(299),
    "body without a length": raw(HEAD + b"Connection: close\r\n\r\n", b"hello"),
    "keeps alive, then closes": answers(200, keep=False),
    "replies twice": raw(
        HEAD + b"Content-Length: 2\r\n\r\nok", HEAD + b"Content-Length: 0\r\n\r\n"
    ),
    "1 GB body": raw(HEAD + b"Content-Length: 1000000000\r\n\r\n", then=forever),
    "gzip bomb": raw(
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB
    ),
    "reset mid-body": raw(HEAD + b"Content-Length: 100\r\n\r\nhalf", then=reset),
    "1 B/s body": raw(HEAD + b"Content-Length: 100000\r\n\r\n", then=drip),
}
"""A 2xx status acknowledges the delivery, however the response continues."""

NOT_ACKNOWLEDGED: dict[str, tuple[Behave, int | None]] = {
    "301": (answers(301, location="http://169.254.169.254/"), 301),
    "302 to itself": (answers(302, location="/hook"), 302),
    "307": (answers(307, location="http://127.0.0.1:1/"), 307),
    "308": (answers(308, location="/hook"), 308),
    "400": (answers(400), 400),
    "401": (answers(401), 401),
    "404": (answers(404), 404),
    "410": (answers(410), 410),
    "413": (answers(413), 413),
    "429": (answers(429), 429),
    "500": (answers(500), 500),
    "503": (answers(503), 503),
    "101 upgrade": (
        raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        None,
    ),
    "never answers": (raw(then=silent), None),
    "1 B/s head": (raw(HEAD, then=drip), None),
    "100,000 headers": (raw(HEAD, b"X-Y: z\r\n" * 100_000), None),
    "one endless header": (raw(HEAD + b"X: ", then=forever), None),
    "reset mid-head": (raw(b"HTTP/1.1 20", then=reset), None),
    "closes mid-head": (raw(b"HTTP/1.1 200 OK\r\nConte"), None),
    "closes at once": (raw(), None),
    "HTTP/0.9 garbage": (raw(b"<html>hello</html>\r\n\r\n"), None),
    "not HTTP": (raw(bytes(range(256)) * 10), None),
    "bad length": (raw(HEAD + b"Content-Length: many\r\n\r\n"), None),
    "endless 1xx": (raw(*[b"HTTP/1.1 103 Early\r\n\r\n"] * 5_000), None),
}


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the time limits: a test does not wait 15 seconds."""
    monkeypatch.setattr(webhooks, "TOTAL_SECONDS", 1.0)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.5)


class BytesRead:
    """Counts the bytes that are read from receivers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        inner = transport.BoundedStream.read

        async def read(stream: Any, *args: Any, **named: Any) -> bytes:
            data = await inner(stream, *args, **named)
            self.count += len(data)
            return data

        monkeypatch.setattr(transport.BoundedStream, "read", read)


@pytest.mark.parametrize("case", ACKNOWLEDGED)
def test_a_2xx_status_acknowledges_the_delivery(case: str, outbound: Outbound, monkeypatch) -> None:
    bytes_read = BytesRead(monkeypatch)
    with Receiver(ACKNOWLEDGED[case]) as receiver:
        outbound.endpoint(receiver)
        outbound.enqueue()
        outbound.run()
    assert outbound.state() == ("delivered", 1)
    assert len(receiver.received) == 1
    assert bytes_read.count <= transport.MAX_RESPONSE_BYTES
    _, [attempt] = outbound.deliveries.get(outbound.workspace, UUID(int=1))
    assert len(attempt.reply or b"") <= webhooks.STORED_BODY_BYTES
    assert attempt.duration_ms < 3_000


@pytest.mark.parametrize("case", NOT_ACKNOWLEDGED)
def test_anything_else_is_retried_under_the_same_id(
    case: str, outbound: Outbound, monkeypatch
) -> None:
    behave, status = NOT_ACKNOWLEDGED[case]
    bytes_read = BytesRead(monkeypatch)
    with Receiver([behave, answers()]) as receiver:
        outbound.endpoint(receiver)
        id_ = outbound.enqueue()
        outbound.run()
        assert outbound.state() == ("waiting", 1)
        assert len(receiver.received) == 1  # no redirect was followed
        assert bytes_read.count <= transport.MAX_RESPONSE_BYTES
        row, [attempt] = outbound.deliveries.get(outbound.workspace, id_)
        assert attempt.status == status
        assert (attempt.error is None) == (status is not None)
        assert 4.5 <= (row.due_at - outbound.clock()).total_seconds() <= 5.5
        outbound.deliveries.endpoints.enable(outbound.workspace, "crm")
        outbound.clock.move(seconds=6)
        outbound.run()
    assert outbound.state() == ("delivered", 2)
    assert {request.id for request in receiver.received} == {str(id_)}
    for request in receiver.received:
        request.verify(outbound.secrets["crm"])


def trust(outbound: Outbound, authority: trustme.CA, **options: Any) -> None:
    """Makes the worker trust a certificate authority."""
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    outbound.deliveries = DeliveryService(
        outbound.bench.store,
        outbound.bench.ledger,
        key=bytes(32),
        now=outbound.clock,
        tls=tls,
        **options,
    )


def server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def guard_resolving_to(addresses: Sequence[str] = ("127.0.0.1",)) -> AddressGuard:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return AddressGuard(LOCAL_NETWORKS, resolve=resolve)


def test_the_certificate_has_to_match_the_host_name(outbound: Outbound) -> None:
    authority = trustme.CA()
    trust(outbound, authority, guard=guard_resolving_to())
    tls = server_tls(authority.issue_cert("hooks.example.com"))
    with Receiver(tls=tls) as receiver:
        outbound.endpoint(f"https://hooks.example.com:{receiver.port}/", "right")
        outbound.endpoint(f"https://other.example.com:{receiver.port}/", "wrong")
        outbound.enqueue(1, "right")
        outbound.enqueue(2, "wrong")
        outbound.run()
        assert [outbound.state(number) for number in (1, 2)] == [("delivered", 1), ("waiting", 1)]
    assert len(receiver.received) == 1
    _, [attempt] = outbound.deliveries.get(outbound.workspace, UUID(int=2))
    assert "CERTIFICATE_VERIFY_FAILED" in (attempt.error or "")


@pytest.mark.parametrize("case", ["self-signed", "unknown authority", "expired", "no TLS at all"])
def test_an_untrusted_certificate_is_refused(case: str, outbound: Outbound, tmp_path: Path) -> None:
    authority = trustme.CA()
    trust(outbound, authority, guard=guard_resolving_to())
    if case == "expired":
        expiry = datetime(2020, 1, 1, tzinfo=UTC)
        tls = server_tls(authority.issue_cert("hooks.example.com", not_after=expiry))
    elif case == "no TLS at all":
        tls = None
    else:
        tls = server_tls(trustme.CA().issue_cert("hooks.example.com"))
    with Receiver(tls=tls) as receiver:
        outbound.endpoint(f"https://hooks.example.com:{receiver.port}/")
        outbound.enqueue()
        outbound.run()
    assert receiver.received == []
    assert outbound.state() == ("waiting", 1)


def test_tls_that_stalls_ends_in_time(outbound: Outbound) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts connections, never answers
        outbound.endpoint(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        outbound.enqueue()
        outbound.run()
    assert outbound.state() == ("waiting", 1)


def test_a_closed_port_fails_at_once(outbound: Outbound) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outbound.endpoint(f"http://127.0.0.1:{port}/")
    outbound.enqueue()
    outbound.run()
    assert outbound.state() == ("waiting", 1)


def test_a_name_that_later_resolves_to_a_private_address_is_refused(outbound: Outbound) -> None:
    addresses = ["127.0.0.1"]
    outbound.deliveries = DeliveryService(
        outbound.bench.store,
        outbound.bench.ledger,
        key=bytes(32),
        now=outbound.clock,
        guard=guard_resolving_to(addresses),
    )
    with Receiver(answers(keep=False)) as receiver:
        outbound.endpoint(f"http://hooks.example.com:{receiver.port}/")
        outbound.enqueue(1)
        outbound.run()
        addresses[0] = "169.254.169.254"
        outbound.enqueue(2)
        outbound.run()
    assert [outbound.state(number) for number in (1, 2)] == [("delivered", 1), ("waiting", 1)]


def test_a_slow_endpoint_delays_no_other(outbound: Outbound) -> None:
    with Receiver(raw(then=silent)) as slow, Receiver() as fast:
        outbound.endpoint(slow, "slow")
        outbound.endpoint(fast, "fast")
        for number in range(10):
            outbound.enqueue(number, "slow")
            outbound.enqueue(100 + number, "fast")
        outbound.run()
        attempts = [
            outbound.deliveries.get(outbound.workspace, UUID(int=100 + number))[1]
            for number in range(10)
        ]
    assert [outbound.state(100 + number) for number in range(10)] == [("delivered", 1)] * 10
    assert [len(of_delivery) for of_delivery in attempts] == [1] * 10
    assert len(fast.received) == 10
