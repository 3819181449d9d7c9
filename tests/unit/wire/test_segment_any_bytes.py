"""Whatever is sent: nothing but BadBody is raised, and a bad message costs no other."""

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
    | st.text(st.characters())  # with halves of surrogate pairs
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

# Not JSON, but with quotes and brackets that match, which is what broken clients send.
nonsense = st.text("ab1 ,:.-+\\/\x00\n\t\x7féNIu", min_size=0, max_size=20).map(
    lambda it: it.replace("\\", "").encode()
)
broken = st.recursive(
    nonsense
    | st.sampled_from(
        [b"NaN", b"-Infinity", b'"\xff\xfe"', b'"\xed\xa0\x80"', b"'x'", b"tru", b"01"]
    )
    | st.binary(max_size=12).map(
        lambda it: b'"' + it.replace(b"\\", b"").replace(b'"', b"") + b'"'
    ),
    lambda inner: (
        st.tuples(
            st.sampled_from([b"{%b}", b"[%b]", b'{"a":%b}', b'{"type":"track","event":%b}']), inner
        ).map(lambda it: it[0] % it[1])
        | st.lists(inner, max_size=3).map(b":".join)
    ),
    max_leaves=6,
).filter(lambda it: it.strip(b" \t\r\n"))
one_element = broken.filter(lambda it: b"," not in it)


def good(number):
    return track(messageId=f"good-{number}", properties={"number": number, "text": "ż\ud83d"})


@given(st.binary())
@example(b'{"batch":[{"a":"\\')
@example(b"][")
def test_any_bytes_are_read_or_a_bad_body(body):
    for read in (read_batch, single, lambda it: read_batch(b'{"batch":[' + it + b"]}")):
        with suppress(InvalidBody):
            read(body)


@given(values)
def test_any_json_is_read_or_a_bad_body(value):
    body = json.dumps(value).encode()
    for read in (read_batch, single):
        with suppress(InvalidBody):
            read(body)


@given(st.lists(messages, max_size=5), st.dictionaries(st.sampled_from(FIELDS), values, max_size=3))
def test_every_message_of_a_batch_is_accepted_or_rejected(items, around):
    around = {key: json.dumps(value).encode() for key, value in around.items()}
    slices = [json.dumps(it).encode() for it in items]
    try:
        parsed = batch(*slices, **around)
    except InvalidBody:
        return
    assert parsed.count == len(items)
    kept = {it.index: it.raw for it in parsed.rejections}
    accepted = iter(parsed.messages)
    for index, raw in enumerate(slices):
        if index in kept:
            assert kept[index] == raw
        else:
            message = next(accepted)
            assert (message.raw or message.payload) == raw
            assert message.occurred_at <= message.received_at


@given(messages, st.sampled_from(TYPES))
def test_a_single_message_and_a_batch_of_one_are_the_same(item, kind):
    item = item | {"type": kind}
    raw = json.dumps(item).encode()
    alone, together = single(raw, kind), batch(raw)
    assert alone.messages == together.messages
    assert alone.rejections == together.rejections


@given(st.lists(one_element | st.none(), min_size=1, max_size=8))
def test_the_neighbours_of_a_bad_message_survive(items):
    slices = [json.dumps(good(at)).encode() if it is None else it for at, it in enumerate(items)]
    parsed = batch(*slices)
    assert parsed.count == len(slices)
    accepted = {it.message_id: it for it in parsed.messages}
    for at, it in enumerate(items):
        if it is None:
            message = accepted[f"good-{at}"]
            assert message.payload == slices[at]
            assert message.identifiers == (Identifier("user_id", "u-1"),)
    kept = {it.index: it.raw for it in parsed.rejections}
    for at, raw in kept.items():
        assert raw == slices[at].strip(b" \t\r\n")


@given(st.lists(st.none() | st.just(b'{"a":NaN}'), min_size=1, max_size=6))
def test_a_bad_message_changes_nothing_about_its_neighbours(items):
    slices = [json.dumps(good(at)).encode() for at, it in enumerate(items) if it is None]
    mixed = [json.dumps(good(at)).encode() if it is None else it for at, it in enumerate(items)]
    around = {"context": {"ip": "1.2.3.4"}, "sentAt": "2026-11-22T11:00:00Z", "writeKey": "k"}
    assert batch(*mixed, **around).messages == batch(*slices, **around).messages
