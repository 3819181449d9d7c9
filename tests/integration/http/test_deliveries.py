"""Endpoints, deliveries and streams over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from application.ledger.tables.outbox import NewDelivery, enqueue
from tests.builders import tracked, user
from tests.canary import places
from tests.integration.http.serving import Served
from tests.receiver import Receiver, answers


def ask(served: Served, method: str, path: str, body=None, kind: str = "admin"):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"}
    return served.client.request(method, f"/v1/{path}", headers=headers, json=body)


def put_in(served: Served, *numbers: int, **facts) -> None:
    rows = [
        NewDelivery(
            UUID(int=it), "welcome", 1, f"position {it}", None, b'{"webhook": {"endpoint": "crm"}}',
            b"{}", datetime.now(UTC),
        )._replace(**facts)
        for it in numbers
    ]  # fmt: skip
    with served.service.deliveries._store.connection() as connection:
        enqueue(connection, served.workspace, rows)


def run(served: Served) -> None:
    while served.service.deliveries.subscriptions.enqueue_new_events():
        pass
    served.service.deliveries.worker.run_until_idle()


def test_a_secret_is_shown_once(served: Served) -> None:
    made = ask(served, "POST", "endpoints", {"id": "crm", "url": "https://example.com/hook"})
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    [listed] = ask(served, "GET", "endpoints", kind="read").json()["endpoints"]
    one = ask(served, "GET", "endpoints/crm", kind="read").json()
    assert listed == one
    assert "secret" not in one
    again = ask(served, "POST", "endpoints/crm/rotate").json()
    assert again["secret"] not in {made.json()["secret"], None}
    assert again["previous_secret_until"] is not None
    changed = ask(served, "PUT", "endpoints/crm", {"url": "https://example.org/", "concurrency": 1})
    assert (changed.json()["url"], changed.json()["concurrency"]) == ("https://example.org/", 1)
    assert ask(served, "DELETE", "endpoints/crm").status_code == 204
    assert ask(served, "GET", "endpoints/crm").status_code == 404


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
def test_a_url_that_is_sent_to_nowhere_is_refused_with_what_to_write(served: Served, url) -> None:
    answer = ask(served, "POST", "endpoints", {"url": url})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"


def test_the_same_id_twice_is_a_conflict(served: Served) -> None:
    wanted = {"id": "crm", "url": "https://example.com/"}
    assert [ask(served, "POST", "endpoints", wanted).status_code for _ in "ab"] == [201, 409]


def test_only_admins_change_anything(served: Served) -> None:
    for method, path in (
        ("POST", "endpoints"),
        ("PUT", "endpoints/crm"),
        ("DELETE", "endpoints/crm"),
        ("POST", "endpoints/crm/rotate"),
        ("POST", "endpoints/crm/enable"),
        ("POST", f"deliveries/{UUID(int=1)}/replay"),
        ("POST", "streams"),
        ("PUT", "streams/a"),
        ("DELETE", "streams/a"),
    ):
        assert ask(served, method, path, {}, kind="read").status_code == 403


def test_deliveries_are_listed_with_their_attempts_page_by_page(served: Served) -> None:
    with Receiver([answers(500, b"no\xff"), answers(200, b"yes")]) as receiver:
        ask(served, "POST", "endpoints", {"id": "crm", "url": receiver.url, "concurrency": 1})
        put_in(served, 1)
        run(served)
        put_in(served, 2)
        run(served)
        put_in(served, 3, rule="other", action=b'{"add_tag": {"tag": "x"}}')
    newest = ask(served, "GET", "deliveries", kind="read").json()["deliveries"]
    assert [UUID(it["id"]).int for it in newest] == [3, 2, 1]
    assert [it["state"] for it in newest] == ["waiting", "delivered", "waiting"]
    assert [it["endpoint"] for it in newest] == [None, "crm", "crm"]
    [failed] = newest[2]["attempts"]
    assert (failed["status"], failed["reply"]) == (500, "no\ufffd")
    assert newest[2]["reason"] == "answered 500"
    page = ask(served, "GET", "deliveries?limit=2").json()
    rest = ask(served, "GET", f"deliveries?limit=2&cursor={page['next']}").json()
    assert page["deliveries"] + rest["deliveries"] == newest
    assert rest["next"] is None
    for query, expected in (
        ("rule=other", [3]),
        ("endpoint=crm", [2, 1]),
        ("state=delivered", [2]),
        ("rule=welcome&state=waiting", [1]),
    ):
        found = ask(served, "GET", f"deliveries?{query}").json()["deliveries"]
        assert [UUID(it["id"]).int for it in found] == expected
    one = ask(served, "GET", f"deliveries/{UUID(int=2)}").json()
    assert one == newest[1]


def test_a_replay_begins_at_once(served: Served) -> None:
    with Receiver() as receiver:
        ask(served, "POST", "endpoints", {"id": "crm", "url": receiver.url})
        put_in(served, 1)
        run(served)
        again = ask(served, "POST", f"deliveries/{UUID(int=1)}/replay").json()
        assert again["state"] == "waiting"
        run(served)
    assert len(receiver.received) == 2
    assert ask(served, "POST", f"deliveries/{UUID(int=9)}/replay").status_code == 404


def test_a_stream_sends_what_is_recorded_from_then_on(served: Served) -> None:
    with Receiver() as receiver:
        ask(served, "POST", "endpoints", {"id": "crm", "url": receiver.url})
        served.record(tracked("Before"))
        wanted = {"endpoint": "crm", "where": []}
        made = ask(served, "POST", "streams", wanted | {"id": "all"}).json()
        assert (made["position"], made["version"], made["events"]) == (1, 1, [])
        served.record(tracked("After", properties={"total": 7}))
        run(served)
        [request] = receiver.received
        assert b'"After"' in request.body
        assert ask(served, "GET", "streams/all", kind="read").json()["position"] == 2
        ask(served, "PUT", "streams/all", wanted | {"paused": True})
        served.record(tracked("Meanwhile"))
        run(served)
        assert len(receiver.received) == 1
        ask(served, "PUT", "streams/all", wanted)
        run(served)
        assert b'"Meanwhile"' in receiver.received[1].body
        [listed] = ask(served, "GET", "streams", kind="read").json()["streams"]
        assert listed["version"] == 3
        assert ask(served, "DELETE", "streams/all").status_code == 204
        served.record(tracked("Too late"))
        run(served)
    assert len(receiver.received) == 2


@pytest.mark.parametrize(
    "wanted",
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
def test_a_stream_that_cannot_be_is_refused(served: Served, wanted) -> None:
    ask(served, "POST", "endpoints", {"id": "crm", "url": "https://example.com/"})
    assert ask(served, "POST", "streams", wanted).status_code == 400


def test_whoever_is_erased_is_in_no_delivery(served: Served, database: str) -> None:
    canary = user("canary-ann")
    with Receiver([*(answers(it, b"canary-reply") for it in (200, 500)), answers(500)]) as receiver:
        ask(served, "POST", "endpoints", {"id": "crm", "url": receiver.url, "concurrency": 1})
        ask(served, "POST", "streams", {"id": "all", "endpoint": "crm"})
        for name in ("canary-sent", "canary-failed"):
            served.record(tracked(name, canary, properties={"mail": "canary@example.com"}))
            run(served)
        served.record(tracked("canary-waiting", canary))
        assert served.service.deliveries.subscriptions.enqueue_new_events()
        served.record(tracked("canary-not-taken-in", canary), tracked("Other", user("bob")))
        served.project()
        assert "ledger.delivery" in places(database, ["canary"])
        assert ask(served, "DELETE", "profiles/user_id:canary-ann", {}).status_code == 200
        run(served)
    assert places(database, ["canary"]) == {}
    assert len(receiver.received) == 3
    assert b'"Other"' in receiver.received[2].body
    states = [it["state"] for it in ask(served, "GET", "deliveries").json()["deliveries"]]
    assert sorted(states) == ["delivered", "failed", "failed", "waiting"]
    erased = [
        it for it in ask(served, "GET", "deliveries").json()["deliveries"] if not it["action"]
    ]
    assert len(erased) == 3
    answer = ask(served, "POST", f"deliveries/{erased[0]['id']}/replay")
    assert answer.status_code == 409
