"""Automation rules over HTTP: commands, triggers and dry runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.rules.actions import ACTIONS
from tests import recorded_rule
from tests.builders import tracked, user
from tests.integration.http.serving import Served

TAG = [{"add_tag": {"tag": "x"}}]
RULE = {"trigger": {"event": "order"}, "actions": TAG}


def send(served: Served, method: str, path: str, body=None, *, kind="admin", **headers: str):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return served.client.request(method, f"/v1/rules{path}", content=content, headers=headers)


def test_a_rule_from_creation_to_archiving(served: Served) -> None:
    definition = {"name": "After an order", "reason": "spring", **RULE}
    created = send(served, "POST", "", definition)
    assert created.status_code == 201
    assert created.json() == {
        "id": "after-an-order",
        "name": "After an order",
        "description": "",
        "rule": RULE,
        "warnings": [],
        "enabled": False,
        "archived": False,
        "version": 1,
        "changed": True,
        "position": 1,
    }
    path = "/after-an-order"
    enabled = send(served, "POST", f"{path}/enable", {"reason": "go", "version": 1}).json()
    assert (enabled["enabled"], enabled["version"], enabled["changed"]) == (True, 2, True)
    assert send(served, "POST", f"{path}/enable").json()["changed"] is False
    changed = send(served, "PUT", path, definition | {"delay": "1h"}).json()
    assert (changed["enabled"], changed["version"]) == (True, 3)
    assert changed["rule"] == RULE | {"delay": "1h"}
    assert send(served, "PUT", path, definition | {"version": 2}).status_code == 409
    assert send(served, "POST", f"{path}/disable", {"version": 2}).status_code == 409
    assert send(served, "POST", f"{path}/disable").json()["enabled"] is False
    archived = send(served, "DELETE", path, {"reason": "summer"}).json()
    assert (archived["archived"], archived["version"]) == (True, 5)
    assert send(served, "DELETE", path).status_code == 404
    assert send(served, "POST", f"{path}/enable").status_code == 404
    assert send(served, "POST", "", definition | {"id": "after-an-order"}).status_code == 409


def test_a_command_is_recorded_once_per_idempotency_key(served: Served) -> None:
    created = send(served, "POST", "", {"name": "x", **RULE}, Idempotency_Key="k")
    repeated = send(served, "POST", "", {"name": "x", **RULE}, Idempotency_Key="k")
    assert (created.status_code, repeated.status_code) == (201, 200)
    assert repeated.json() == created.json() | {"changed": False}
    assert send(served, "POST", "/x/enable", Idempotency_Key="k").status_code == 409
    for _ in range(2):
        assert send(served, "POST", "/x/enable", Idempotency_Key="e").json()["enabled"] is True
    assert send(served, "POST", "/x/disable", Idempotency_Key="e").status_code == 409


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "x", **RULE, "trigger": {"entered": "nowhere"}}, ""),
        ({"name": "x", **RULE, "audience": {"any": [{"evnt": 1}]}}, "/audience/any/0"),
        ({"name": "x", "trigger": {"event": "a"}}, ""),
        ({"name": "x", **RULE, "actions": [*TAG, {"add_tag": {"tag": "{{ event.x"}}]}, "/actions/1"),
        ({"name": "x", **RULE, "actions": [{"add_tag": {"tag": "{{ 1 | nofilter }}"}}]}, "/actions/0"),
        ({"name": "x", **RULE, "actions": [{"add_tag": {"tag": "{% include 'x' %}"}}]}, "/actions/0"),
        ({"name": "x", **RULE, "actions": [{"send_event": {"name": "x", "properties": {"a": ["{% if %}"]}}}]}, "/actions/0"),
        ({"name": "", **RULE}, None),
        ({"name": "x", **RULE, "extra": 1}, None),
        ({"name": "x", **RULE, "reason": "\0"}, None),
        ({"name": "x", **RULE, "trigger": {"event": "a\0"}}, None),
        (b'{"name": "x", "trigger": {"event": "\\ud800"}, "actions": []}', None),
        (b'{"name": "x", "trigger": {"event": "a"}, "audience": ' + b"[" * 150 + b"]" * 150 + b"}", None),
        (b"{", None),
    ],
)  # fmt: skip
def test_an_invalid_rule_is_refused(shared: Served, body, path) -> None:
    answer = send(shared, "PUT", "/x", body)
    assert answer.status_code == 400, answer.text
    if path is not None:
        assert answer.json()["details"]["path"] == path


def test_an_unknown_action_is_refused_with_the_choices(shared: Served) -> None:
    actions = [*TAG, {"send_sms": {"text": "Hello"}}]
    refused = [
        send(shared, "PUT", "/x", {"name": "x", **RULE, "actions": actions}),
        send(
            shared, "POST", "/dry-run", {"rule": RULE | {"actions": actions}, "from": "2026-01-01"}
        ),
    ]
    choices = [kind.KEY for kind in ACTIONS]
    for answer, path in zip(refused, ("/actions/1", "/rule/actions/1"), strict=True):
        assert answer.status_code == 400
        assert answer.json()["details"] == {"path": path, "choices": choices}
        assert answer.json()["message"].startswith(
            "unknown action 'send_sms'; use one of webhook, "
        )


def test_a_recorded_rule_with_an_unknown_action_has_warnings(served: Served) -> None:
    recorded_rule.record_rule(served.service.ledger, served.workspace)
    served.project()
    path, warnings = f"/{recorded_rule.RULE}", recorded_rule.WARNINGS
    rule = served.get(f"/v1/rules{path}").json()
    assert (rule["enabled"], rule["warnings"]) == (True, warnings)
    assert rule["rule"]["actions"] == [recorded_rule.KNOWN_ACTION, recorded_rule.UNKNOWN_ACTION]
    [listed] = served.get("/v1/rules").json()["rules"]
    assert listed["warnings"] == warnings
    assert send(served, "POST", f"{path}/disable").json()["warnings"] == warnings
    again = {"name": "Texted", **rule["rule"]}
    assert send(served, "PUT", path, again).json()["details"]["path"] == "/actions/1"
    changed = send(served, "PUT", path, again | {"actions": TAG})
    assert (changed.status_code, changed.json()["warnings"]) == (200, [])
    assert send(served, "DELETE", path).json()["archived"] is True


def test_valid_templates_are_accepted(served: Served) -> None:
    template = "{% if event.total > 9 %}{{ event['a b'] | upcase }}{% endif %}{{ customer | json }}"
    actions = [{"webhook": {"endpoint": "crm", "body": {"says": template, "braces": "{"}}}]
    answer = send(served, "PUT", "/x", {"name": "x", **RULE, "actions": actions})
    assert answer.json()["rule"]["actions"] == actions


@pytest.mark.parametrize("kind", ["read", "write"])
def test_only_an_admin_key_may_send_commands(shared: Served, kind: str) -> None:
    for method, path in (("POST", ""), ("PUT", "/x"), ("DELETE", "/x"), ("POST", "/x/enable")):
        assert send(shared, method, path, kind=kind).status_code == 403


def test_a_segment_that_a_rule_refers_to_cannot_be_archived(served: Served) -> None:
    admin = {"Authorization": f"Bearer {served.keys['admin']}"}
    served.client.put("/v1/segments/vips", json={"name": "V", "manual": True}, headers=admin)
    rule = {"name": "x", "trigger": {"entered": "vips"}, "actions": TAG}
    assert send(served, "PUT", "/x", rule).status_code == 200
    refused = served.client.delete("/v1/segments/vips", headers=admin)
    assert refused.status_code == 409
    assert refused.json()["details"]["used_by"] == ["x"]
    send(served, "DELETE", "/x")
    assert served.client.delete("/v1/segments/vips", headers=admin).status_code == 200


def triggers(served: Served, path: str):
    return served.get(f"/v1/{path}").json()["triggers"]


def test_triggers_are_listed_with_outcome_and_reason(served: Served) -> None:
    rule = {"name": "x", **RULE, "audience": {"tag": "vip"}, "wait": None}
    send(served, "PUT", "/x", rule)
    send(served, "POST", "/x/enable")
    now = datetime.now(UTC)
    when = {"occurred_at": now, "received_at": now}
    served.record(tracked("order", user("ann"), properties={"n": 1}, **when))
    served.record(tracked("Tag Added", user("ann"), properties={"tag": "vip"}, **when))
    served.record(tracked("order", user("ann"), properties={"n": 2}, **when))
    served.record(tracked("order", user("bob"), **when))
    served.project()
    listed = triggers(served, "rules/x/triggers")
    assert [(run["cause"], run["outcome"], run["reason"]) for run in listed] == [
        ("6", "suppressed", "audience"),
        ("5", "fired", "at_once"),
        ("3", "suppressed", "audience"),
    ]
    assert listed[1]["event"]["document"]["properties"] == {"n": 2}
    assert triggers(served, "profiles/user_id:ann/triggers") == listed[1:]
    assert triggers(served, "rules/x/triggers?outcome=fired") == listed[1:2]
    assert triggers(served, "rules/x/triggers?profile=user_id:bob") == listed[:1]
    first = served.get("/v1/rules/x/triggers?limit=2").json()
    rest = served.get(f"/v1/rules/x/triggers?limit=2&cursor={first['next']}").json()
    assert (first["triggers"] + rest["triggers"], rest["next"]) == (listed, None)
    assert served.get("/v1/rules/x/triggers?cursor=eA").status_code == 400
    assert served.get("/v1/rules/y/triggers").status_code == 404
    assert served.get("/v1/rules/x").json()["enabled"] is True
    assert [rule["id"] for rule in served.get("/v1/rules").json()["rules"]] == ["x"]


def test_a_dry_run_applies_a_rule_to_the_past(served: Served) -> None:
    now = datetime.now(UTC)
    when = {"occurred_at": now, "received_at": now}
    served.record(tracked("order", user("ann"), **when))
    served.record(tracked("order", user("bob"), **when))
    served.record(tracked("order", user("bob"), **when))
    served.record(
        tracked("order", user("cy"), occurred_at=now - timedelta(days=9), received_at=now)
    )
    served.project()
    rule = {**RULE, "cap": {"times": 1, "per": "1d"}}
    headers = {"Authorization": f"Bearer {served.keys['read']}"}

    def dry_run(body):
        return served.client.post("/v1/rules/dry-run", json=body, headers=headers)

    result = dry_run(
        {"rule": rule, "from": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}Z"}
    ).json()
    assert (result["fired"], result["waiting"]) == (2, 0)
    assert result["suppressed"] == {"cap": 1, "too_old": 1}
    assert [day["fired"] for day in result["days"]] == [2]
    assert sorted(profile["identifiers"][0]["value"] for profile in result["sample"]) == [
        "ann",
        "bob",
    ]
    assert (result["people"], result["of"]) == (3, 3)
    assert served.get("/v1/rules").json()["rules"] == []
    assert dry_run({"rule": {}, "from": "2026-01-01"}).json()["details"]["path"] == "/rule/trigger"
    assert dry_run({"rule": rule, "from": "soon"}).status_code == 400
    later = {"rule": rule, "from": "2100-01-01", "to": "2100-02-01"}
    assert dry_run(later).json()["fired"] == 0


@pytest.mark.parametrize("moved", ["entered", "left"])
def test_a_dry_run_finds_profiles_that_entered_or_left_a_segment(
    served: Served, moved: str
) -> None:
    now = datetime.now(UTC)
    served.record(*(tracked("order", user(name), occurred_at=now) for name in ("ann", "bob")))
    headers = {"Authorization": f"Bearer {served.keys['admin']}"}
    segments = "/v1/segments/vips"
    vips = {"name": "VIPs", "manual": True}
    served.client.put(segments, json=vips, headers=headers)
    for change in ({"add": ["user_id:ann", "user_id:bob"]}, {"remove": ["user_id:bob"]}):
        served.client.post(f"{segments}/members", json=change, headers=headers)
    served.project()
    request = {"rule": {**RULE, "trigger": {moved: "vips"}}, "from": f"{now - timedelta(hours=1)}"}
    result = served.client.post("/v1/rules/dry-run", json=request, headers=headers).json()
    assert (result["fired"], result["people"]) == ({"entered": 2, "left": 1}[moved], 2)
