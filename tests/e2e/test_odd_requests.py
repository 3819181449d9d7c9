"""Odd requests to a running server: answered or refused by code, never a 5xx or a crash."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections import deque

import pytest

from tests.e2e.tenants import Tenant
from tests.serving import bearer, wait_until

MESSAGE = b'{"userId":"u-1","event":"Viewed"}'
BATCH = b'{"batch":[{"type":"track","userId":"u-1","event":"Viewed"}]}'


def encoded(text: bytes) -> str:
    return b64encode(text).decode()


def raw(shop: Tenant, request: bytes, *, hang_up: bool = False) -> bytes:
    """Send bytes as they are; return what comes back until the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", shop.server.port), timeout=10) as connection:
        connection.sendall(request.replace(b"KEY", encoded(f"{shop.write}:".encode()).encode()))
        if hang_up:
            return b""
        connection.settimeout(1.0)
        received = b""
        try:
            while part := connection.recv(65_536):
                received += part
        except (TimeoutError, ConnectionResetError):
            pass
        return received


_HEAD = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Basic KEY\r\nConnection: close\r\n"

REQUESTS = {
    "without a length": (_HEAD + b"\r\n", {400}),
    "a length of 0": (_HEAD + b"Content-Length: 0\r\n\r\n", {400}),
    "a length that is none": (_HEAD + b"Content-Length: x\r\n\r\n", {400}),
    "a negative length": (_HEAD + b"Content-Length: -1\r\n\r\n", {400}),
    "two lengths": (_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400}),
    "a length and chunks": (
        _HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "chunks": (
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BATCH), BATCH),
        {200},
    ),
    "chunks of one byte": (
        _HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"1\r\n%c\r\n" % byte for byte in BATCH)
        + b"0\r\n\r\n",
        {200},
    ),
    "a chunk size that is none": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
    "chunks without an end": (
        _HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"10000\r\n"
        + b"x" * 65_536
        + b"\r\n"
        + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 9,
        {400},
    ),
    "expecting a 100": (
        _HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%b" % (len(BATCH), BATCH),
        {100, 200},
    ),
    "HTTP/1.0": (
        b"POST /v1/batch HTTP/1.0\r\nAuthorization: Basic KEY\r\nContent-Length: %d\r\n\r\n%b"
        % (len(BATCH), BATCH),
        {200},
    ),
    "GET": (_HEAD.replace(b"POST", b"GET") + b"\r\n", {400, 405}),
    "HEAD": (_HEAD.replace(b"POST", b"HEAD") + b"\r\n", {400, 405}),
    "PUT": (_HEAD.replace(b"POST", b"PUT") + b"Content-Length: 2\r\n\r\n{}", {400, 405}),
    "a method that is none": (_HEAD.replace(b"POST", b"BREW") + b"\r\n", {400, 405}),
    "a path twice": (
        _HEAD.replace(b"/v1/batch", b"//v1/batch") + b"Content-Length: 0\r\n\r\n",
        {400, 404},
    ),
    "dots in the path": (
        _HEAD.replace(b"/v1/batch", b"/v1/../v1/batch") + b"Content-Length: 0\r\n\r\n",
        {400, 404},
    ),
    "a slash in disguise": (
        _HEAD.replace(b"/v1/batch", b"/v1%2fbatch") + b"Content-Length: 0\r\n\r\n",
        {400, 404},
    ),
    "NUL in the path": (
        _HEAD.replace(b"/v1/batch", b"/v1/%00") + b"Content-Length: 0\r\n\r\n",
        {400, 404},
    ),
    "bytes in the path": (
        _HEAD.replace(b"/v1/batch", b"/v1/\xff\xfe") + b"Content-Length: 0\r\n\r\n",
        {400, 404},
    ),
    "bytes in the query": (
        _HEAD.replace(b"/v1/batch", b"/v1/batch?writeKey=%ff&\xff=\xfe")
        + b"Content-Length: 0\r\n\r\n",
        {400},
    ),
    "a whole address": (
        _HEAD.replace(b"/v1/batch", b"http://x/v1/batch") + b"Content-Length: 0\r\n\r\n",
        {400, 404},
    ),
    "a header of 100 KB": (
        _HEAD + b"X-Long: " + b"x" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
        {400, 431},
    ),
    "a header that comes twice": (
        _HEAD + b"Authorization: Basic KEY\r\nContent-Length: %d\r\n\r\n%b" % (len(BATCH), BATCH),
        {200, 400},
    ),
    "NUL in a header": (_HEAD + b"X-Odd: a\0b\r\nContent-Length: 0\r\n\r\n", {400}),
    "an origin of bytes": (
        _HEAD + b"Origin: \xff\xfe\r\nContent-Length: %d\r\n\r\n%b" % (len(BATCH), BATCH),
        {200, 400},
    ),
    "an encoding of bytes": (
        _HEAD + b"Content-Encoding: \xff\r\nContent-Length: 2\r\n\r\n{}",
        {400},
    ),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 32, {400}),
    "nonsense": (b"\r\n\r\nhello\r\n\r\n", {400}),
}


@pytest.mark.parametrize(("request_", "statuses"), REQUESTS.values(), ids=REQUESTS)
def test_an_odd_request_is_answered_or_cut_without_a_server_error(
    shop: Tenant, request_: bytes, statuses: set[int]
) -> None:
    answer = raw(shop, request_)
    if answer:
        assert int(answer.split(b" ", 2)[1]) in statuses, answer[:500]
    assert b"HTTP/1.1 5" not in answer
    assert shop.server.ask("GET", "/healthz/live").status == 200


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (_HEAD, b"X-Odd: " + b"x" * 9_000 + b"\r\n"),
        (_HEAD + b"X-Odd: ", b"x" * 10_000),
        (b"POST /v1/batch?", b"x" * 10_000),
        (
            _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
            b"X-Odd: " + b"x" * 9_000 + b"\r\n",
        ),
    ],
    ids=["headers", "one header", "an address", "trailers"],
)
def test_a_head_without_an_end_is_cut(shop: Tenant, begin: bytes, piece: bytes) -> None:
    pieces = (piece for _ in range(10_000))  # 100 MB
    with socket.create_connection(("127.0.0.1", shop.server.port), timeout=10) as connection:
        connection.sendall(begin)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            deque(map(connection.sendall, pieces), maxlen=0)
    assert shop.server.ask("GET", "/healthz/live").status == 200


def test_a_client_that_disconnects_in_the_middle_leaves_nothing_behind(shop: Tenant) -> None:
    before = shop.server.output()
    for cut in (0, 1, len(BATCH) // 2, len(BATCH) - 1):
        raw(shop, _HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(BATCH), BATCH[:cut]), hang_up=True)
    assert shop.post("/v1/batch", BATCH).status == 200
    wait_until(lambda: shop.head() == 1, 5, "the complete batch is recorded")
    assert shop.rejected() == [], "half a request is no message"
    assert "Traceback" not in shop.server.output()[len(before) :]


@pytest.mark.parametrize(
    "target",
    [
        "/v1/events?limit=0",
        "/v1/events?limit=1e9",
        "/v1/events?limit=" + "9" * 400,
        "/v1/events?cursor=" + "x" * 300,
        "/v1/events?cursor=%00",
        "/v1/events?cursor=MTIz",
        "/v1/events?name=%00",
        "/v1/events?name=%ed%a0%80",
        "/v1/events?from=10000-01-01",
        "/v1/events?from=2026-02-30T24:61:61&tz=Europe/Berlin",
        "/v1/events?tz=..%2f..%2fetc%2fpasswd",
        "/v1/events?where=",
        "/v1/events?where=properties.a%3E" + "9" * 5000,
        "/v1/events?where=properties.a%3E1e999999",
        "/v1/events?where=properties.a%3Ejson",
        "/v1/events?where=properties." + "a." * 2000 + "b%3D1",
        "/v1/events?where=properties.items[].x%3D%22%5C%22",
        "/v1/events?min_position=99999999999999999999",
        "/v1/events?profile=user_id:",
        "/v1/events?profile=%ff",
        "/v1/events?name=a&name=b",
        "/v1/events?nonsense=1",
        "/v1/events/not-an-id",
        "/v1/events/00000000-0000-0000-0000-000000000000",
        "/v1/profiles/" + "x" * 3000 + "/timeline",
        "/v1/profiles/user_id:%00/timeline",
        "/v1/profiles/user_id:a%2Fb/timeline",
        "/v1/profiles/%F0%9F%98%80/timeline",
        "/v1/rejected?cursor=%F0%9F%98%80",
        "/v1/rejected?cursor=MjAyNi0wMS0wMSB4",
        "/v1/rejected?code=%00",
        "/v1/event-types?limit=-1",
        "/v1/" + "x/" * 500,
    ],
)
def test_an_odd_query_is_answered_or_refused(shop: Tenant, target: str) -> None:
    shop.post(
        "/v1/track",
        {"userId": "u-1", "event": "V", "properties": {"a": "json", "items": [{"x": 1}]}},
    )
    answer = shop.server.ask("GET", target, headers=bearer(shop.read))
    assert answer.status in {200, 400, 404}, answer
    if answer.status != 200:
        assert answer.json.keys() == {"code", "message", "details"}
