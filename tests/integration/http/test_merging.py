"""Merging people and taking names out again, through the API; what reads say afterwards."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from domain.core.identifiers import Identifier
from interfaces.wire import FORMATS
from interfaces.wire.base import WireLimits
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
    said = {"type": "identify", "traits": {"plan": plan}}
    at = NOON + timedelta(hours=hour)
    return with_payload(tracked("identify", who, kind="identify", occurred_at=at), said)


def decide(served, what: str, kind: str = "admin", headers: dict | None = None, **body):
    authorized = {"Authorization": f"Bearer {served.keys[kind]}"} | (headers or {})
    return served.client.post(
        f"/v1/profiles/{what}", json={"reason": "a test"} | body, headers=authorized
    )


def merge(served, primary="user_id:ann", secondary="user_id:bob", **more):
    return decide(served, "merge", primary=primary, secondary=secondary, **more).json()


def unmerge(served, identifier: str, **more):
    return decide(served, "unmerge", identifier=identifier, **more).json()


def names(person) -> set[str]:
    return {it["value"] for it in person["identifiers"]}


def streams(served, *identifiers: Identifier):
    return [str(served.service.ledger.stream_of(served.workspace, it)) for it in identifiers]


def timeline(served, reference: str, position: int):
    served.project()
    answer = served.get(f"/v1/profiles/{reference}/timeline?min_position={position}").json()
    return [it for it in answer["timeline"] if it["kind"] == "track"]


def test_a_merge_makes_one_of_two_and_both_ids_lead_there(couple):
    done = merge(couple)
    ann, bob = streams(couple, ANN, BOB)
    [whole] = done["after"]
    assert done["changed"]
    assert [it["id"] for it in done["before"]] == [ann, bob]
    assert (whole["id"], names(whole)) == (ann, {"ann", "bob", "a-laptop", "b-phone"})
    assert bob in whole["absorbed"]
    ways = [timeline(couple, it, done["position"]) for it in (ann, bob, "anonymous_id:b-phone")]
    assert len(ways[0]) == 2
    assert ways[0] == ways[1] == ways[2]


def test_a_merge_says_what_it_changes_of_the_primary(couple):
    [change] = merge(couple, dry_run=True)["changes"]["attributes"]
    assert change == {"key": "plan", "change": "changed", "before": "free", "after": "pro"}
    assert merge(couple, policy="primary", dry_run=True)["changes"]["attributes"] == []


def test_a_dry_run_records_nothing(couple):
    head = couple.service.ledger.heads()
    for told in (
        merge(couple, dry_run=True),
        unmerge(couple, "anonymous_id:b-phone", dry_run=True),
    ):
        assert (told["changed"], told["dry_run"], told["position"]) == (True, True, None)
    assert couple.service.ledger.heads() == head


def test_what_is_so_already_is_said_to_be_and_not_recorded(couple):
    merge(couple)
    head = couple.service.ledger.heads()
    again = [merge(couple), merge(couple, "user_id:bob", "anonymous_id:a-laptop")]
    again += [merge(couple, "user_id:ann", "user_id:ann")]
    assert [it["changed"] for it in again] == [False] * 3
    unmerge(couple, "user_id:bob")
    couple.record(tracked("Viewed", user("carol")))
    assert not unmerge(couple, "user_id:carol")["changed"]
    assert couple.service.ledger.heads()[couple.workspace] == head[couple.workspace] + 2


def test_an_unmerge_undoes_a_merge_and_leaves_each_their_devices(couple):
    merge(couple)
    done = unmerge(couple, "user_id:bob")
    assert [names(it) for it in done["after"]] == [{"ann", "a-laptop"}, {"bob", "b-phone"}]
    couple.project()
    for reference, plan in (("user_id:ann", "free"), ("anonymous_id:b-phone", "pro")):
        profile = couple.get(f"/v1/profiles/{reference}").json()
        assert profile["attributes"] == {"plan": plan}
    assert merge(couple)["changed"]
    assert len(merge(couple)["after"]) == 1


def test_a_device_can_be_taken_out_and_stays_out(couple):
    done = unmerge(couple, "anonymous_id:a-laptop")
    assert [names(it) for it in done["after"]] == [{"ann"}, {"a-laptop"}]
    later = couple.record(tracked("Viewed", ANN, anonymous("a-laptop"))).position
    assert len(timeline(couple, "anonymous_id:a-laptop", later)) == 0


def test_a_merge_takes_effect_whatever_the_clocks_of_sources_say(couple):
    ahead = NOON + timedelta(days=36_500)
    couple.record(tracked("Viewed", ANN, anonymous("odd"), occurred_at=ahead))
    assert len(merge(couple)["after"]) == 1
    assert len(unmerge(couple, "user_id:bob")["after"]) == 2
    assert len(merge(couple)["after"]) == 1
    ledger = couple.service.ledger
    persons = {
        ledger.person(couple.workspace, it).id for it in map(UUID, streams(couple, ANN, BOB))
    }
    assert len(persons) == 1


def test_a_profile_may_be_named_by_its_id(couple):
    ann, bob = streams(couple, ANN, BOB)
    assert len(merge(couple, ann, bob)["after"]) == 1
    assert len(unmerge(couple, bob)["after"]) == 2


def test_a_decision_that_is_sent_again_with_its_key_is_recorded_once(couple):
    key = {"Idempotency-Key": "once"}
    first = decide(couple, "unmerge", headers=key, identifier="anonymous_id:a-laptop").json()
    merge(couple, "user_id:ann", "anonymous_id:a-laptop")
    again = decide(couple, "unmerge", headers=key, identifier="anonymous_id:a-laptop").json()
    assert (first["changed"], again["changed"]) == (True, False)


def test_a_key_that_was_used_for_something_else_is_refused_and_nothing_is_recorded(couple):
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


def test_a_key_that_a_message_had_decides_nothing(couple):
    couple.record(tracked("Viewed", ANN, message_id="m-1"))
    key = {"Idempotency-Key": "m-1"}
    answer = decide(couple, "merge", headers=key, primary="user_id:ann", secondary="user_id:bob")
    assert answer.status_code == 409


def test_what_was_decided_before_and_undone_since_is_told_as_it_is_now(couple):
    key = {"Idempotency-Key": "once"}
    asked = {"primary": "user_id:ann", "secondary": "user_id:bob"}
    first = decide(couple, "merge", headers=key, **asked).json()
    unmerge(couple, "user_id:bob")
    again = decide(couple, "merge", headers=key, **asked).json()
    assert (again["changed"], again["position"]) == (False, first["position"])
    assert [names(it) for it in again["after"]] == [{"ann", "a-laptop"}, {"bob", "b-phone"}]
    assert again["after"] == again["before"]


def test_nothing_is_decided_about_the_suppressed(couple):
    decide(couple, "suppress", profile="user_id:bob", erase=False)
    head = couple.service.ledger.heads()
    answer = decide(couple, "merge", primary="user_id:ann", secondary="user_id:bob")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert couple.service.ledger.heads() == head


def test_who_is_not_known_is_named(couple):
    for what, body in (
        ("merge", {"primary": "user_id:ann", "secondary": "user_id:nobody"}),
        ("unmerge", {"identifier": "user_id:nobody"}),
    ):
        answer = decide(couple, what, **body).json()
        assert answer["message"] == "no profile 'user_id:nobody' is known in this workspace"
        assert answer["details"] == {"profile": "user_id:nobody"}


def test_a_decision_is_an_event_with_its_actor_and_reason(couple):
    position = merge(couple)["position"]
    [recorded] = couple.service.ledger.read(couple.workspace, position - 1, 1)
    event = recorded.event
    actor = couple.keys["admin"].split("_")[3]
    assert (event.kind, event.actor, event.reason) == ("merge", actor, "a test")
    couple.project()
    shown = couple.get("/v1/events?name=merge").json()["events"]
    assert [it["properties"]["secondary"] for it in shown] == ["user_id:bob"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"primary": "user_id:ann", "secondary": "user_id:nobody"}, 404),
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
def test_what_cannot_be_merged_is_refused(couple, body, status):
    couple.record(tracked("Viewed", user("null")))
    answer = decide(couple, "merge", **body)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"code", "message", "details"}


def test_only_an_admin_key_decides(couple):
    assert decide(couple, "merge", "read", primary="user_id:ann").status_code == 403


def test_a_lone_surrogate_in_a_reason_is_no_fault_of_the_server(couple):
    body = b'{"primary": "user_id:ann", "secondary": "user_id:bob", "reason": "\\ud800"}'
    headers = {"Authorization": f"Bearer {couple.keys['admin']}"}
    answer = couple.client.post("/v1/profiles/merge", content=body, headers=headers)
    assert answer.status_code == 400


def send(served, *messages: dict) -> int:
    """Record messages as SDKs send them, and return the position."""
    parsed = FORMATS["segment"].routes["/v1/batch"](
        msgspec.json.encode({"batch": list(messages)}),
        received_at=NOON,
        limits=WireLimits(body_bytes=10**6, message_bytes=10**5, batch_messages=100),
        default_id=iter(map(str, range(1000))).__next__,
    )
    assert not parsed.rejections
    return served.record(*parsed.messages).position


def known(served, identifier: Identifier):
    [stream] = streams(served, identifier)
    return served.service.ledger.past(served.workspace, UUID(stream), 2**62)


def test_an_alias_to_oneself_is_nothing(served):
    send(served, {"type": "alias", "previousId": "u-1", "userId": "u-1", "messageId": "m"})
    assert known(served, user("u-1")).person.absorbed == ()


@pytest.mark.parametrize(("previous", "new"), [("u-1", "a-1"), ("a-1", "u-1")])
def test_an_alias_joins_the_same_people_whichever_way_round(served, previous, new):
    send(
        served,
        {"type": "track", "event": "Viewed", "anonymousId": "a-1", "messageId": "m-1"},
        {"type": "identify", "userId": "u-1", "messageId": "m-2"},
        {"type": "alias", "previousId": previous, "userId": new, "messageId": "m-3"},
    )
    whole = known(served, user("u-1"))
    assert {it.value for it in whole.state.identifiers} == {"a-1", "u-1"}
    assert whole.state.counts == {"Viewed": 1, "identify": 1, "alias": 1}


def test_an_alias_after_identify_joins_the_previous_id_to_whoever_is_current(served):
    """analytics-next replaces the new id by the current user's: alias('u-4', 'u-3') is of u-1."""
    alias = {"type": "alias", "previousId": "u-3", "userId": "u-1", "anonymousId": "a-1"}
    send(
        served,
        {"type": "identify", "userId": "u-1", "anonymousId": "a-1", "messageId": "m-1"},
        {"type": "identify", "userId": "u-3", "messageId": "m-2"},
        alias | {"messageId": "m-3"},
    )
    whole = known(served, user("u-3"))
    assert {it.value for it in whole.state.identifiers} == {"u-1", "u-3", "a-1"}
    assert [str(whole.person.id)] == streams(served, user("u-1"))
