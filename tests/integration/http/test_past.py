"""History, diff and export of a profile, from the ledger alone."""

from __future__ import annotations

import json
from datetime import timedelta
from threading import Event
from uuid import uuid4

import msgspec
import psycopg
import pytest

from application.ledger.read.snapshotter import Snapshotter
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.canary import tables_containing


def identified(traits, *identifiers, **facts):
    payload = facts.pop("payload", None) or msgspec.json.encode(
        {"type": "identify", "traits": traits}
    )
    return tracked("identify", *identifiers or (user(),), kind="identify", payload=payload, **facts)


def test_a_history_has_positions_causes_and_payloads(served):
    shown = tracked("Viewed", user(), anonymous(), properties={"price": 1.50})
    served.record(shown)
    served.record(merged(user(), user("u-2"), reason="the same"))
    answer = served.get("/v1/profiles/user_id:u-1/history").json()

    link, viewed, merge = answer["history"]
    assert [item["position"] for item in answer["history"]] == [1, 2, 3]
    assert [item["version"] for item in answer["history"]] == [1, 2, 3]
    assert (answer["next"], answer["projected_to"]) == (None, 3)
    assert link["topic"] == "profile.identifiers_linked.v1"
    assert link["cause"] == {"event": viewed["id"]}
    assert link["data"]["right"] == {"kind": "user_id", "value": "u-1"}
    assert viewed["cause"] == {"message_id": shown.message_id, "source": "segment"}
    assert viewed["data"]["occurred_at"] == "2026-01-01T12:00:00.000000Z"
    assert viewed["data"]["payload"]["properties"] == {"price": 1.5}
    assert merge["cause"]["actor"] == "key-1"
    assert merge["cause"]["reason"] == "the same"
    assert merge["data"]["absorbed"] == [{"kind": "user_id", "value": "u-2"}]


def test_a_history_pages_over_all_streams_of_the_profile(served):
    for number in range(5):
        served.record(
            tracked(f"u{number}"), tracked(f"a{number}", anonymous()), tracked("x", user("x"))
        )
    served.record(tracked("joined", user(), anonymous()))
    names, query = [], "?limit=4"
    while query:
        answer = served.get(f"/v1/profiles/anonymous_id:a-1/history{query}").json()
        names += [item["data"].get("name") for item in answer["history"]]
        query = answer["next"] and f"?limit=4&cursor={answer['next']}"
    assert names == [f"{who}{n}" for n in range(5) for who in "ua"] + [None, "joined"]


def test_an_erased_event_is_listed_without_its_data(served, database):
    served.record(tracked(), tracked())
    with psycopg.connect(database) as owner:
        owner.execute("SET ROLE foldline_eraser")
        owner.execute("UPDATE ledger.event SET state = NULL, salt = NULL WHERE position = 1")
    erased, kept = served.get("/v1/profiles/user_id:u-1/history").json()["history"]
    assert (erased["position"], erased["topic"], erased["data"]) == (1, None, None)
    assert kept["position"] == 2
    first, *_ = exported(served, "user_id:u-1", "erased")
    assert first["position"] == 1


def test_a_profile_as_of_a_position_equals_the_profile_then(served):
    def later(days):
        return {"occurred_at": NOON + timedelta(days)}

    messages = [
        identified({"plan": "free", "tags": ["new"]}),
        tracked("Viewed", anonymous()),
        tracked("Viewed", user(), anonymous()),
        identified({"plan": "late"}, **later(-1)),
        identified({"plan": "pro", "tags": []}, user("u-2"), **later(2)),
        merged(user("u-2"), user(), policy="primary", **later(3)),
        identified({"plan": None, "city": "Bern"}, user("u-2"), anonymous("a-2"), **later(4)),
        unmerged(user(), user("u-2"), **later(5)),
        tracked("Viewed", user(), **later(6)),
    ]
    places = [served.record(item).position for item in messages]
    shown = {}
    for position in places:  # the read models take no more than what was recorded by then
        served.service.projector.advance(served.workspace, position - max(shown, default=0))
        shown[position] = profile_of(served)
    for position in places:
        past = profile_of(served, f"?as_of={position}")
        assert past.pop("as_of")["position"] == position
        for item in (past, shown[position]):
            item.pop("projected_to")
        shown[position].pop("as_of")
        assert past.pop("computed") is None, "only the present is worked out"
        assert shown[position].pop("computed") == {}
        assert past == shown[position]


def profile_of(served, query: str = ""):
    answer = served.get(f"/v1/profiles/user_id:u-1{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_profile_as_of_an_instant_has_the_events_recorded_by_then(served):
    first = served.record(identified({"plan": "free"})).position
    second = served.record(identified({"plan": "pro"}, occurred_at=NOON + timedelta(1))).position
    served.project()
    then, since = (profile_of(served, f"?as_of={item}")["as_of"] for item in (first, second))
    assert (then["position"], since["position"]) == (first, second)
    assert profile_of(served, f"?as_of={then['instant']}")["attributes"] == {"plan": "free"}
    now = profile_of(served, "?as_of=2999-01-01")
    assert (now["attributes"], now["as_of"]) == ({"plan": "pro"}, since)
    before = served.get("/v1/profiles/user_id:u-1?as_of=2001-01-01")
    assert (before.status_code, before.json()["code"]) == (404, "not_found")


def test_as_of_queries_need_no_read_model(served):
    position = served.record(identified({"plan": "free"})).position
    assert served.get("/v1/profiles/user_id:u-1").status_code == 404
    assert profile_of(served, f"?as_of={position}")["attributes"] == {"plan": "free"}


@pytest.mark.parametrize("as_of", ["", "x", "-1", "%C2%B2", "2026-13-01", "1e3"])
def test_an_invalid_as_of_is_400(shared, as_of):
    answer = shared.get(f"/v1/profiles/user_id:u-1?as_of={as_of}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_diff_has_added_changed_and_removed_values(served):
    first = served.record(
        identified(
            {"plan": "free", "seats": 1, "city": "Bern", "email": "a@example.com", "tags": ["old"]}
        )
    ).position
    last = served.record(
        identified(
            {"plan": "pro", "seats": 1, "city": None, "tags": ["new"]},
            user(),
            anonymous(),
            occurred_at=NOON + timedelta(1),
        )
    ).position
    diff = served.get(f"/v1/profiles/user_id:u-1/diff?from={first}&to={last}").json()
    assert (diff["from"]["position"], diff["to"]["position"]) == (first, last)
    assert diff["attributes"] == [
        {"key": "city", "change": "removed", "before": "Bern", "after": None},
        {"key": "plan", "change": "changed", "before": "free", "after": "pro"},
    ]
    assert [(item["key"], item["change"]) for item in diff["tags"]] == [
        ("new", "added"),
        ("old", "removed"),
    ]
    assert [item["key"] for item in diff["identifiers"]] == ["anonymous_id:a-1"]
    assert diff["contacts"] == diff["groups"] == diff["devices"] == []


def test_a_diff_of_instants_from_before_the_first_event_until_now_shows_everything(served):
    served.record(identified({"plan": "pro"}))
    diff = served.get("/v1/profiles/user_id:u-1/diff?from=2001-01-01").json()
    assert diff["from"] is None
    assert [item["change"] for item in diff["attributes"]] == ["added"]
    same = served.get(
        "/v1/profiles/user_id:u-1/diff?from=2999-01-01&to=99999999999999999999"
    ).json()
    assert same["attributes"] == []


def test_the_same_json_with_other_white_space_is_unchanged(served):
    served.record(identified({}, payload=b'{"traits":{"address":{"zip": "3000"},"n":1}}'))
    later = {"occurred_at": NOON + timedelta(1)}
    served.record(
        identified({}, payload=b'{"traits":{"address":{"zip":"3000"},"n":true}}', **later)
    )
    diff = served.get("/v1/profiles/user_id:u-1/diff?from=1").json()
    assert [item["key"] for item in diff["attributes"]] == ["n"], "1 and true are not the same"


def exported(served, ref: str, kind: str | None = None):
    answer = served.get(f"/v1/profiles/{ref}/export")
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.removesuffix("\n").split("\n")]
    return [item for item in lines if kind in {None, item["type"]}]


def test_an_export_has_all_data_as_ndjson(served):
    served.record(identified({"plan": "free"}))
    served.record(identified({"plan": "pro"}, occurred_at=NOON + timedelta(1)))
    served.record(identified({"plan": "late"}, occurred_at=NOON + timedelta(hours=1)))
    served.record(tracked("Viewed", user(), anonymous()))
    served.record(
        merged(user(), user("u-2")), unmerged(user("u-2"), user(), occurred_at=NOON + timedelta(1))
    )
    lines = exported(served, "user_id:u-1")
    assert [item["type"] for item in lines] == [
        *("profile", "event", "attribute_change", "event", "attribute_change", "event"),
        *("link", "event", "merge", "end"),
    ]
    assert lines[0]["attributes"] == {"plan": "pro"}
    assert [
        (item["before"], item["after"]) for item in lines if item["type"] == "attribute_change"
    ] == [
        (None, "free"),
        ("free", "pro"),
    ]
    assert lines[-1]["lines"] == len(lines) - 1


def test_an_export_has_every_payload_exactly_as_received(served):
    payloads = [
        b'{\r\n "a": 12345678901234567890,\n "b": 1.10 }',
        b'{"lone": "\\ud800", "nan": NaN}',
        b'{"line": "a\\nb\xe2\x80\xa8"}',
        b"\xff\xfe no JSON",
    ]
    served.record(*(tracked(payload=item) for item in payloads))
    events = exported(served, "user_id:u-1", "event")
    assert [item["raw"].encode() for item in events[:3]] == payloads[:3]
    assert events[3]["raw_encoding"] == "base64"
    assert events[0]["payload"] == {"a": 12345678901234567890, "b": 1.1}


def test_a_long_export_has_every_event_once(served):
    served.record(*(tracked(f"{number}") for number in range(450)))
    answer = served.get("/v1/profiles/user_id:u-1/export")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["content-disposition"].startswith('attachment; filename="profile-')
    names = [item["name"] for item in exported(served, "user_id:u-1", "event")]
    assert names == [f"{number}" for number in range(450)]


@pytest.mark.parametrize("what", ["history", "export", "diff?from=1"])
def test_an_unknown_profile_is_404(served, what):
    for _ in range(2):
        for ref in ("user_id:unknown", str(uuid4())):
            answer = served.get(f"/v1/profiles/{ref}/{what}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        served.record(tracked())


@pytest.mark.parametrize("what", ["history", "export", "diff?from=1"])
def test_the_history_of_another_workspace_is_not_visible(served, what):
    served.record(tracked())
    stream = served.service.ledger.stream_of(served.workspace, user())
    assert served.get(f"/v1/profiles/{stream}/{what}").status_code == 200
    other = served.service.workspaces.create("other").id
    served.service.ledger.record(other, [tracked()]).result(10)
    served.keys["read"] = served.service.keys.create(other, "read").text
    assert served.get(f"/v1/profiles/{stream}/{what}").status_code == 404


@pytest.mark.parametrize(
    "what",
    [
        *("history?cursor=x", "history?cursor=LTE", "history?limit=0", "history?limit=x"),
        *("diff", "diff?from=yesterday", "diff?from=1&to=", "diff?from=-1", "export?limit=1"),
        "diff?from=%C2%B2",
    ],
)
def test_invalid_parameters_are_400(shared, what):
    answer = shared.get(f"/v1/profiles/user_id:u-1/{what}")
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("what", ["history", "export", "diff?from=1"])
def test_a_write_key_cannot_read_history(shared, what):
    assert shared.get(f"/v1/profiles/user_id:u-1/{what}", kind="write").status_code == 403


def test_an_erased_profile_has_no_history_but_positions(served, database):
    last = served.record(*(identified({"secret": "canary"}) for _ in range(150))).position
    ledger = served.service.ledger
    assert Snapshotter(ledger._store, ledger.heads).catch_up(Event()) == 1
    assert "ledger.snapshot" in tables_containing(database, ["canary"])
    served.project()
    answer = served.client.delete(
        "/v1/profiles/user_id:u-1", headers={"Authorization": f"Bearer {served.keys['admin']}"}
    )
    assert answer.status_code == 200, answer.text

    assert tables_containing(database, ["canary"]) == {}
    for what in (f"?as_of={last}", "/export", f"/diff?from=1&to={last}"):
        assert served.get(f"/v1/profiles/user_id:u-1{what}").status_code == 404
    history = served.get("/v1/profiles/user_id:u-1/history?limit=500").json()["history"]
    assert [item["data"] for item in history[:last]] == [None] * last
    assert [item["topic"] for item in history[last:]] == ["profile.erased.v1"]
    assert history[-1]["cause"]["actor"]
