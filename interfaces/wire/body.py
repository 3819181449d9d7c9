"""The bytes of a request, out of whatever they were packed in, and never more than allowed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from interfaces.wire.base import InvalidBody

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP, _ZLIB, _DEFLATE = 31, 15, -15
"""``wbits`` of zlib for the three wrappings of the same compression."""

_CHUNK_BYTES = 64 * 1024
"""How much is unpacked at a time; also from where on the ratio is looked at."""

_MAX_RATIO = 200
"""Bytes out for one byte in: JSON comes nowhere near it, a bomb is at 1,000."""

_ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


def decode_body(
    body: bytes | Iterable[bytes], content_encoding: str | None, max_bytes: int
) -> bytes:
    """Return the body as it was before it was compressed.

    ``body`` is the bytes or the chunks as received; ``limit`` is in bytes, after unpacking.  The
    magic number counts as much as the header: some clients compress and do not say so, others say
    so and do not.  Raises BadBody: ``body_too_large``, ``bad_gzip``, ``unsupported_encoding``.
    """
    packed = body if isinstance(body, bytes) else b"".join(_limit_chunks(body, max_bytes))
    encoding = _parse_content_encoding(content_encoding)
    if len(packed) > max_bytes:  # packed or not: unpacking makes nothing smaller that is JSON
        raise _too_large(max_bytes)
    wrapping = _detect_wrapping(packed, encoding)
    return packed if wrapping is None else _decompress(packed, wrapping, max_bytes)


def _limit_chunks(chunks: Iterable[bytes], limit: int) -> Iterable[bytes]:
    """Pass the chunks on until there are more than could be right, packed or not."""
    left = limit
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise _too_large(limit)
        yield chunk


def _parse_content_encoding(content_encoding: str | None) -> str | None:
    names = [it.strip().lower() for it in (content_encoding or "").split(",")]
    packings = [it for it in names if it not in ("", "identity")]
    if not packings:
        return None
    if len(packings) > 1 or packings[0] not in _ENCODINGS:
        raise InvalidBody(
            "unsupported_encoding", "send the body with Content-Encoding gzip, deflate or none"
        )
    return _ENCODINGS[packings[0]]


def _detect_wrapping(packed: bytes, encoding: str | None) -> int | None:
    if packed.startswith(_GZIP_MAGIC):
        return _GZIP
    if encoding is None or not packed or packed.lstrip(b" \t\r\n")[:1] in (b"{", b"["):
        return None
    if encoding == "gzip":
        raise InvalidBody("bad_gzip", "the header says gzip, but the body is neither gzip nor JSON")
    checksum_fits = len(packed) > 1 and (packed[0] * 256 + packed[1]) % 31 == 0
    return _ZLIB if packed[0] & 15 == 8 and checksum_fits else _DEFLATE


def _decompress(packed: bytes, wrapping: int, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wrapping)
    pieces: list[bytes] = []
    size, rest = 0, packed
    try:
        while not unpacker.eof:
            piece = unpacker.decompress(rest, _CHUNK_BYTES)
            rest = unpacker.unconsumed_tail
            if not piece and not rest and not unpacker.eof:
                raise InvalidBody("bad_gzip", "the compressed body ends too early")
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            if size > _CHUNK_BYTES and size > _MAX_RATIO * (len(packed) - len(rest)):
                raise InvalidBody(
                    "body_too_large", "the body unpacks to far more than JSON ever does"
                )
    except zlib.error as error:
        raise InvalidBody("bad_gzip", f"the compressed body is damaged: {error}") from None
    if unpacker.unused_data:
        raise InvalidBody("bad_gzip", "something follows the compressed body: send one gzip member")
    return b"".join(pieces)


def _too_large(limit: int) -> InvalidBody:
    return InvalidBody("body_too_large", f"a body has at most {limit} bytes: send smaller batches")
