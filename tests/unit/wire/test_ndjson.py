"""NDJSON files: lines, ids, times and limits."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.wire.base import InvalidBody, WireLimits
from interfaces.wire.ndjson import read
from tests.unit.wire.given import RECEIVED, track, written


def lines(*items, newline=b"\n", limits=None):
    data = newline.join(map(written, items))
    return list(read(io.BytesIO(data), received_at=RECEIVED, limits=limits))


def test_each_line_is_a_message_with_a_type():
    items = [track(), track(type="page", messageId="m-2"), track(type="identify", messageId="m-3")]
    for newline in (b"\n", b"\r\n", b"\n\n  \n"):
        messages = [message for _, message in lines(*items, newline=newline)]
        assert [message.kind for message in messages] == ["track", "page", "identify"]
        assert [message.message_id for message in messages] == ["m-1", "m-2", "m-3"]
        assert [message.payload for message in messages] == [written(item) for item in items]
        assert {message.source for message in messages} == {"ndjson"}


def test_an_invalid_line_is_rejected_with_its_number_and_the_others_are_read():
    invalid = [b"{", b"[1]", b'{"type":"track","event":NaN}', b'{"type":"track"}', b'{"a":"\xff"}']
    rows = lines(track(), *invalid, track())
    assert [number for number, _ in rows] == [1, 2, 3, 4, 5, 6, 7]
    rejections = [rejection for _, rejection in rows[1:-1]]
    assert [(rejection.index, rejection.raw) for rejection in rejections] == list(
        enumerate(invalid, 2)
    )
    assert [rejection.code for rejection in rejections] == [
        "invalid_json", "not_an_object", "invalid_json", "missing_event", "invalid_utf8",
    ]  # fmt: skip


@given(st.lists(st.integers(0, 3), min_size=1), st.data())
def test_lines_without_an_id_get_the_same_ones_in_any_order(numbers, data):
    items = [track(messageId=..., properties={"n": number}) for number in numbers]
    shuffled = data.draw(st.permutations(items))
    first, second = (
        [message.message_id for _, message in lines(*order)] for order in (items, shuffled)
    )
    assert len(set(first)) == len(items)
    assert sorted(first) == sorted(second)
    assert all(message_id.startswith("ndjson-") for message_id in first)


def test_line_ends_do_not_change_the_id():
    item = track(messageId=...)
    (_, unix), (_, windows) = (
        lines(item, item, newline=b"\n"),
        lines(item, item, newline=b"\r\n"),
    )
    assert unix == windows
    assert unix[1].message_id.endswith("-2")


def test_times_of_a_file_are_not_corrected():
    item = track(
        timestamp="2023-05-01T00:00:00Z",
        originalTimestamp="2023-05-01T00:07:00Z",
        sentAt="2023-05-01T00:07:01Z",
    )
    ((_, message),) = lines(item)
    assert message.occurred_at == datetime(2023, 5, 1, tzinfo=UTC)
    assert message.sent_at == datetime(2023, 5, 1, 0, 7, 1, tzinfo=UTC)
    ((_, message),) = lines(track(originalTimestamp="2023-05-01"))
    assert message.occurred_at == datetime(2023, 5, 1, tzinfo=UTC)


def test_a_line_that_is_too_long_is_rejected_and_the_next_one_read():
    limits = WireLimits(message_bytes=200)
    for length in (190, 199, 200, 201, 250, 401, 5000):
        long = json.dumps({"a": "x" * length}).encode()
        rows = lines(long, track(), limits=limits)
        assert [number for number, _ in rows] == [1, 2]
        assert rows[1][1].name == "Viewed"
        rejection = rows[0][1]
        assert rejection.code == ("message_too_large" if len(long) > 200 else "unknown_type")
        assert rejection.raw == long[:200]


def test_a_gzipped_file_is_decompressed():
    packed = gzip.compress(written(track()) + b"\n")
    assert len(list(read(io.BytesIO(packed), received_at=RECEIVED))) == 1
    with pytest.raises(InvalidBody) as caught:
        list(read(io.BytesIO(packed[:-4]), received_at=RECEIVED))
    assert caught.value.code == "bad_gzip"


def test_an_empty_file_has_no_rows():
    assert lines() == lines(b"\n\n \r\n") == []


@given(st.binary(max_size=300))
def test_any_bytes_are_lines(data):
    rows = list(read(io.BytesIO(b"x" + data), received_at=RECEIVED, limits=WireLimits()))
    numbers = [number for number, _ in rows]
    assert numbers == sorted(set(numbers))
