"""Segment's batches: bodies, limits, and fields shared by all messages."""

from __future__ import annotations

import json

import pytest

from domain.core.identifiers import Identifier
from interfaces.wire.base import InvalidBody, WireLimits
from tests.unit.wire.given import (
    accepted,
    batch,
    read_batch,
    single,
    track,
    written,
)


def test_shared_fields_are_merged_and_the_message_has_priority():
    fields = track(context={"ip": "1.1.1.1", "app": {"name": "mine"}})
    raw = written(fields)[:-1] + b',"n":1.00}'
    message = accepted(
        raw,
        context={"app": {"name": "batch", "version": 1}, "locale": "pl"},
        integrations={"All": False},
    )
    assert json.loads(message.payload) == fields | {
        "context": {"ip": "1.1.1.1", "app": {"name": "mine"}, "locale": "pl"},
        "integrations": {"All": False},
        "n": 1.0,
    }
    assert b'"n":1.00' in message.payload
    assert message.raw == raw


@pytest.mark.parametrize(
    "around",
    [{}, {"context": None}, {"context": {}}, {"context": "x", "integrations": []},
     {"context": {"ip": "9.9.9.9"}}],
)  # fmt: skip
def test_a_payload_without_additions_is_unchanged(around):
    raw = b'{ "type":"track", "event":"x", "userId":"u", "context":{"ip" : "1.1.1.1"} }'
    message = accepted(raw, **around)
    assert (message.payload, message.raw) == (raw, b"")


def test_a_merge_keeps_big_numbers_and_lone_surrogates_as_written():
    raw = rb'{"type":"track","event":"x","userId":"u","p":"\ud83d","n":18446744073709551616}'
    message = accepted(raw, context=rb'{"a":1e400,"b":"\ude00","\u0063":"\u0000"}')
    assert message.payload == (
        rb'{"type":"track","event":"x","userId":"u","p":"\ud83d","n":18446744073709551616,'
        rb'"context":{"a":1e400,"b":"\ude00","c":"\u0000"}}'
    )
    assert message.raw == raw


def test_an_invalid_shared_context_rejects_the_batch():
    for context, code in (
        (b'{"a":' * 40 + b"1" + b"}" * 40, "too_deep"),
        (b'{"a":"\xff"}', "invalid_utf8"),
        (b'{"a":NaN}', "invalid_json"),
    ):
        with pytest.raises(InvalidBody) as caught:
            batch(track(), context=context)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "odd",
    [
        rb'"\u0000"', rb'"\ud83d"', rb'"\ude00\ud83d"', b"18446744073709551616", b"9" * 10_000,
        b"1e400", b"-1e131071", '"Zażółć 😀"'.encode(), b'{"a":1,"a":2}',
    ],
)  # fmt: skip
def test_unusual_but_valid_json_is_accepted_unchanged(odd):
    raw = b'{"type":"track","event":"x","userId":"u","properties":{"odd":%b}}' % odd
    message = accepted(raw)
    assert message.payload == raw
    assert message.identifiers == (Identifier("user_id", "u"),)


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        (b"NaN", "invalid_json"), (b"Infinity", "invalid_json"), (b"-Infinity", "invalid_json"),
        (b'"\xff"', "invalid_utf8"), (b'"\xed\xa0\xbd"', "invalid_utf8"), (b"01", "invalid_json"),
        (b'"\x00"', "invalid_json"), (b'"a\nb"', "invalid_json"), (rb'"\x41"', "invalid_json"),
        (b"[" * 40 + b"]" * 40, "too_deep"), (b"tru", "invalid_json"), (b"", "invalid_json"),
        (b"[" * 16_000 + b"]" * 16_000, "too_deep"), (b"[1,]", "invalid_json"),
        (b'{"%b":1}' % (b"k" * 513), "key_too_long"),
        (json.dumps(dict.fromkeys(map(str, range(1001)))).encode(), "too_many_keys"),
    ],
)  # fmt: skip
def test_only_the_invalid_message_is_rejected(odd, code):
    bad = b'{"type":"track","event":"x","userId":"u","messageId":"b","properties":{"odd":%b}}' % odd
    parsed = batch(track(messageId="1"), bad, track(messageId="2"))
    assert [it.message_id for it in parsed.messages] == ["1", "2"]
    (rejection,) = parsed.rejections
    assert (rejection.index, rejection.code, rejection.raw) == (1, code, bad)
    assert parsed.count == 3


@pytest.mark.parametrize("item", [b"1", b'"x"', b"null", b"[]", b"true"])
def test_only_the_message_that_is_not_an_object_is_rejected(item):
    parsed = batch(item, track())
    assert (len(parsed.messages), parsed.rejections[0].code) == (1, "not_an_object")


def test_the_last_of_two_equal_keys_counts():
    message = accepted(b'{"type":"page","type":"track","event":"a","event":"b","userId":"u"}')
    assert (message.kind, message.name) == ("track", "b")


def test_keys_may_be_written_with_escapes():
    message = accepted(rb'{"\u0074ype":"track","event":"x","user\u0049d":"u","x":"\ud83d"}')
    assert message.identifiers == (Identifier("user_id", "u"),)
    assert len(read_batch(rb'{"b\u0061tch":[{"x":NaN}]}').rejections) == 1


def test_a_message_of_32_kib_is_accepted_and_one_byte_more_is_not():
    item = track(properties={"text": ""})
    room = 32 * 1024 - len(written(item))
    assert accepted(track(properties={"text": "x" * room})).kind == "track"
    longer = track(properties={"text": "x" * (room + 1)})
    parsed = batch(track(), longer)
    assert len(parsed.messages) == 1
    assert parsed.rejections[0].code == "message_too_large"
    assert parsed.rejections[0].raw == written(longer)


def test_messages_beyond_the_limit_are_rejected_with_their_bytes():
    items = [track(messageId=str(number)) for number in range(2503)]
    parsed = batch(*items)
    assert [it.message_id for it in parsed.messages] == [str(it) for it in range(2500)]
    assert [(it.index, it.code, it.raw) for it in parsed.rejections] == [
        (index, "too_many_messages", written(items[index])) for index in (2500, 2501, 2502)
    ]
    assert parsed.count == 2503


def test_a_batch_of_a_hundred_thousand_tiny_messages_is_rejected_as_a_whole():
    with pytest.raises(InvalidBody) as caught:
        read_batch(b'{"batch":[' + b"1," * 100_000 + b"1]}")
    assert caught.value.code == "too_many_messages"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_an_object"), (b"hello", "not_an_object"), (b"[]", "not_an_object"),
        (b"null", "not_an_object"), (b"\xef\xbb\xbf{}", "invalid_json"), (b"{", "invalid_json"),
        (b'{"batch":[', "invalid_json"), (b'{"batch":[{}]', "invalid_json"),
        (b'{"batch":[{}]}}', "invalid_json"), (b'{"batch":[{"a":[}]}]}', "invalid_json"),
        (b'{"batch":[{}],}', "invalid_json"), (b'{"batch":[{},]}', "invalid_json"),
        (b'{"batch":[,]}', "invalid_json"), (b'{"batch":[],"a":NaN}', "invalid_json"),
        (b'{"batch":["a]}', "invalid_json"), (b"{}", "missing_batch"),
        (b'{"batch":null}', "missing_batch"), (b'{"batch":{}}', "missing_batch"),
        (b'{"batch":"x"}', "missing_batch"), (b'{"batches":[]}', "missing_batch"),
        (b'{"batch":[],"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
        (b"[" * 250_000, "not_an_object"), (b'{"a":' * 80_000, "invalid_json"),
    ],
)  # fmt: skip
def test_a_body_without_a_list_of_messages_is_rejected(body, code):
    with pytest.raises(InvalidBody) as caught:
        read_batch(body)
    assert caught.value.code == code


def test_an_empty_batch_is_valid():
    assert batch().count == 0


def test_a_depth_of_100_000_rejects_only_its_message():
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    parsed = batch(track(messageId="1"), deep, track(messageId="2"))
    assert [it.message_id for it in parsed.messages] == ["1", "2"]
    assert parsed.rejections[0].code == "message_too_large"


def test_the_write_key_is_that_of_the_batch_or_its_first_message():
    assert batch(track()).write_key is None
    assert batch(track(writeKey="a"), writeKey="b").write_key == "b"
    assert batch(track(writeKey="a"), track(writeKey="c")).write_key == "a"
    assert batch(track(writeKey=7), writeKey={}).write_key is None
    assert batch().write_key is None
    assert batch(rb'{"writeKey":"a","x":"\ud83d"}').write_key == "a"
    assert batch(b'{"writeKey":"a","x":NaN}').write_key == "a"
    assert batch(b'{"x":NaN}', writeKey="b").write_key == "b"


def test_a_single_message_is_the_body_and_has_the_kind_of_the_path():
    body = b' {"event":"x", "userId":"u", "writeKey":"k"}\n'
    parsed = single(body)
    assert parsed.write_key == "k"
    (message,) = parsed.messages
    assert (message.kind, message.payload, message.raw) == ("track", body, b"")
    assert message.message_id == "server-1"


def test_the_path_wins_over_a_contradictory_type():
    parsed = single(track(type="track"), "page")
    assert (parsed.messages[0].kind, parsed.messages[0].name) == ("page", "page_view")


def test_a_rejected_single_message_keeps_its_bytes():
    for body, code in (
        (b'{"event":"x"}', "no_user_anon_id"),
        (b'{"event":NaN,"writeKey":"k"}', "invalid_json"),
        (b'{"event":"' + b"x" * 40_000 + b'","writeKey":"k"}', "message_too_large"),
        (b'{"event":"\xff"}', "invalid_utf8"),
    ):
        parsed = single(body)
        assert not parsed.messages
        assert (parsed.rejections[0].code, parsed.rejections[0].raw) == (code, body)
        assert parsed.write_key == ("k" if b"writeKey" in body else None)


@pytest.mark.parametrize("body", [b"", b"x", b"[1]", b"{", b'{"a":1}}', b"{a}", b"\xef\xbb\xbf{}"])
def test_a_single_body_that_is_not_an_object_is_rejected(body):
    with pytest.raises(InvalidBody) as caught:
        single(body)
    assert caught.value.code in {"not_an_object", "invalid_json"}


def test_a_retry_has_the_same_fingerprint():
    item = track(properties={"a": 1}, context={"ip": "1"}, sentAt="2020-01-01T00:00:00Z")
    retry = item | {"context": {"ip": "2"}, "sentAt": "2021-01-01", "_metadata": {"retryCount": 2}}
    assert accepted(item).fingerprint == accepted(retry).fingerprint != 0


@pytest.mark.parametrize(
    "other",
    [{"event": "Other"}, {"userId": "u-2"}, {"anonymousId": "u-1"}, {"properties": {"a": 2}},
     {"traits": {"a": 1}}, {"type": "page"}, {"name": "x"}, {"category": "x"},
     {"type": "group", "groupId": "g"}, {"type": "alias", "previousId": "p"}],
)  # fmt: skip
def test_another_message_with_the_same_id_has_another_fingerprint(other):
    item = track(properties={"a": 1})
    fingerprint = accepted(item | other).fingerprint
    assert fingerprint != accepted(item).fingerprint
    assert -(2**63) <= fingerprint < 2**63


def test_limits_can_be_set():
    limits = WireLimits(message_bytes=10, batch_messages=1)
    parsed = read_batch(b'{"batch":[{"type":"track"},{}]}', limits)
    assert [it.code for it in parsed.rejections] == ["message_too_large", "too_many_messages"]
