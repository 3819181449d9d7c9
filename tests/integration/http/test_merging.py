"""Merge and unmerge over HTTP, and the results of later reads."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from domain.core.identifiers import Identifier
from interfaces.wire.base import WireLimits
from interfaces.wire.segment.bodies import parse_batch
from tests.builders import NOON, anonymous, tracked, user
from tests.integration.projections.history import with_payload

ANN, BOB = user("ann"), user("bob")


@pytest.fixture
def couple(served):
    """Two users, each with a device of their own and a plan."""
    served.record(
        tracked("Viewed", ANN, anonymous("a-laptop")),
        tracked("Viewed", BOB, anonymous("b-phone")),
        _identified(ANN, "free", 1),
        _identified(BOB, "pro", 2),
    )
    return served


def _identified(who: Identifier, plan: str, hour: int):
    payload = {"type": "identify", "traits": {"plan": plan}}
    at = NOON + timedelta(hours=hour)
    return with_payload(tracked("identify", who, kind="identify", occurred_at=at), payload)


def decide(served, what: str, kind: str = "admin", headers: dict | None = None, **body):
    authorized = {"Authorization": f"Bearer {served.keys[kind]}"} | (headers or {})
    return served.client.post(
        f"/v1/profiles/{what}", json={"reason": "a test"} | body, headers=authorized
    )


def merge(served, primary="user_id:ann", secondary="user_id:bob", **more):
    return decide(served, "merge", primary=primary, secondary=secondary, **more).json()


def unmerge(served, identifier: str, **more):
    return decide(served, "unmerge", identifier=identifier, **more).json()


def names(profile) -> set[str]:
    return {item["value"] for item in profile["identifiers"]}


def streams(served, *identifiers: Identifier):
    return [str(served.service.ledger.stream_of(served.workspace, item)) for item in identifiers]


def timeline(served, reference: str, position: int):
    served.project()
    answer = served.get(f"/v1/profiles/{reference}/timeline?min_position={position}").json()
    return [item for item in answer["timeline"] if item["kind"] == "track"]


def test_both_ids_lead_to_the_merged_profile(couple):
    done = merge(couple)
    ann, bob = streams(couple, ANN, BOB)
    [whole] = done["after"]
    assert done["changed"]
    assert [item["id"] for item in done["before"]] == [ann, bob]
    assert (whole["id"], names(whole)) == (ann, {"ann", "bob", "a-laptop", "b-phone"})
    assert bob in whole["absorbed"]
    ways = [timeline(couple, item, done["position"]) for item in (ann, bob, "anonymous_id:b-phone")]
    assert len(ways[0]) == 2
    assert ways[0] == ways[1] == ways[2]


def test_a_merge_returns_the_differences_of_the_primary(couple):
    [change] = merge(couple, dry_run=True)["changes"]["attributes"]
    assert change == {"key": "plan", "change": "changed", "before": "free", "after": "pro"}
    assert merge(couple, policy="primary", dry_run=True)["changes"]["attributes"] == []


def test_a_dry_run_records_nothing(couple):
    head = couple.service.ledger.heads()
    for result in (
        merge(couple, dry_run=True),
        unmerge(couple, "anonymous_id:b-phone", dry_run=True),
    ):
        assert (result["changed"], result["dry_run"], result["position"]) == (True, True, None)
    assert couple.service.ledger.heads() == head


def test_a_merge_without_effect_is_unchanged_and_not_recorded(couple):
    merge(couple)
    head = couple.service.ledger.heads()
    again = [merge(couple), merge(couple, "user_id:bob", "anonymous_id:a-laptop")]
    again += [merge(couple, "user_id:ann", "user_id:ann")]
    assert [item["changed"] for item in again] == [False] * 3
    unmerge(couple, "user_id:bob")
    couple.record(tracked("Viewed", user("carol")))
    assert not unmerge(couple, "user_id:carol")["changed"]
    assert couple.service.ledger.heads()[couple.workspace] == head[couple.workspace] + 2


def test_an_unmerge_reverts_a_merge_and_each_profile_keeps_its_devices(couple):
    merge(couple)
    done = unmerge(couple, "user_id:bob")
    assert [names(item) for item in done["after"]] == [{"ann", "a-laptop"}, {"bob", "b-phone"}]
    couple.project()
    for reference, plan in (("user_id:ann", "free"), ("anonymous_id:b-phone", "pro")):
        profile = couple.get(f"/v1/profiles/{reference}").json()
        assert profile["attributes"] == {"plan": plan}
    assert merge(couple)["changed"]
    assert len(merge(couple)["after"]) == 1


def test_an_unmerged_device_stays_separate(couple):
    done = unmerge(couple, "anonymous_id:a-laptop")
    assert [names(item) for item in done["after"]] == [{"ann"}, {"a-laptop"}]
    later = couple.record(tracked("Viewed", ANN, anonymous("a-laptop"))).position
    assert len(timeline(couple, "anonymous_id:a-laptop", later)) == 0


def test_a_merge_takes_effect_whatever_the_source_clocks(couple):
    ahead = NOON + timedelta(days=36_500)
    couple.record(tracked("Viewed", ANN, anonymous("odd"), occurred_at=ahead))
    assert len(merge(couple)["after"]) == 1
    assert len(unmerge(couple, "user_id:bob")["after"]) == 2
    assert len(merge(couple)["after"]) == 1
    ledger = couple.service.ledger
    profiles = {
        ledger.profile(couple.workspace, item).id for item in map(UUID, streams(couple, ANN, BOB))
    }
    assert len(profiles) == 1


def test_a_profile_may_be_referenced_by_its_id(couple):
    ann, bob = streams(couple, ANN, BOB)
    assert len(merge(couple, ann, bob)["after"]) == 1
    assert len(unmerge(couple, bob)["after"]) == 2


def test_a_repeated_merge_with_its_key_is_recorded_once(couple):
    key = {"Idempotency-Key": "once"}
    first = decide(couple, "unmerge", headers=key, identifier="anonymous_id:a-laptop").json()
    merge(couple, "user_id:ann", "anonymous_id:a-laptop")
    again = decide(couple, "unmerge", headers=key, identifier="anonymous_id:a-laptop").json()
    assert (first["changed"], again["changed"]) == (True, False)


def test_a_key_of_another_command_is_refused(couple):
    couple.record(tracked("Viewed", user("carl")))
    key = {"Idempotency-Key": "once"}
    decide(couple, "merge", headers=key, primary="user_id:ann", secondary="user_id:bob")
    head = couple.service.ledger.heads()
    for what, body in (
        ("merge", {"primary": "user_id:ann", "secondary": "user_id:carl"}),
        ("unmerge", {"identifier": "user_id:bob"}),
    ):
        answer = decide(couple, what, headers=key, **body)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict"), answer.text
    assert couple.service.ledger.heads() == head


def test_a_key_equal_to_a_message_id_is_refused(couple):
    couple.record(tracked("Viewed", ANN, message_id="m-1"))
    key = {"Idempotency-Key": "m-1"}
    answer = decide(couple, "merge", headers=key, primary="user_id:ann", secondary="user_id:bob")
    assert answer.status_code == 409


def test_a_repeated_key_returns_the_current_state_after_an_unmerge(couple):
    key = {"Idempotency-Key": "once"}
    body = {"primary": "user_id:ann", "secondary": "user_id:bob"}
    first = decide(couple, "merge", headers=key, **body).json()
    unmerge(couple, "user_id:bob")
    again = decide(couple, "merge", headers=key, **body).json()
    assert (again["changed"], again["position"]) == (False, first["position"])
    assert [names(item) for item in again["after"]] == [{"ann", "a-laptop"}, {"bob", "b-phone"}]
    assert again["after"] == again["before"]


def test_suppressed_profiles_cannot_be_merged(couple):
    decide(couple, "suppress", profile="user_id:bob", erase=False)
    head = couple.service.ledger.heads()
    answer = decide(couple, "merge", primary="user_id:ann", secondary="user_id:bob")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert couple.service.ledger.heads() == head


def test_an_unknown_profile_is_named(couple):
    for what, body in (
        ("merge", {"primary": "user_id:ann", "secondary": "user_id:unknown"}),
        ("unmerge", {"identifier": "user_id:unknown"}),
    ):
        answer = decide(couple, what, **body).json()
        assert answer["message"] == "profile 'user_id:unknown' not found in this workspace"
        assert answer["details"] == {"profile": "user_id:unknown"}


def test_a_merge_is_an_event_with_its_actor_and_reason(couple):
    position = merge(couple)["position"]
    [recorded] = couple.service.ledger.read(couple.workspace, position - 1, 1)
    event = recorded.event
    actor = couple.keys["admin"].split("_")[3]
    assert (event.kind, event.actor, event.reason) == ("merge", actor, "a test")
    couple.project()
    shown = couple.get("/v1/events?name=merge").json()["events"]
    assert [item["properties"]["secondary"] for item in shown] == ["user_id:bob"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"primary": "user_id:ann", "secondary": "user_id:unknown"}, 404),
        ({"primary": "00000000-0000-0000-0000-000000000009", "secondary": "user_id:ann"}, 404),
        ({"primary": "ann", "secondary": "user_id:bob"}, 400),
        ({"primary": "user_id:ann"}, 400),
        ({"primary": "user_id:ann", "secondary": "user_id:bob", "reason": ""}, 400),
        ({"primary": "user_id:ann", "secondary": "user_id:bob", "reason": "x" * 501}, 400),
        ({"primary": "user_id:ann", "secondary": "user_id:bob", "policy": "mine"}, 400),
        ({"primary": "user_id:\0", "secondary": "user_id:bob"}, 404),
        ({"primary": "user_id:ann", "secondary": "user_id:null"}, 400),
    ],
)
def test_an_invalid_merge_is_refused(couple, body, status):
    couple.record(tracked("Viewed", user("null")))
    answer = decide(couple, "merge", **body)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"code", "message", "details"}


def test_only_an_admin_key_may_send_commands(couple):
    assert decide(couple, "merge", "read", primary="user_id:ann").status_code == 403


def test_a_lone_surrogate_in_a_reason_is_no_internal_error(couple):
    body = b'{"primary": "user_id:ann", "secondary": "user_id:bob", "reason": "\\ud800"}'
    headers = {"Authorization": f"Bearer {couple.keys['admin']}"}
    answer = couple.client.post("/v1/profiles/merge", content=body, headers=headers)
    assert answer.status_code == 400


def send(served, *messages: dict) -> int:
    """Record messages as SDKs send them, and return the position."""
    parsed = parse_batch(
        msgspec.json.encode({"batch": list(messages)}),
        received_at=NOON,
        limits=WireLimits(body_bytes=10**6, message_bytes=10**5, batch_messages=100),
        default_id=iter(map(str, range(1000))).__next__,
    )
    assert not parsed.rejections
    return served.record(*parsed.messages).position


def known(served, identifier: Identifier):
    [stream] = streams(served, identifier)
    return served.service.ledger.profile_as_of(served.workspace, UUID(stream), 2**62)


def test_an_alias_to_the_same_id_has_no_effect(served):
    send(served, {"type": "alias", "previousId": "u-1", "userId": "u-1", "messageId": "m"})
    assert known(served, user("u-1")).profile.absorbed == ()


@pytest.mark.parametrize(("previous", "new"), [("u-1", "a-1"), ("a-1", "u-1")])
def test_an_alias_links_the_same_profiles_in_either_direction(served, previous, new):
    send(
        served,
        {"type": "track", "event": "Viewed", "anonymousId": "a-1", "messageId": "m-1"},
        {"type": "identify", "userId": "u-1", "messageId": "m-2"},
        {"type": "alias", "previousId": previous, "userId": new, "messageId": "m-3"},
    )
    whole = known(served, user("u-1"))
    assert {item.value for item in whole.state.identifiers} == {"a-1", "u-1"}
    assert whole.state.counts == {"Viewed": 1, "identify": 1, "alias": 1}


def test_an_alias_after_identify_links_the_previous_id_to_the_current_user(served):
    """analytics-next replaces the new id by the current user's: alias('u-4', 'u-3') is of u-1."""
    alias = {"type": "alias", "previousId": "u-3", "userId": "u-1", "anonymousId": "a-1"}
    send(
        served,
        {"type": "identify", "userId": "u-1", "anonymousId": "a-1", "messageId": "m-1"},
        {"type": "identify", "userId": "u-3", "messageId": "m-2"},
        alias | {"messageId": "m-3"},
    )
    whole = known(served, user("u-3"))
    assert {item.value for item in whole.state.identifiers} == {"u-1", "u-3", "a-1"}
    assert [str(whole.profile.id)] == streams(served, user("u-1"))
