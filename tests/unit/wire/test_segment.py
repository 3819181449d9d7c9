from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.core.identifiers import Identifier
from interfaces.wire.base import BadBody, Limits
from tests.unit.wire.given import (
    RECEIVED,
    accepted,
    batch,
    read_batch,
    rejected,
    single,
    track,
    written,
)

USER = Identifier("user_id", "u-1")
ANONYMOUS = Identifier("anonymous_id", "a-1")


def at(*fields):
    return datetime(*fields, tzinfo=UTC)


def test_a_track_message_says_what_happened_to_whom():
    item = track(event=" Order Completed ", anonymousId="a-1", properties={"total": 12.5})
    message = accepted(item)
    assert (message.kind, message.name, message.message_id) == ("track", "Order Completed", "m-1")
    assert message.identifiers == (USER, ANONYMOUS)
    assert message.linked
    assert message.source == "segment"
    assert message.occurred_at == message.received_at == RECEIVED
    assert message.payload == written(item)
    assert message.raw == b""


@pytest.mark.parametrize(
    ("fields", "kind", "name"),
    [
        ({"type": "page", "name": "Home"}, "page", "page_view"),
        ({"type": "screen", "name": "Home"}, "screen", "screen_view"),
        ({"type": "identify", "traits": {"plan": "pro"}}, "identify", "identify"),
        ({"type": "group", "groupId": "g-1"}, "group", "group"),
        ({"type": "alias", "previousId": "a-1"}, "alias", "alias"),
        ({"type": "TRACK"}, "track", "Viewed"),
        ({"type": " Identify "}, "identify", "identify"),
    ],
)
def test_every_type_is_recorded_as_what_it_is(fields, kind, name):
    message = accepted(track(**fields))
    assert (message.kind, message.name) == (kind, name)
    assert message.identifiers == (USER,)


@pytest.mark.parametrize("type_", ["merge", "", None, 7, [], ..., "tracks"])
def test_another_type_is_rejected(type_):
    assert rejected(track(type=type_)).code == "unknown_type"


@pytest.mark.parametrize("event", ["", "  ", None, 7, {"a": 1}, ..., True])
def test_a_track_needs_an_event_name(event):
    rejection = rejected(track(event=event))
    assert rejection.code == "missing_event"
    assert rejection.message_id == "m-1"


def test_an_event_name_holds_what_every_store_can_hold():
    assert accepted(track(event="a\0b")).name == "a\ufffdb"
    assert accepted(track(event="\ud83d")).name == "\ufffd"
    assert accepted(track(event="ü" * 512)).name == "ü" * 512
    assert rejected(track(event="ü" * 513)).code == "event_name_too_long"


@pytest.mark.parametrize("nobody", [None, "", ...])
def test_null_empty_and_absent_ids_mean_nobody(nobody):
    assert accepted(track(userId=nobody, anonymousId="a-1")).identifiers == (ANONYMOUS,)
    assert accepted(track(anonymousId=nobody)).identifiers == (USER,)
    assert rejected(track(userId=nobody, anonymousId=nobody)).code == "no_user_anon_id"


@pytest.mark.parametrize(
    ("number", "text"),
    [(b"42", "42"), (b"-1", "-1"), (b"18446744073709551616", "18446744073709551616"),
     (b"1.0", "1.0"), (b"1e2", "1e2"), (b"9" * 900, "9" * 900)],
)  # fmt: skip
def test_a_number_is_an_id_as_it_is_written(number, text):
    message = accepted(b'{"type":"track","event":"x","userId":%b}' % number)
    assert message.identifiers == (Identifier("user_id", text),)


@pytest.mark.parametrize(
    "value",
    [True, False, [], {}, ["u-1"], "a\0b", "a\nb", "\x7f", "\x85", "\ud83d", "x" * 1025, "é" * 513],
)
@pytest.mark.parametrize("field", ["userId", "anonymousId"])
def test_what_cannot_be_an_id_is_rejected(field, value):
    assert rejected(track(**{field: value})).code == "invalid_id"


def test_an_id_of_10_000_digits_is_rejected():
    assert rejected(b'{"type":"track","event":"x","userId":' + b"9" * 10_000 + b"}").code == (
        "invalid_id"
    )


@pytest.mark.parametrize("value", ["x" * 1024, "é" * 512, "😀" * 256, " ", "a b", "\u200d", "İ"])
def test_ids_are_kept_as_they_are_sent(value):
    assert accepted(track(userId=value)).identifiers == (Identifier("user_id", value),)


def test_identify_may_name_somebody_by_e_mail_alone():
    item = {"type": "identify", "messageId": "m-1", "traits": {"email": " Ann@Example.com"}}
    assert accepted(item).identifiers == (Identifier("email", "ann@example.com"),)
    assert accepted(item | {"userId": "u-1"}).identifiers == (USER,)
    assert rejected(item | {"type": "track", "event": "x"}).code == "no_user_anon_id"


@pytest.mark.parametrize("traits", [{}, None, [], "x", {"email": 7}, {"email": ""}, {"email": " "}])
def test_identify_needs_somebody(traits):
    assert rejected({"type": "identify", "traits": traits}).code == "no_user_anon_id"


def test_a_group_needs_a_group_id():
    group = track(type="group")
    assert rejected(group).code == "missing_group_id"
    assert rejected(group | {"groupId": ""}).code == "missing_group_id"
    assert rejected(group | {"groupId": []}).code == "invalid_id"
    assert accepted(group | {"groupId": 7}).kind == "group"


def visitor(value: str) -> Identifier:
    return Identifier("anonymous_id", value)


def test_an_alias_absorbs_whoever_its_ids_stand_for():
    message = accepted(track(type="alias", previousId="old", anonymousId="a-1"))
    assert message.identifiers == (USER, ANONYMOUS)
    assert message.absorbs == (Identifier("user_id", "old"), visitor("old"), visitor("u-1"))


def test_an_alias_of_an_anonymous_id_is_about_the_user_alone():
    message = accepted(track(type="alias", previousId="a-1", anonymousId="a-1"))
    assert message.identifiers == (USER,)
    assert message.absorbs == (Identifier("user_id", "a-1"), ANONYMOUS, visitor("u-1"))


def test_an_alias_to_oneself_is_recorded_and_absorbs_nobody():
    message = accepted(track(type="alias", previousId="u-1"))
    assert (message.identifiers, message.absorbs) == ((USER,), ())


@pytest.mark.parametrize(
    "ids",
    [{}, {"previousId": ""}, {"previousId": None}, {"previousId": "old", "userId": None},
     {"previousId": "old", "userId": "", "anonymousId": "a-1"}],
)  # fmt: skip
def test_an_alias_needs_both_ids(ids):
    assert rejected(track(type="alias", **ids)).code == "missing_previous_id"


@pytest.mark.parametrize("message_id", ["0", "x" * 100, "x" * 101, "x" * 1024, "é", "😀", "M-1"])
def test_a_message_id_is_kept_as_it_is_sent(message_id):
    assert accepted(track(messageId=message_id)).message_id == message_id


@pytest.mark.parametrize("message_id", ["", " ", "\t", None, True, [], {}, ...])
def test_a_message_without_a_usable_id_gets_one_from_the_server(message_id):
    assert accepted(track(messageId=message_id)).message_id == "server-1"


def test_a_number_as_message_id_is_its_text_so_that_a_retry_is_recognised():
    assert accepted(track(messageId=7)).message_id == "7"


@pytest.mark.parametrize("message_id", ["x" * 1025, "x" * 10_000, "a\0b", "a\nb", "\ud83d"])
def test_an_impossible_message_id_is_rejected(message_id):
    rejection = rejected(track(messageId=message_id))
    assert rejection.code == "invalid_message_id"
    assert rejection.message_id is None


def test_a_wrong_clock_is_put_right_by_the_time_of_sending():
    sent, happened = "2020-01-01T00:00:10.000Z", "2020-01-01T00:00:00.000Z"
    for message in (
        accepted(track(timestamp=happened), sentAt=sent),
        accepted(track(timestamp=happened, sentAt=sent)),
        accepted(track(timestamp=happened, sentAt=sent), sentAt="2020-06-01T00:00:00.000Z"),
        accepted(track(originalTimestamp=happened, timestamp="2001-01-01"), sentAt=sent),
    ):
        assert message.occurred_at == RECEIVED - timedelta(seconds=10)
        assert message.sent_at == at(2020, 1, 1, 0, 0, 10)
        assert message.received_at == RECEIVED


def test_without_a_time_of_sending_the_client_s_time_is_taken():
    message = accepted(track(timestamp="2020-01-01T00:00:00.000Z"))
    assert (message.occurred_at, message.sent_at) == (at(2020, 1, 1), None)


@pytest.mark.parametrize("timestamp", [None, "soon", "9999-01-01T00:00:00Z", True, [], {}, -5])
def test_an_unusable_time_gives_way_to_the_server_s(timestamp):
    assert accepted(track(timestamp=timestamp)).occurred_at == RECEIVED
    assert accepted(track(timestamp="2020-01-01", sentAt=timestamp)).occurred_at == at(2020, 1, 1)


def test_times_may_be_seconds_or_milliseconds():
    assert accepted(track(timestamp=1577836800)).occurred_at == at(2020, 1, 1)
    assert accepted(track(timestamp="1577836800000")).occurred_at == at(2020, 1, 1)
    happened = accepted(track(timestamp=1577836800), sentAt=1577836810.0).occurred_at
    assert happened == RECEIVED - timedelta(seconds=10)


def test_nothing_happens_in_the_future():
    assert accepted(track(timestamp="2050-01-01T00:00:00Z")).occurred_at == RECEIVED
    late = track(timestamp="2020-01-01T00:00:10Z")
    assert accepted(late, sentAt="2020-01-01T00:00:00Z").occurred_at == RECEIVED


def test_what_a_batch_says_for_all_is_merged_and_the_message_wins():
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
def test_a_payload_to_which_nothing_is_added_stays_as_it_came(around):
    raw = b'{ "type":"track", "event":"x", "userId":"u", "context":{"ip" : "1.1.1.1"} }'
    message = accepted(raw, **around)
    assert (message.payload, message.raw) == (raw, b"")


def test_a_merge_keeps_big_numbers_and_half_emojis_as_written():
    raw = rb'{"type":"track","event":"x","userId":"u","p":"\ud83d","n":18446744073709551616}'
    message = accepted(raw, context=rb'{"a":1e400,"b":"\ude00","\u0063":"\u0000"}')
    assert message.payload == (
        rb'{"type":"track","event":"x","userId":"u","p":"\ud83d","n":18446744073709551616,'
        rb'"context":{"a":1e400,"b":"\ude00","c":"\u0000"}}'
    )
    assert message.raw == raw


def test_a_context_that_may_not_be_part_of_a_message_refuses_the_batch():
    for context, code in (
        (b'{"a":' * 40 + b"1" + b"}" * 40, "too_deep"),
        (b'{"a":"\xff"}', "invalid_utf8"),
        (b'{"a":NaN}', "invalid_json"),
    ):
        with pytest.raises(BadBody) as caught:
            batch(track(), context=context)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "odd",
    [
        rb'"\u0000"', rb'"\ud83d"', rb'"\ude00\ud83d"', b"18446744073709551616", b"9" * 10_000,
        b"1e400", b"-1e131071", '"Zażółć 😀"'.encode(), b'{"a":1,"a":2}',
    ],
)  # fmt: skip
def test_odd_but_legal_json_is_accepted_and_kept_as_it_came(odd):
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
def test_what_is_not_allowed_is_rejected_alone(odd, code):
    bad = b'{"type":"track","event":"x","userId":"u","messageId":"b","properties":{"odd":%b}}' % odd
    parsed = batch(track(messageId="1"), bad, track(messageId="2"))
    assert [it.message_id for it in parsed.messages] == ["1", "2"]
    (rejection,) = parsed.rejections
    assert (rejection.index, rejection.code, rejection.raw) == (1, code, bad)
    assert parsed.count == 3


@pytest.mark.parametrize("item", [b"1", b'"x"', b"null", b"[]", b"true"])
def test_a_message_that_is_no_object_is_rejected_alone(item):
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


def test_messages_beyond_the_limit_are_rejected_and_kept():
    items = [track(messageId=str(number)) for number in range(2503)]
    parsed = batch(*items)
    assert [it.message_id for it in parsed.messages] == [str(it) for it in range(2500)]
    assert [(it.index, it.code, it.raw) for it in parsed.rejections] == [
        (index, "too_many_messages", written(items[index])) for index in (2500, 2501, 2502)
    ]
    assert parsed.count == 2503


def test_a_batch_of_a_hundred_thousand_crumbs_is_refused_as_a_whole():
    with pytest.raises(BadBody) as caught:
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
def test_a_body_without_a_list_of_messages_is_refused(body, code):
    with pytest.raises(BadBody) as caught:
        read_batch(body)
    assert caught.value.code == code


def test_an_empty_batch_is_fine():
    assert batch().count == 0


def test_a_depth_of_100_000_costs_only_the_message_that_has_it():
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    parsed = batch(track(messageId="1"), deep, track(messageId="2"))
    assert [it.message_id for it in parsed.messages] == ["1", "2"]
    assert parsed.rejections[0].code == "message_too_large"


def test_the_write_key_is_the_batch_s_or_that_of_its_first_message():
    assert batch(track()).write_key is None
    assert batch(track(writeKey="a"), writeKey="b").write_key == "b"
    assert batch(track(writeKey="a"), track(writeKey="c")).write_key == "a"
    assert batch(track(writeKey=7), writeKey={}).write_key is None
    assert batch().write_key is None
    assert batch(rb'{"writeKey":"a","x":"\ud83d"}').write_key == "a"
    assert batch(b'{"writeKey":"a","x":NaN}').write_key == "a"
    assert batch(b'{"x":NaN}', writeKey="b").write_key == "b"


def test_a_single_message_is_its_body_and_of_the_path_s_kind():
    body = b' {"event":"x", "userId":"u", "writeKey":"k"}\n'
    parsed = single(body)
    assert parsed.write_key == "k"
    (message,) = parsed.messages
    assert (message.kind, message.payload, message.raw) == ("track", body, b"")
    assert message.message_id == "server-1"


def test_the_path_wins_over_a_contradictory_type():
    parsed = single(track(type="track"), "page")
    assert (parsed.messages[0].kind, parsed.messages[0].name) == ("page", "page_view")


def test_a_single_message_that_is_refused_is_kept():
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
def test_a_single_body_that_is_no_object_is_refused(body):
    with pytest.raises(BadBody) as caught:
        single(body)
    assert caught.value.code in {"not_an_object", "invalid_json"}


def test_the_same_message_sent_again_has_the_same_content():
    item = track(properties={"a": 1}, context={"ip": "1"}, sentAt="2020-01-01T00:00:00Z")
    again = item | {"context": {"ip": "2"}, "sentAt": "2021-01-01", "_metadata": {"retryCount": 2}}
    assert accepted(item).content == accepted(again).content != 0


@pytest.mark.parametrize(
    "other",
    [{"event": "Other"}, {"userId": "u-2"}, {"anonymousId": "u-1"}, {"properties": {"a": 2}},
     {"traits": {"a": 1}}, {"type": "page"}, {"name": "x"}, {"category": "x"},
     {"type": "group", "groupId": "g"}, {"type": "alias", "previousId": "p"}],
)  # fmt: skip
def test_another_message_under_the_same_id_has_another_content(other):
    item = track(properties={"a": 1})
    content = accepted(item | other).content
    assert content != accepted(item).content
    assert -(2**63) <= content < 2**63


def test_limits_can_be_set():
    limits = Limits(message_bytes=10, batch_messages=1)
    parsed = read_batch(b'{"batch":[{"type":"track"},{}]}', limits)
    assert [it.code for it in parsed.rejections] == ["message_too_large", "too_many_messages"]
