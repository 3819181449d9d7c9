"""Decompresses request bodies, up to a size limit."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from interfaces.wire.base import InvalidBody

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP, _ZLIB, _DEFLATE = 31, 15, -15
"""``wbits`` of zlib for the three container formats of DEFLATE."""

_CHUNK_BYTES = 64 * 1024
"""Bytes decompressed at a time; also the output size from which the ratio is checked."""

_MAX_RATIO = 200
"""Maximum output bytes per input byte: JSON is far below it, a decompression bomb is at 1,000."""

_ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


def decode_body(
    body: bytes | Iterable[bytes], content_encoding: str | None, max_bytes: int
) -> bytes:
    """Return the decompressed body.

    ``body`` is the bytes or the chunks as received; ``max_bytes`` applies after decompression.  The magic number
    counts as much as the header: some clients compress without the header, others send the header without
    compression.  Raises InvalidBody: ``body_too_large``, ``bad_gzip``, ``unsupported_encoding``.
    """
    packed = body if isinstance(body, bytes) else b"".join(_limit_chunks(body, max_bytes))
    encoding = _parse_content_encoding(content_encoding)
    if len(packed) > max_bytes:  # compressed or not: decompressed JSON is never smaller
        raise _too_large(max_bytes)
    wrapping = _detect_wrapping(packed, encoding)
    return packed if wrapping is None else _decompress(packed, wrapping, max_bytes)


def _limit_chunks(chunks: Iterable[bytes], limit: int) -> Iterable[bytes]:
    """Yield chunks; raise InvalidBody once they exceed the limit, compressed or not."""
    remaining = limit
    for chunk in chunks:
        remaining -= len(chunk)
        if remaining < 0:
            raise _too_large(limit)
        yield chunk


def _parse_content_encoding(content_encoding: str | None) -> str | None:
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    encodings = [name for name in names if name not in ("", "identity")]
    if not encodings:
        return None
    if len(encodings) > 1 or encodings[0] not in _ENCODINGS:
        raise InvalidBody(
            "unsupported_encoding", "send the body with Content-Encoding gzip, deflate or none"
        )
    return _ENCODINGS[encodings[0]]


def _detect_wrapping(packed: bytes, encoding: str | None) -> int | None:
    if packed.startswith(_GZIP_MAGIC):
        return _GZIP
    if encoding is None or not packed or packed.lstrip(b" \t\r\n")[:1] in (b"{", b"["):
        return None
    if encoding == "gzip":
        raise InvalidBody(
            "bad_gzip", "Content-Encoding is gzip, but the body is neither gzip nor JSON"
        )
    checksum_fits = len(packed) > 1 and (packed[0] * 256 + packed[1]) % 31 == 0
    return _ZLIB if packed[0] & 15 == 8 and checksum_fits else _DEFLATE


def _decompress(packed: bytes, wrapping: int, limit: int) -> bytes:
    decompressor = zlib.decompressobj(wrapping)
    pieces: list[bytes] = []
    size, rest = 0, packed
    try:
        while not decompressor.eof:
            piece = decompressor.decompress(rest, _CHUNK_BYTES)
            rest = decompressor.unconsumed_tail
            if not piece and not rest and not decompressor.eof:
                raise InvalidBody("bad_gzip", "the compressed body is truncated")
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            if size > _CHUNK_BYTES and size > _MAX_RATIO * (len(packed) - len(rest)):
                raise InvalidBody("body_too_large", "the decompressed body is implausibly large")
    except zlib.error as error:
        raise InvalidBody("bad_gzip", f"the compressed body is damaged: {error}") from None
    if decompressor.unused_data:
        raise InvalidBody(
            "bad_gzip", "trailing data after the compressed body; send one gzip member"
        )
    return b"".join(pieces)


def _too_large(limit: int) -> InvalidBody:
    return InvalidBody("body_too_large", f"the body exceeds {limit} bytes; send smaller batches")
