"""Odd input to a running server: never a 5xx, neighbours are recorded, the reason is shown."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.events.events import MessageEvent
from tests import examples
from tests.e2e.odd_messages import ACCEPTED, BODIES, REJECTED, item
from tests.e2e.tenants import Tenant
from tests.serving import Answer


def in_a_batch(shop: Tenant, odd: bytes) -> Answer:
    """Send it between two good messages, which must be recorded whatever it is."""
    first, last = item(event=b'"First"'), item(event=b'"Last"')
    answer = shop.post("/v1/batch", b'{"batch":[' + b",".join((first, odd, last)) + b"]}")
    assert answer.status == 200, answer
    names = [
        recorded.event.name
        for recorded in shop.recorded()
        if isinstance(recorded.event, MessageEvent)
    ]
    assert (names[0], names[-1]) == ("First", "Last")
    return answer


def as_received(shown: dict[str, Any]) -> bytes:
    raw = shown["raw"]
    return b64decode(raw) if shown["raw_encoding"] == "base64" else raw.encode()


@pytest.mark.parametrize("odd", ACCEPTED.values(), ids=ACCEPTED)
def test_odd_but_valid_json_is_recorded_byte_for_byte(shop: Tenant, odd: bytes) -> None:
    assert "rejected" not in in_a_batch(shop, odd).json
    listed = shop.events()
    assert len(listed) == 3
    details = [shop.get(f"/v1/events/{event['id']}") for event in listed]
    _, recorded, _ = sorted(details, key=lambda event: event["position"])
    assert as_received(recorded) == odd.strip()
    shop.get("/v1/event-types")


@pytest.mark.parametrize(("odd", "code"), REJECTED.values(), ids=REJECTED)
def test_a_rejected_message_is_stored_with_the_reason(shop: Tenant, odd: bytes, code: str) -> None:
    (rejection,) = in_a_batch(shop, odd).json["rejected"]
    assert (rejection["index"], rejection["code"]) == (1, code)
    (row,) = shop.rejected()
    assert (row["code"], row["times"], row["source"]) == (code, 1, "segment")
    assert row["message"] == rejection["message"]
    assert as_received(row) == odd
    assert len(shop.events()) == 2


@pytest.mark.parametrize(("odd", "code"), REJECTED.values(), ids=REJECTED)
def test_alone_it_is_refused_with_400_and_stored(shop: Tenant, odd: bytes, code: str) -> None:
    answer = shop.post("/v1/track", odd)
    if answer.status == 200:  # the path supplies what the body lacks
        assert code in {"unknown_type", "missing_group_id", "missing_previous_id"}
        return
    assert answer.status == 400
    assert isinstance(answer.json["code"], str)
    assert isinstance(answer.json["message"], str)
    (row,) = shop.rejected()
    assert row["code"] == answer.json["code"]
    assert as_received(row) == odd


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_invalid_body_is_refused_and_stored(shop: Tenant, body: bytes, path: str) -> None:
    answer = shop.post(path, body)
    if answer.status == 200:
        assert "invalid" not in answer.body.decode()
        return
    assert answer.status == 400, answer
    assert answer.json["code"]
    assert answer.json["message"]
    (row,) = shop.rejected()
    assert row["code"] == answer.json["code"]
    assert as_received(row) == body
    assert shop.recorded() == []


def test_a_batch_that_is_too_large_is_refused_as_a_whole(shop: Tenant) -> None:
    for body in (
        item(b'{"%b":1}' % (b"k" * 1_000_000)),  # a key of 1 MB
        item(json.dumps(dict.fromkeys(map(str, range(1_000_000)), 0)).encode()),  # a million keys
        b'{"batch":[' + b",".join(item() for _ in range(6_000)) + b"]}",
    ):
        answer = shop.post("/v1/batch", body)
        assert (answer.status, answer.json["code"]) == (400, "body_too_large")
    assert shop.recorded() == []


def test_of_too_many_messages_the_first_are_recorded_and_the_rest_rejected(shop: Tenant) -> None:
    small = b",".join(b'{"type":"track","event":"V","userId":"u"}' for _ in range(2_502))
    answer = shop.post("/v1/batch", b'{"batch":[' + small + b"]}")
    assert answer.status == 200
    indices = [rejection["index"] for rejection in answer.json["rejected"]]
    assert indices == [2_500, 2_501]
    assert shop.head() == 2_500
    (row,) = shop.rejected()
    assert (row["code"], row["times"]) == ("too_many_messages", 2)


json_texts = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=-(2**70), max_value=2**70),
        st.floats(),
        st.text(st.characters(), max_size=30),
        st.sampled_from(
            ["\0", "\ud800", "\udfff\ud800", "__proto__", "1e400", "24:00", "2016-12-31T23:59:60Z"]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=15,
).map(json.dumps)

FIELDS = (
    *("type", "event", "userId", "anonymousId", "previousId", "groupId", "messageId", "name"),
    *("timestamp", "originalTimestamp", "sentAt", "properties", "traits", "context", "category"),
    *("integrations", "writeKey", "batch", "channel"),
)
messages = st.dictionaries(st.sampled_from(FIELDS), json_texts, max_size=6).map(
    lambda fields: item(**{k: v.encode("utf-8", "surrogatepass") for k, v in fields.items()})
)
damage = st.lists(
    st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3)), max_size=3
)


def pieces(odd: bytes) -> int:
    """Count the messages in it: one more for each comma outside of brackets and strings."""
    count, depth, quoted, escaped = 1, 0, False, False
    for char in map(chr, odd):
        if escaped or (quoted and char not in '"\\'):
            escaped = False
        elif quoted:
            quoted, escaped = char == "\\", char == "\\"
        elif char == '"':
            quoted = True
        else:
            depth += (char in "{[") - (char in "}]")
            count += char == "," and depth == 0
    return count


@examples.on_one_database(0.25)
@given(odd=messages, damages=damage)
@example(odd=item(), damages=[(0, b"\x00,\x00", 0)])
def test_for_any_damage_the_neighbours_are_recorded_and_nothing_vanishes(
    shop: Tenant, odd: bytes, damages: list[tuple[int, bytes, int]]
) -> None:
    for offset, inserted, removed in damages:
        odd = odd[:offset] + inserted + odd[offset + removed :]
    first, last = item(), item()
    answer = shop.post("/v1/batch", b'{"batch":[' + b",".join((first, odd, last)) + b"]}")
    assert answer.status in {200, 400}, answer
    if answer.status == 400:  # unbalanced brackets or quotes: messages cannot be separated
        assert answer.json["code"] in {"invalid_json", "too_deep", "body_too_large"}, answer
        return
    assert len(answer.json.get("rejected", ())) <= pieces(odd)
    again = shop.post("/v1/batch", b'{"batch":[' + first + b"," + last + b"]}")
    assert again.json["duplicates"] == 2, "both were recorded"


def test_the_read_models_apply_all_odd_messages(shop: Tenant) -> None:
    """All odd messages together: one that a read model cannot apply would block those after it."""
    for odd in ACCEPTED.values():
        assert shop.post("/v1/batch", b'{"batch":[' + odd + b"]}").status == 200
    listed = shop.events()
    assert len(listed) == len(ACCEPTED)
    status = shop.get("/v1/status")
    states = {(projection["lag"], projection["failure"]) for projection in status["projections"]}
    assert states == {(0, None)}
    for event in listed:
        detail = shop.get(f"/v1/events/{event['id']}")
        assert as_received(detail) in {odd.strip() for odd in ACCEPTED.values()}
