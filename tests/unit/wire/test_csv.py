"""CSV files: columns, ids, numbers, invalid rows and files."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.core.identifiers import Identifier
from domain.events.message import Message
from interfaces.wire.base import InvalidBody, WireLimits
from interfaces.wire.csv import CsvColumns, read
from tests.unit.wire.given import RECEIVED

ECOM = Path(__file__).parents[2] / "data" / "ecom.csv.gz"
ECOM_COLUMNS = CsvColumns(
    name="event", user="user_id", time="timestamp", session="session_id", channel="platform"
)
COLUMNS = CsvColumns(name="event", user="user", time="at")


def rows(data, columns=COLUMNS, limits=None):
    data = data if isinstance(data, bytes) else data.encode()
    return list(read(io.BytesIO(data), columns=columns, received_at=RECEIVED, limits=limits))


def only_message(data, columns=COLUMNS):
    ((_, row),) = rows(data, columns)
    assert isinstance(row, Message), row
    return row


def payload(message):
    return json.loads(message.payload)


def test_a_row_is_an_event_with_the_other_columns_as_properties():
    columns = CsvColumns(
        name="event", user="user", anonymous="visitor", email="mail", time="at",
        session="visit", channel="channel", numbers=("total",),
    )  # fmt: skip
    message = only_message(
        "user,visitor,mail,event,at,visit,channel,total,coupon,note\n"
        "u-1,a-1,Ann@Example.com, Order ,2024-03-13 10:21:14,v-1,email,12.50,,007\n",
        columns,
    )
    assert (message.kind, message.name, message.source) == ("track", "Order", "csv")
    assert message.identifiers == (
        Identifier("user_id", "u-1"),
        Identifier("anonymous_id", "a-1"),
        Identifier("email", "ann@example.com"),
    )
    assert message.occurred_at == datetime(2024, 3, 13, 10, 21, 14, tzinfo=UTC)
    assert message.received_at == RECEIVED
    assert payload(message) == {
        "type": "track",
        "event": "Order",
        "userId": "u-1",
        "anonymousId": "a-1",
        "channel": "email",
        "timestamp": "2024-03-13T10:21:14Z",
        "properties": {"total": 12.5, "note": "007"},
        "context": {"sessionId": "v-1", "traits": {"email": "Ann@Example.com"}},
    }
    assert b'"total":12.50' in message.payload
    assert message.raw == (
        b"u-1,a-1,Ann@Example.com, Order ,2024-03-13 10:21:14,v-1,email,12.50,,007"
    )


def test_without_an_identifier_column_the_rows_are_system_events():
    message = only_message("event\nNight fell\n", CsvColumns(name="event"))
    assert message.identifiers == ()
    assert message.occurred_at == RECEIVED


def test_each_row_of_a_real_file_has_its_own_id():
    with ECOM.open("rb") as file:
        ecom_rows = list(read(file, columns=ECOM_COLUMNS, received_at=RECEIVED))
    messages = [message for _, message in ecom_rows]
    assert [line for line, _ in ecom_rows] == list(range(2, 31_108))
    assert len({message.message_id for message in messages}) == len(messages) == 31_106
    assert len({message.message_id.rpartition("-")[0] for message in messages}) == 31_106 - 30
    assert len({message.identifiers for message in messages}) == 600
    assert Counter(message.name for message in messages)["purchase"] == 470
    assert min(message.occurred_at for message in messages) == datetime(
        2024, 1, 4, 11, 45, 38, tzinfo=UTC
    )
    assert Counter(payload(message)["channel"] for message in messages)["tablet"] == 3607
    assert len({payload(message)["context"]["sessionId"] for message in messages}) == 3605


def test_a_real_file_in_another_order_has_the_same_ids():
    header, *lines = gzip.decompress(ECOM.read_bytes()).splitlines(keepends=True)
    shuffled = random.Random(1).sample(lines, len(lines))
    first, second = (
        sorted(message.message_id for _, message in rows(header + b"".join(order), ECOM_COLUMNS))
        for order in (lines, shuffled)
    )
    assert first == second


@given(st.lists(st.sampled_from(["u-1,a", "u-2,a", "u-1,b", '"u-1",a']), min_size=1), st.data())
def test_identical_rows_are_separate_events_in_any_order(lines, data):
    shuffled = data.draw(st.permutations(lines))
    columns = CsvColumns(name="event", user="user")
    first, second = (
        [message.message_id for _, message in rows("\n".join(["user,event", *order]), columns)]
        for order in (lines, shuffled)
    )
    assert len(set(first)) == len(lines)
    assert sorted(first) == sorted(second)


def test_a_message_id_column_is_used_and_an_empty_cell_gets_an_id():
    columns = CsvColumns(name="event", message_id="id")
    ((_, with_id), (_, without)) = rows("id,event\nm-1,a\n,a\n", columns)
    assert with_id.message_id == payload(with_id)["messageId"] == "m-1"
    assert without.message_id.startswith("csv-")
    assert without.message_id.endswith("-1")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("u-1,a", "wrong_cell_count"),
        ("u-1,a,2024-01-01,x", "wrong_cell_count"),
        ("u-1,,2024-01-01", "missing_event"),
        ("u-1,  ,2024-01-01", "missing_event"),
        (",a,2024-01-01", "no_user_anon_id"),
        (" ,a,2024-01-01", "no_user_anon_id"),
        ("u\x01,a,2024-01-01", "invalid_id"),
        ("u" * 1025 + ",a,2024-01-01", "invalid_id"),
        ("u-1,a,", "invalid_time"),
        ("u-1,a,yesterday", "invalid_time"),
        ("u-1,a,9999-01-01", "invalid_time"),
        ('u-1,"a"b,2024-01-01', "invalid_csv"),
        ("u-1," + "a" * 200_000 + ",2024-01-01", "invalid_csv"),
        ("u-1," + "a" * 1025 + ",2024-01-01", "event_name_too_long"),
        (b"u-1,\xff,2024-01-01", "invalid_utf8"),
    ],
)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_an_invalid_row_is_rejected_with_its_line_and_the_others_are_read(row, code, newline):
    invalid = row if isinstance(row, bytes) else row.encode()
    lines = [b"user,event,at", b"u-1,first,2024-01-01", invalid, b"u-1,last,2024-01-01", b""]
    row_by_line = dict(rows(newline.join(lines)))
    assert (row_by_line[2].name, row_by_line[4].name) == ("first", "last")
    rejection = row_by_line[3]
    assert (rejection.index, rejection.code, rejection.raw) == (3, code, invalid)


def test_one_of_several_identifier_columns_is_enough():
    columns = CsvColumns(name="event", user="user", anonymous="visitor")
    parsed = rows("user,visitor,event\nu-1,,a\n,a-1,a\n,,a\n", columns)
    assert [getattr(row, "identifiers", row) for _, row in parsed[:2]] == [
        (Identifier("user_id", "u-1"),),
        (Identifier("anonymous_id", "a-1"),),
    ]
    assert parsed[2][1].code == "no_user_anon_id"


@pytest.mark.parametrize("cell", ["12", "-1", "0", "1.50", "1e3", " 7 ", "9" * 400])
def test_a_number_keeps_every_digit(cell):
    message = only_message(f"event,n\na,{cell}\n", CsvColumns(name="event", numbers=("n",)))
    assert b'"n":%b}' % cell.strip().encode() in message.payload


@pytest.mark.parametrize("cell", ["x", "1;5", "NaN", "Infinity", "0x1", "1 000", "--1", "1."])
def test_an_invalid_number_is_rejected(cell):
    ((line, row),) = rows(f"event,n\na,{cell}\n", CsvColumns(name="event", numbers=("n",)))
    assert (line, row.code) == (2, "invalid_number")


def test_line_numbers_are_those_of_an_editor():
    data = 'event,note\na,"one\ntwo\nthree"\n\n\nb,\n,"x\ny"\nc,\n'
    parsed = rows(data, CsvColumns(name="event"))
    assert [line for line, _ in parsed] == [2, 7, 8, 10]
    assert payload(parsed[0][1])["properties"] == {"note": "one\ntwo\nthree"}
    assert (parsed[2][1].code, parsed[2][1].raw) == ("missing_event", b',"x\ny"')


def test_a_byte_order_mark_and_gzip_are_accepted():
    data = b"\xef\xbb\xbfevent,note\r\na,b\r\n"
    for file in (data, gzip.compress(data)):
        assert payload(only_message(file, CsvColumns(name="event")))["event"] == "a"


def test_a_column_without_a_name_is_named_by_its_number():
    assert payload(only_message(",event\n0,a\n", CsvColumns(name="event")))["properties"] == {
        "column_1": "0"
    }


def test_a_future_time_is_replaced_by_the_received_time():
    assert only_message("user,event,at\nu,a,2090-01-01\n").occurred_at == RECEIVED


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "no_heading"),
        ("user,event\nu,a\n", "unknown_column"),
        ("user,event,at,at\n", "duplicate_column"),
        (",".join(["user,event,at", *(f"c{number}" for number in range(1000))]), "too_many_keys"),
        (gzip.compress(b"user,event,at\n" + b"u,a,2024-01-01\n" * 9, mtime=0)[:-9], "bad_gzip"),
    ],
)
def test_an_invalid_file_is_rejected(data, code):
    with pytest.raises(InvalidBody) as caught:
        rows(data)
    assert caught.value.code == code


def test_a_row_larger_than_a_message_is_rejected():
    parsed = rows(
        "user,event,at,x\nu,a,2024-01-01,yyyyyyyyy\n", limits=WireLimits(message_bytes=99)
    )
    assert parsed[0][1].code == "message_too_large"


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_an_invalid_body(data):
    parsed = rows(b"event,x\n" + data + b"\n", CsvColumns(name="event", user="x", numbers=("x",)))
    lines = [line for line, _ in parsed]
    assert lines == sorted(set(lines))
