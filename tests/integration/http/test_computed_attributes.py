"""Computed attributes over HTTP: definition, values on profiles, use in segments, change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.builders import tracked
from tests.integration.http.segment_calls import ANN, BOB, ask, bought, define, inside
from tests.integration.http.segment_calls import send as send_about_segments
from tests.integration.http.serving import Served

ORDERS = {"fn": "count", "event": "purchase", "within": {"last": "30d"}}
SPENT = {"fn": "sum", "event": "purchase", "path": "properties.total"}


def send(served: Served, method: str, path: str, body=None, kind: str = "admin"):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"}
    return served.client.request(
        method, f"/v1/computed-attributes{path}", json=body or {}, headers=headers
    )


def define_attribute(served: Served, id_: str, **what):
    answer = send(served, "PUT", f"/{id_}", {"name": id_, "reason": "a test"} | what)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def shop(served: Served) -> Served:
    served.record(
        bought(ANN, timedelta(days=40), total=10.5),
        bought(ANN, total=0.1),
        bought(ANN, total=0.2),
        bought(BOB, timedelta(days=1), total=3),
        tracked("Viewed", BOB),
    )
    define_attribute(served, "orders_30d", computed=ORDERS)
    define_attribute(served, "spent", computed=SPENT)
    keen = {"computed": "orders_30d", "op": "gte", "value": 2}
    score = [{"when": keen, "points": 10}, {"when": {"event": "Viewed"}, "points": 1}]
    define_attribute(served, "engagement", score=score)
    return served


def values(served: Served, ref: str):
    return ask(served, f"/profiles/user_id:{ref}")["computed"]


def test_computed_attributes_are_defined_listed_changed_and_archived(served: Served) -> None:
    made = send(served, "POST", "", {"name": "Orders 30d", "computed": ORDERS, "reason": "spring"})
    assert (made.status_code, made.json()["id"], made.json()["version"]) == (201, "orders-30d", 1)
    again = define_attribute(served, "orders-30d", computed=ORDERS, name="Orders 30d")
    assert (again["changed"], again["position"]) == (False, made.json()["position"])
    define_attribute(served, "orders-30d", computed=SPENT)
    [listed] = ask(served, "/computed-attributes")["computed_attributes"]
    assert (listed["version"], listed["computed"], listed["reason"]) == (2, SPENT, "a test")
    stale = send(served, "DELETE", "/orders-30d", {"version": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    assert send(served, "DELETE", "/orders-30d", {"reason": "over"}).json()["archived"]
    assert ask(served, "/computed-attributes")["computed_attributes"] == []
    gone = ask(served, "/computed-attributes/orders-30d")
    assert (gone["archived"], gone["version"], gone["reason"]) == (True, 3, "over")
    assert send(served, "DELETE", "/orders-30d").status_code == 404
    assert served.get("/v1/computed-attributes/nope").status_code == 404
    for kind in ("read", "write"):
        refused = send(served, "PUT", "/x", {"name": "x", "score": []}, kind=kind)
        assert refused.status_code == 403


def test_profiles_show_values_that_follow_events(shop: Served) -> None:
    assert values(shop, "ann") == {"engagement": 10.0, "orders_30d": 2.0, "spent": 10.8}
    assert values(shop, "bob") == {"engagement": 1.0, "orders_30d": 1.0, "spent": 3.0}
    shop.record(bought(BOB, total=1))
    assert values(shop, "bob") == {"engagement": 11.0, "orders_30d": 2.0, "spent": 4.0}


def test_segments_refer_by_id_and_follow_the_definition(shop: Served) -> None:
    define(shop, "keen", {"computed": "orders_30d", "op": "gte", "value": 2})
    define(shop, "engaged", {"all": [{"score": "engagement", "op": "gte", "value": 10}]})
    define(shop, "both", {"all": [{"segment": "keen"}, {"segment": "engaged"}]})
    assert inside(shop, "keen") == inside(shop, "engaged") == inside(shop, "both") == {"ann"}
    changed = define_attribute(shop, "orders_30d", computed=ORDERS | {"event": "Viewed"})
    assert inside(shop, "keen") == inside(shop, "engaged") == inside(shop, "both") == set()
    [stay] = ask(shop, "/profiles/user_id:ann/segments", history=True)["segments"][:1]
    assert stay["left"]["position"] == changed["position"]
    define_attribute(shop, "orders_30d", computed={"fn": "count", "event": "purchase"})
    shop.record(bought(BOB))
    assert inside(shop, "keen") == inside(shop, "both") == {"ann", "bob"}
    explained = ask(shop, "/segments/keen/explain/user_id:ann")["explanation"]
    assert (explained["holds"], explained["result"]) == (True, 3.0)


def test_an_attribute_that_a_segment_or_score_uses_cannot_be_archived(shop: Served) -> None:
    define(shop, "rich", {"computed": "spent", "op": "gt", "value": 5})
    for id_, users in (("spent", ["rich"]), ("orders_30d", ["engagement"])):
        refused = send(shop, "DELETE", f"/{id_}")
        assert (refused.status_code, refused.json()["details"]["used_by"]) == (409, users)
    send_about_segments(shop, "DELETE", "/rich")
    assert send(shop, "DELETE", "/spent").status_code == 200
    assert "spent" not in values(shop, "ann")
    refused = send_about_segments(
        shop, "PUT", "/rich", {"name": "R", "condition": {"computed": "spent", "op": "exists"}}
    )
    assert (refused.status_code, refused.json()["details"]["missing"]) == (400, "spent")


def test_a_computed_attribute_is_previewed_before_it_is_created(shop: Served) -> None:
    shop.project()
    tried = send(shop, "POST", "/preview", {"computed": SPENT}, kind="read").json()
    assert tried["count"] == 2
    assert {item["identifiers"][0]["value"]: item["value"] for item in tried["sample"]} == {
        "ann": 10.8,
        "bob": 3.0,
    }
    past = {"computed": SPENT, "as_of": "2020-01-01T00:00:00Z"}
    assert send(shop, "POST", "/preview", past, kind="read").json()["count"] == 0
    score = [{"when": {"computed": "orders_30d", "op": "gte", "value": 2}, "points": 7}]
    tried = send(shop, "POST", "/preview", {"score": score}, kind="read").json()
    assert [item["value"] for item in tried["sample"]] == [7.0]
    unknown = [{"when": {"computed": "nope", "op": "gte", "value": 2}, "points": 7}]
    refused = send(shop, "POST", "/preview", {"score": unknown}, kind="read")
    assert (refused.status_code, refused.json()["details"]["missing"]) == (400, "nope")


def test_a_repeated_idempotency_key_records_once(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.keys['admin']}", "Idempotency-Key": "k-1"}
    body = {"name": "Orders", "computed": ORDERS}
    one, two = (
        served.client.post("/v1/computed-attributes", json=body, headers=headers) for _ in range(2)
    )
    assert (one.status_code, two.status_code) == (201, 200)
    assert one.json()["position"] == two.json()["position"]
    other = served.client.post(
        "/v1/computed-attributes", json=body | {"name": "X"}, headers=headers
    )
    assert other.status_code == 409
