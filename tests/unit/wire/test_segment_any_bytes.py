"""Any input: only InvalidBody is raised, and an invalid message does not affect the others."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from domain.core.identifiers import Identifier
from interfaces.wire.base import InvalidBody
from tests.unit.wire.given import batch, read_batch, single, track

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())  # with lone surrogates
    | st.sampled_from(
        [2**53 + 1, 2**63, 2**64, 10**400, "", "\0", "\ud83d", "2016-12-31T23:59:60Z"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("type", "event", "userId", "anonymousId", "previousId", "groupId", "messageId",
          "timestamp", "originalTimestamp", "sentAt", "properties", "traits", "context", "name",
          "category", "integrations", "writeKey", "__proto__")  # fmt: skip
TYPES = ("track", "page", "screen", "identify", "group", "alias")
messages = st.builds(
    lambda fields, kind: fields | ({"type": kind} if kind else {}),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=8),
    st.sampled_from((*TYPES, None)),
)

# Not JSON, but with balanced quotes and brackets, as broken clients send it.
nonsense = st.text("ab1 ,:.-+\\/\x00\n\t\x7féNIu", min_size=0, max_size=20).map(
    lambda text: text.replace("\\", "").encode()
)
broken = st.recursive(
    nonsense
    | st.sampled_from(
        [b"NaN", b"-Infinity", b'"\xff\xfe"', b'"\xed\xa0\x80"', b"'x'", b"tru", b"01"]
    )
    | st.binary(max_size=12).map(
        lambda data: b'"' + data.replace(b"\\", b"").replace(b'"', b"") + b'"'
    ),
    lambda inner: (
        st.tuples(
            st.sampled_from([b"{%b}", b"[%b]", b'{"a":%b}', b'{"type":"track","event":%b}']), inner
        ).map(lambda pair: pair[0] % pair[1])
        | st.lists(inner, max_size=3).map(b":".join)
    ),
    max_leaves=6,
).filter(lambda data: data.strip(b" \t\r\n"))
one_element = broken.filter(lambda data: b"," not in data)


def valid_message(number):
    return track(messageId=f"valid-{number}", properties={"number": number, "text": "ż\ud83d"})


@given(st.binary())
@example(b'{"batch":[{"a":"\\')
@example(b"][")
def test_any_bytes_are_parsed_or_an_invalid_body(body):
    for read in (read_batch, single, lambda data: read_batch(b'{"batch":[' + data + b"]}")):
        with suppress(InvalidBody):
            read(body)


@given(values)
def test_any_json_is_parsed_or_an_invalid_body(value):
    body = json.dumps(value).encode()
    for read in (read_batch, single):
        with suppress(InvalidBody):
            read(body)


@given(st.lists(messages, max_size=5), st.dictionaries(st.sampled_from(FIELDS), values, max_size=3))
def test_every_message_of_a_batch_is_accepted_or_rejected(items, around):
    around = {key: json.dumps(value).encode() for key, value in around.items()}
    slices = [json.dumps(item).encode() for item in items]
    try:
        parsed = batch(*slices, **around)
    except InvalidBody:
        return
    assert parsed.count == len(items)
    rejected = {rejection.index: rejection.raw for rejection in parsed.rejections}
    accepted = iter(parsed.messages)
    for index, raw in enumerate(slices):
        if index in rejected:
            assert rejected[index] == raw
        else:
            message = next(accepted)
            assert (message.raw or message.payload) == raw
            assert message.occurred_at <= message.received_at


@given(messages, st.sampled_from(TYPES))
def test_a_single_message_and_a_batch_of_one_are_the_same(item, kind):
    item = item | {"type": kind}
    raw = json.dumps(item).encode()
    single_body, batch_body = single(raw, kind), batch(raw)
    assert single_body.messages == batch_body.messages
    assert single_body.rejections == batch_body.rejections


@given(st.lists(one_element | st.none(), min_size=1, max_size=8))
def test_the_other_messages_of_an_invalid_one_are_accepted(items):
    slices = [
        json.dumps(valid_message(index)).encode() if item is None else item
        for index, item in enumerate(items)
    ]
    parsed = batch(*slices)
    assert parsed.count == len(slices)
    accepted = {message.message_id: message for message in parsed.messages}
    for index, item in enumerate(items):
        if item is None:
            message = accepted[f"valid-{index}"]
            assert message.payload == slices[index]
            assert message.identifiers == (Identifier("user_id", "u-1"),)
    rejected = {rejection.index: rejection.raw for rejection in parsed.rejections}
    for index, raw in rejected.items():
        assert raw == slices[index].strip(b" \t\r\n")


@given(st.lists(st.none() | st.just(b'{"a":NaN}'), min_size=1, max_size=6))
def test_an_invalid_message_does_not_change_the_others(items):
    slices = [
        json.dumps(valid_message(index)).encode()
        for index, item in enumerate(items)
        if item is None
    ]
    mixed = [
        json.dumps(valid_message(index)).encode() if item is None else item
        for index, item in enumerate(items)
    ]
    around = {"context": {"ip": "1.2.3.4"}, "sentAt": "2026-11-22T11:00:00Z", "writeKey": "k"}
    assert batch(*mixed, **around).messages == batch(*slices, **around).messages
