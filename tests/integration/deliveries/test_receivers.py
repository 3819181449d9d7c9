"""Receivers do whatever they like; each attempt ends in time, reads little, and says what happened."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme

from application.deliveries import transport, webhooks
from application.deliveries.addresses import AddressGuard
from application.deliveries.service import DeliveryService
from tests.integration.deliveries.conftest import HERE, Out
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
    time.sleep(0.2)  # so that what was said before has come: a reset takes back what has not
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
            time.sleep(0.2)  # this is the receiver: it is slow


def silent(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.settimeout(30)
        connection.recv(1)


BOMB = gzip.compress(bytes(50_000_000))

TAKEN: dict[str, Behave] = {
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
"""A status of 2xx says that it has it, whatever becomes of the rest."""

NOT_TAKEN: dict[str, tuple[Behave, int | None]] = {
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
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, sooner: nobody waits 15 seconds in a test."""
    monkeypatch.setattr(webhooks, "TOTAL_SECONDS", 1.0)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.5)


class Counted:
    """Counts what is read from receivers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = 0
        inner = transport.BoundedStream.read

        async def read(stream: Any, *args: Any, **named: Any) -> bytes:
            data = await inner(stream, *args, **named)
            self.read += len(data)
            return data

        monkeypatch.setattr(transport.BoundedStream, "read", read)


@pytest.mark.parametrize("case", TAKEN)
def test_a_status_of_2xx_means_taken(case: str, out: Out, monkeypatch) -> None:
    counted = Counted(monkeypatch)
    with Receiver(TAKEN[case]) as receiver:
        out.endpoint(receiver)
        out.enqueue()
        out.run()
    assert out.state() == ("delivered", 1)
    assert len(receiver.received) == 1
    assert counted.read <= transport.MAX_RESPONSE_BYTES
    _, [attempt] = out.outgoing.get(out.workspace, UUID(int=1))
    assert len(attempt.reply or b"") <= webhooks.STORED_BODY_BYTES
    assert attempt.duration_ms < 3_000


@pytest.mark.parametrize("case", NOT_TAKEN)
def test_anything_else_is_tried_again_under_the_same_id(case: str, out: Out, monkeypatch) -> None:
    behave, status = NOT_TAKEN[case]
    counted = Counted(monkeypatch)
    with Receiver([behave, answers()]) as receiver:
        out.endpoint(receiver)
        id_ = out.enqueue()
        out.run()
        assert out.state() == ("waiting", 1)
        assert len(receiver.received) == 1  # no redirect was followed
        assert counted.read <= transport.MAX_RESPONSE_BYTES
        row, [attempt] = out.outgoing.get(out.workspace, id_)
        assert attempt.status == status
        assert (attempt.error is None) == (status is not None)
        assert 4.5 <= (row.due_at - out.clock()).total_seconds() <= 5.5
        out.outgoing.endpoints.enable(out.workspace, "crm")
        out.clock.move(seconds=6)
        out.run()
    assert out.state() == ("delivered", 2)
    assert {it.id for it in receiver.received} == {str(id_)}
    for request in receiver.received:
        request.verify(out.secrets["crm"])


def trusted(out: Out, authority: trustme.CA, **more: Any) -> None:
    """Let the receivers' authority be trusted."""
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    out.outgoing = DeliveryService(
        out.bench.store, out.bench.ledger, key=bytes(32), now=out.clock, tls=tls, **more
    )


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def by_name(answers_: Sequence[str] = ("127.0.0.1",)) -> AddressGuard:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return answers_

    return AddressGuard(HERE, resolve=resolve)


def test_the_certificate_has_to_be_of_the_name_that_was_asked_for(out: Out) -> None:
    authority = trustme.CA()
    trusted(out, authority, guard=by_name())
    tls = serving(authority.issue_cert("hooks.example.com"))
    with Receiver(tls=tls) as receiver:
        out.endpoint(f"https://hooks.example.com:{receiver.port}/", "right")
        out.endpoint(f"https://other.example.com:{receiver.port}/", "wrong")
        out.enqueue(1, "right")
        out.enqueue(2, "wrong")
        out.run()
        assert [out.state(it) for it in (1, 2)] == [("delivered", 1), ("waiting", 1)]
    assert len(receiver.received) == 1
    _, [attempt] = out.outgoing.get(out.workspace, UUID(int=2))
    assert "CERTIFICATE_VERIFY_FAILED" in (attempt.error or "")


@pytest.mark.parametrize("case", ["self-signed", "unknown authority", "expired", "no TLS at all"])
def test_a_certificate_that_cannot_be_trusted_is_not(case: str, out: Out, tmp_path: Path) -> None:
    authority = trustme.CA()
    trusted(out, authority, guard=by_name())
    if case == "expired":
        from datetime import UTC, datetime

        then = datetime(2020, 1, 1, tzinfo=UTC)
        tls = serving(authority.issue_cert("hooks.example.com", not_after=then))
    elif case == "no TLS at all":
        tls = None
    else:
        tls = serving(trustme.CA().issue_cert("hooks.example.com"))
    with Receiver(tls=tls) as receiver:
        out.endpoint(f"https://hooks.example.com:{receiver.port}/")
        out.enqueue()
        out.run()
    assert receiver.received == []
    assert out.state() == ("waiting", 1)


def test_tls_that_stalls_ends_in_time(out: Out) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections, and says nothing
        out.endpoint(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        out.enqueue()
        out.run()
    assert out.state() == ("waiting", 1)


def test_nobody_there_is_said_at_once(out: Out) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    out.endpoint(f"http://127.0.0.1:{port}/")
    out.enqueue()
    out.run()
    assert out.state() == ("waiting", 1)


def test_a_name_that_turns_private_later_is_refused_then(out: Out) -> None:
    told = ["127.0.0.1"]
    out.outgoing = DeliveryService(
        out.bench.store, out.bench.ledger, key=bytes(32), now=out.clock, guard=by_name(told)
    )
    with Receiver(answers(keep=False)) as receiver:
        out.endpoint(f"http://hooks.example.com:{receiver.port}/")
        out.enqueue(1)
        out.run()
        told[0] = "169.254.169.254"
        out.enqueue(2)
        out.run()
    assert [out.state(it) for it in (1, 2)] == [("delivered", 1), ("waiting", 1)]


def test_a_slow_endpoint_holds_up_nobody_else(out: Out) -> None:
    with Receiver(raw(then=silent)) as slow, Receiver() as quick:
        out.endpoint(slow, "slow")
        out.endpoint(quick, "quick")
        for number in range(10):
            out.enqueue(number, "slow")
            out.enqueue(100 + number, "quick")
        out.run()
        done = [out.outgoing.get(out.workspace, UUID(int=100 + it))[1][0].at for it in range(10)]
    assert [out.state(100 + it) for it in range(10)] == [("delivered", 1)] * 10
    assert len(done) == 10
    assert len(quick.received) == 10
