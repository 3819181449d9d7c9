"""Compressed bodies, valid and hostile, to a running server: bounded cost, never a 5xx."""

from __future__ import annotations

import gzip
import time
import zlib
from base64 import b64decode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from tests.e2e.tenants import Tenant

MIB = 1 << 20
BATCH = b'{"batch":[{"type":"track","event":"Viewed","userId":"u-1","messageId":"m-1"}]}'
GZIP = {"Content-Encoding": "gzip"}


def flipped(packed: bytes, offset: int) -> bytes:
    return packed[:offset] + bytes([packed[offset] ^ 0xFF]) + packed[offset + 1 :]


@cache
def bomb() -> bytes:
    """200 MiB of blanks in 200 KB."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b" " * MIB) for _ in range(200)) + packer.flush()


PACKED = gzip.compress(BATCH)

ACCEPTED = {
    "gzip": (PACKED, GZIP),
    "gzip without a header": (PACKED, {}),
    "gzip announced as identity": (PACKED, {"Content-Encoding": "identity"}),
    "x-gzip": (PACKED, {"Content-Encoding": "x-gzip"}),
    "GZIP in capitals": (PACKED, {"Content-Encoding": "GZIP"}),
    "JSON announced as gzip": (BATCH, GZIP),
    "deflate": (zlib.compress(BATCH), {"Content-Encoding": "deflate"}),
    "raw deflate": (zlib.compress(BATCH, wbits=-15), {"Content-Encoding": "deflate"}),
    "gzip as a form": (PACKED, GZIP | {"Content-Type": "application/x-www-form-urlencoded"}),
    "gzip with a file name": (
        PACKED[:3] + b"\x08" + PACKED[4:10] + b"a.json\0" + PACKED[10:],
        GZIP,
    ),
}

REFUSED = {
    "cut off": (PACKED[:-9], GZIP, "bad_gzip"),
    "cut off in the checksum": (PACKED[:-4], GZIP, "bad_gzip"),
    "header alone": (PACKED[:10], GZIP, "bad_gzip"),
    "a wrong checksum": (flipped(PACKED, -8 % len(PACKED)), GZIP, "bad_gzip"),
    "a wrong length": (flipped(PACKED, -4 % len(PACKED)), GZIP, "bad_gzip"),
    "a wrong method": (flipped(PACKED, 2), GZIP, "bad_gzip"),
    "a damaged middle": (flipped(PACKED, 14), GZIP, "bad_gzip"),
    "two members": (PACKED + PACKED, GZIP, "bad_gzip"),
    "trailing bytes": (PACKED + b"\0\0", GZIP, "bad_gzip"),
    "gzip in gzip": (gzip.compress(PACKED), GZIP, "not_an_object"),
    "gzip twice, announced": (
        gzip.compress(PACKED),
        {"Content-Encoding": "gzip, gzip"},
        "unsupported_encoding",
    ),
    "Brotli": (b"\x0b\x02\x80{}\x03", {"Content-Encoding": "br"}, "unsupported_encoding"),
    "Zstandard": (
        b"\x28\xb5\x2f\xfd\x04\x00",
        {"Content-Encoding": "zstd"},
        "unsupported_encoding",
    ),
    "an encoding that is none": (BATCH, {"Content-Encoding": "rot13"}, "unsupported_encoding"),
    "neither gzip nor JSON": (b"hello", GZIP, "bad_gzip"),
    "a bomb": (bomb(), GZIP, "body_too_large"),
    "a bomb without a header": (bomb(), {}, "body_too_large"),
    "a bomb in a bomb": (gzip.compress(bomb()), GZIP, "body_too_large"),
    "a bomb in deflate": (
        zlib.compress(b" " * 50 * MIB),
        {"Content-Encoding": "deflate"},
        "body_too_large",
    ),
    "600 KB of noise": (bytes(range(256)) * 2_400, GZIP, "body_too_large"),
}


@pytest.mark.parametrize(("body", "headers"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_body_in_any_supported_encoding_is_recorded(
    shop: Tenant, body: bytes, headers: dict[str, str]
) -> None:
    assert shop.post("/v1/batch", body, headers).status == 200
    assert [event["message_id"] for event in shop.events()] == ["m-1"]


@pytest.mark.parametrize(("body", "headers", "code"), REFUSED.values(), ids=REFUSED)
def test_a_body_that_cannot_be_unpacked_is_refused_and_stored(
    shop: Tenant, body: bytes, headers: dict[str, str], code: str
) -> None:
    answer = shop.post("/v1/batch", body, headers)
    assert (answer.status, answer.json["code"]) == (400, code)
    assert shop.recorded() == []
    (row,) = shop.rejected()
    assert row["code"] == code
    raw = b64decode(row["raw"]) if row["raw_encoding"] == "base64" else row["raw"].encode()
    assert body.startswith(raw)
    assert raw == body or len(body) > 512_000


def test_bombs_cost_neither_time_nor_memory(shop: Tenant) -> None:
    def send(_: int) -> tuple[int, float]:
        started = time.monotonic()
        status = shop.post("/v1/batch", bomb(), GZIP).status
        return status, time.monotonic() - started

    send(0)
    median = sorted(send(n)[1] for n in range(20))[10]
    before = shop.server.memory()
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(send, range(200)))
    growth = shop.server.memory() - before
    print(
        f"a bomb of 200 MiB is refused in {1000 * median:.0f} ms;"
        f" 200 of them took {growth / MIB:.1f} MiB"
    )
    assert Counter(status for status, _ in results) == {400: 200}
    assert median < 0.1
    assert growth < 50 * MIB
    assert shop.post("/v1/batch", BATCH).status == 200, "the server goes on"
