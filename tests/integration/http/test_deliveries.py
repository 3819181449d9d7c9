"""Endpoints, deliveries and subscriptions over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from application.ledger.tables.outbox import NewDelivery, enqueue
from tests.builders import tracked, user
from tests.canary import tables_containing
from tests.integration.http.serving import Served
from tests.receiver import Receiver, answers


def call(served: Served, method: str, path: str, body=None, kind: str = "admin"):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"}
    return served.client.request(method, f"/v1/{path}", headers=headers, json=body)


def enqueue_deliveries(served: Served, *numbers: int, **fields) -> None:
    deliveries = [
        NewDelivery(
            UUID(int=number), "welcome", 1, f"position {number}", None, b'{"webhook": {"endpoint": "crm"}}',
            b"{}", datetime.now(UTC),
        )._replace(**fields)
        for number in numbers
    ]  # fmt: skip
    with served.service.deliveries._store.connection() as connection:
        enqueue(connection, served.workspace, deliveries)


def run(served: Served) -> None:
    while served.service.deliveries.subscriptions.enqueue_new_events():
        pass
    served.service.deliveries.worker.run_until_idle()


def test_a_secret_is_shown_once(served: Served) -> None:
    created = call(served, "POST", "endpoints", {"id": "crm", "url": "https://example.com/hook"})
    assert created.status_code == 201
    assert created.json()["secret"].startswith("whsec_")
    [listed] = call(served, "GET", "endpoints", kind="read").json()["endpoints"]
    endpoint = call(served, "GET", "endpoints/crm", kind="read").json()
    assert listed == endpoint
    assert "secret" not in endpoint
    rotated = call(served, "POST", "endpoints/crm/rotate").json()
    assert rotated["secret"] not in {created.json()["secret"], None}
    assert rotated["previous_secret_until"] is not None
    changed = call(
        served, "PUT", "endpoints/crm", {"url": "https://example.org/", "concurrency": 1}
    )
    assert (changed.json()["url"], changed.json()["concurrency"]) == ("https://example.org/", 1)
    assert call(served, "DELETE", "endpoints/crm").status_code == 204
    assert call(served, "GET", "endpoints/crm").status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/",
        "https://user@example.com/",
        "ftp://a.example/",
        "",
        "https://2130706433/",
    ],
)
def test_a_url_that_is_not_allowed_is_refused(served: Served, url) -> None:
    answer = call(served, "POST", "endpoints", {"url": url})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"


def test_the_same_id_twice_is_a_conflict(served: Served) -> None:
    endpoint = {"id": "crm", "url": "https://example.com/"}
    assert [call(served, "POST", "endpoints", endpoint).status_code for _ in "ab"] == [201, 409]


def test_only_an_admin_key_may_change_anything(served: Served) -> None:
    for method, path in (
        ("POST", "endpoints"),
        ("PUT", "endpoints/crm"),
        ("DELETE", "endpoints/crm"),
        ("POST", "endpoints/crm/rotate"),
        ("POST", "endpoints/crm/enable"),
        ("POST", f"deliveries/{UUID(int=1)}/replay"),
        ("POST", "subscriptions"),
        ("PUT", "subscriptions/a"),
        ("DELETE", "subscriptions/a"),
        ("POST", "streams"),
        ("PUT", "streams/a"),
        ("DELETE", "streams/a"),
    ):
        assert call(served, method, path, {}, kind="read").status_code == 403


def test_deliveries_are_listed_with_their_attempts_page_by_page(served: Served) -> None:
    with Receiver([answers(500, b"no\xff"), answers(200, b"yes")]) as receiver:
        call(served, "POST", "endpoints", {"id": "crm", "url": receiver.url, "concurrency": 1})
        enqueue_deliveries(served, 1)
        run(served)
        enqueue_deliveries(served, 2)
        run(served)
        enqueue_deliveries(served, 3, rule="other", action=b'{"add_tag": {"tag": "x"}}')
    newest = call(served, "GET", "deliveries", kind="read").json()["deliveries"]
    assert [UUID(delivery["id"]).int for delivery in newest] == [3, 2, 1]
    assert [delivery["state"] for delivery in newest] == ["waiting", "delivered", "waiting"]
    assert [delivery["endpoint"] for delivery in newest] == [None, "crm", "crm"]
    [failed] = newest[2]["attempts"]
    assert (failed["status"], failed["reply"]) == (500, "no\ufffd")
    assert newest[2]["reason"] == "answered 500"
    page = call(served, "GET", "deliveries?limit=2").json()
    rest = call(served, "GET", f"deliveries?limit=2&cursor={page['next']}").json()
    assert page["deliveries"] + rest["deliveries"] == newest
    assert rest["next"] is None
    for query, expected in (
        ("rule=other", [3]),
        ("endpoint=crm", [2, 1]),
        ("state=delivered", [2]),
        ("rule=welcome&state=waiting", [1]),
    ):
        deliveries = call(served, "GET", f"deliveries?{query}").json()["deliveries"]
        assert [UUID(delivery["id"]).int for delivery in deliveries] == expected
    delivery = call(served, "GET", f"deliveries/{UUID(int=2)}").json()
    assert delivery == newest[1]


def test_a_redelivery_is_due_at_once(served: Served) -> None:
    with Receiver() as receiver:
        call(served, "POST", "endpoints", {"id": "crm", "url": receiver.url})
        enqueue_deliveries(served, 1)
        run(served)
        delivery = call(served, "POST", f"deliveries/{UUID(int=1)}/replay").json()
        assert delivery["state"] == "waiting"
        run(served)
    assert len(receiver.received) == 2
    assert call(served, "POST", f"deliveries/{UUID(int=9)}/replay").status_code == 404


def test_a_subscription_sends_later_events(served: Served) -> None:
    with Receiver() as receiver:
        call(served, "POST", "endpoints", {"id": "crm", "url": receiver.url})
        served.record(tracked("Before"))
        definition = {"endpoint": "crm", "where": []}
        created = call(served, "POST", "subscriptions", definition | {"id": "all"}).json()
        assert (created["position"], created["version"], created["events"]) == (1, 1, [])
        served.record(tracked("After", properties={"total": 7}))
        run(served)
        [request] = receiver.received
        assert b'"After"' in request.body
        assert call(served, "GET", "subscriptions/all", kind="read").json()["position"] == 2
        call(served, "PUT", "subscriptions/all", definition | {"paused": True})
        served.record(tracked("Meanwhile"))
        run(served)
        assert len(receiver.received) == 1
        call(served, "PUT", "subscriptions/all", definition)
        run(served)
        assert b'"Meanwhile"' in receiver.received[1].body
        [listed] = call(served, "GET", "subscriptions", kind="read").json()["subscriptions"]
        assert listed["version"] == 3
        assert call(served, "DELETE", "subscriptions/all").status_code == 204
        served.record(tracked("Too late"))
        run(served)
    assert len(receiver.received) == 2


@pytest.mark.parametrize(
    "definition",
    [
        {"endpoint": "nowhere"},
        {"endpoint": "crm", "where": [{"path": "", "op": "eq", "value": 1}]},
        {"endpoint": "crm", "events": [{"matching": "a+"}]},
        {"endpoint": "crm", "events": [{"like": "a"}]},
        {"endpoint": "crm", "kinds": ["sing"]},
        {"endpoint": "crm", "from": -1},
        {"endpoint": "crm", "id": "NO"},
    ],
)
def test_an_invalid_subscription_is_refused(served: Served, definition) -> None:
    call(served, "POST", "endpoints", {"id": "crm", "url": "https://example.com/"})
    assert call(served, "POST", "subscriptions", definition).status_code == 400


def test_the_former_path_of_subscriptions_still_answers(served: Served) -> None:
    call(served, "POST", "endpoints", {"id": "crm", "url": "https://example.com/"})
    definition = {"endpoint": "crm", "events": ["Order Completed"]}
    created = call(served, "POST", "streams", definition | {"id": "all"})
    assert created.status_code == 201
    assert call(served, "GET", "subscriptions/all").json() == created.json()
    for identifier in ("b", "c"):
        call(served, "POST", "subscriptions", definition | {"id": identifier})
    former = call(served, "GET", "streams?limit=2", kind="read").json()
    current = call(served, "GET", "subscriptions?limit=2", kind="read").json()
    assert former.keys() == {"streams", "next", "projected_to"}
    assert current.keys() == {"subscriptions", "next", "projected_to"}
    assert [row["id"] for row in former["streams"]] == ["all", "b"]
    assert former.pop("streams") == current.pop("subscriptions")
    assert former == current
    assert call(served, "PUT", "streams/all", definition | {"paused": True}).json()["version"] == 2
    assert call(served, "GET", "streams/all", kind="read").json()["paused"] is True
    assert call(served, "DELETE", "streams/all").status_code == 204
    assert call(served, "GET", "subscriptions/all").status_code == 404


def test_only_the_former_path_of_subscriptions_is_marked_deprecated(served: Served) -> None:
    paths = served.app.api.openapi()["paths"]
    deprecated = {
        (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if operation.get("deprecated")
    }
    assert deprecated == {
        ("get", "/v1/streams"),
        ("post", "/v1/streams"),
        ("get", "/v1/streams/{id}"),
        ("put", "/v1/streams/{id}"),
        ("delete", "/v1/streams/{id}"),
    }
    assert paths["/v1/streams"].keys() == paths["/v1/subscriptions"].keys()
    assert paths["/v1/streams/{id}"].keys() == paths["/v1/subscriptions/{id}"].keys()


def test_an_erased_profile_is_in_no_delivery(served: Served, database: str) -> None:
    canary = user("canary-ann")
    with Receiver(
        [*(answers(status, b"canary-reply") for status in (200, 500)), answers(500)]
    ) as receiver:
        call(served, "POST", "endpoints", {"id": "crm", "url": receiver.url, "concurrency": 1})
        call(served, "POST", "subscriptions", {"id": "all", "endpoint": "crm"})
        for name in ("canary-sent", "canary-failed"):
            served.record(tracked(name, canary, properties={"mail": "canary@example.com"}))
            run(served)
        served.record(tracked("canary-waiting", canary))
        assert served.service.deliveries.subscriptions.enqueue_new_events()
        served.record(tracked("canary-not-taken-in", canary), tracked("Other", user("bob")))
        served.project()
        assert "ledger.delivery" in tables_containing(database, ["canary"])
        assert call(served, "DELETE", "profiles/user_id:canary-ann", {}).status_code == 200
        run(served)
    assert tables_containing(database, ["canary"]) == {}
    assert len(receiver.received) == 3
    assert b'"Other"' in receiver.received[2].body
    deliveries = call(served, "GET", "deliveries").json()["deliveries"]
    states = [delivery["state"] for delivery in deliveries]
    assert sorted(states) == ["delivered", "failed", "failed", "waiting"]
    erased = [delivery for delivery in deliveries if not delivery["action"]]
    assert len(erased) == 3
    answer = call(served, "POST", f"deliveries/{erased[0]['id']}/replay")
    assert answer.status_code == 409
