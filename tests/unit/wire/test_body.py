"""Decompression of request bodies, and its limits."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.wire.base import InvalidBody
from interfaces.wire.body import decode_body

LIMIT = 500 * 1024
JSON = b'{"batch":[{"type":"track"}]}'


def rejection_code(body, encoding=None, limit=LIMIT):
    with pytest.raises(InvalidBody) as caught:
        decode_body(body, encoding, limit)
    return caught.value.code


def raw_deflate(data):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity", "gzip", "deflate"])
def test_plain_json_is_accepted_with_any_header(encoding):
    assert decode_body(JSON, encoding, LIMIT) == JSON


@pytest.mark.parametrize("encoding", [None, "identity", "gzip", "x-gzip", "GZIP", "deflate"])
def test_gzip_is_detected_by_its_magic_number_with_or_without_the_header(encoding):
    assert decode_body(gzip.compress(JSON), encoding, LIMIT) == JSON


@pytest.mark.parametrize("pack", [zlib.compress, raw_deflate])
def test_deflate_is_accepted_in_both_of_its_forms(pack):
    assert decode_body(pack(JSON), "deflate", LIMIT) == JSON


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "nonsense"])
def test_an_unknown_encoding_is_rejected(encoding):
    assert rejection_code(JSON, encoding) == "unsupported_encoding"


@given(st.binary(max_size=5000), st.integers(min_value=1, max_value=700))
def test_chunks_decode_like_the_whole_body(data, size):
    packed = gzip.compress(data)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert decode_body(chunks, "gzip", LIMIT) == data


def test_a_truncated_gzip_is_rejected_at_every_length():
    packed = gzip.compress(JSON * 20)
    for length in range(2, len(packed)):
        assert rejection_code(packed[:length], "gzip") == "bad_gzip"


def test_a_damaged_gzip_is_rejected():
    packed = bytearray(gzip.compress(JSON * 20))
    packed[-6] ^= 1  # the checksum
    assert rejection_code(bytes(packed), "gzip") == "bad_gzip"


@pytest.mark.parametrize("trailing", [b"x", b"\0", gzip.compress(JSON, mtime=0)])
def test_trailing_data_after_the_gzip_is_rejected(trailing):
    assert rejection_code(gzip.compress(JSON) + trailing, "gzip") == "bad_gzip"


def test_a_gzip_header_with_another_body_is_rejected():
    assert rejection_code(b"event=x&userId=1", "gzip") == "bad_gzip"
    assert rejection_code(b"event=x&userId=1", "deflate") == "bad_gzip"


def test_the_limit_applies_to_the_decompressed_body():
    text = json.dumps(list(range(20_000))).encode()
    assert decode_body(gzip.compress(text), "gzip", len(text)) == text
    assert rejection_code(gzip.compress(text), "gzip", len(text) - 1) == "body_too_large"
    assert decode_body(text, None, len(text)) == text
    assert rejection_code(text, None, len(text) - 1) == "body_too_large"


def test_chunks_are_not_collected_beyond_the_limit():
    yielded = []

    def chunks():
        for number in range(100):
            yielded.append(number)
            yield b" " * 1000

    assert rejection_code(chunks(), None, 10_000) == "body_too_large"
    assert len(yielded) == 11


def test_more_than_200_output_bytes_per_input_byte_are_rejected():
    packed = gzip.compress(b" " * 400_000, compresslevel=9)
    assert 400_000 / len(packed) > 200
    assert rejection_code(packed, "gzip") == "body_too_large"
    small = gzip.compress(b" " * 60_000)
    assert decode_body(small, "gzip", LIMIT) == b" " * 60_000


def test_a_decompression_bomb_uses_little_memory():
    bomb = gzip.compress(bytes(100 << 20), compresslevel=9)
    tracemalloc.start()
    try:
        assert rejection_code(bomb, "gzip", 10 << 20) == "body_too_large"
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=300), st.sampled_from([None, "gzip", "deflate", "br", "\0", ",,"]))
def test_any_bytes_are_a_body_or_an_invalid_body(data, encoding):
    for body in (data, b"\x1f\x8b" + data, b"\x78\x9c" + data):
        with suppress(InvalidBody):
            assert len(decode_body(body, encoding, 200)) <= 200
