"""Saved funnels over HTTP: commands and results."""

from __future__ import annotations

from tests.builders import tracked, user
from tests.integration.http.serving import Served

FUNNEL = {"steps": [{"event": "viewed"}, {"event": "bought"}], "window": "7d"}
WANTED = {"name": "Check out", "funnel": FUNNEL, "reason": "spring"}


def send(served: Served, method: str, path: str = "", body=None, kind: str = "admin", **headers):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"} | headers
    return served.client.request(method, f"/v1/funnels{path}", json=body or {}, headers=headers)


def test_a_funnel_is_saved_changed_archived_and_listed(served: Served) -> None:
    made = send(served, "POST", body=WANTED)
    assert made.status_code == 201, made.text
    assert (made.json()["id"], made.json()["version"]) == ("check-out", 1)
    assert send(served, "POST", body=WANTED).json()["id"] == "check-out-2"
    again = send(served, "PUT", "/check-out", WANTED)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    other = WANTED | {"name": "Till", "version": 1}
    assert send(served, "PUT", "/check-out", other).json()["version"] == 2
    assert send(served, "PUT", "/check-out", other).status_code == 409
    served.project()
    listed = served.get("/v1/funnels").json()
    assert [(item["id"], item["name"]) for item in listed["funnels"]] == [
        ("check-out", "Till"),
        ("check-out-2", "Check out"),
    ]
    assert listed["funnels"][0]["funnel"] == FUNNEL
    assert send(served, "DELETE", "/check-out").json()["archived"]
    assert send(served, "DELETE", "/check-out").status_code == 404
    assert served.get("/v1/funnels/check-out/result").status_code == 404
    served.project()
    assert [item["id"] for item in served.get("/v1/funnels").json()["funnels"]] == ["check-out-2"]
    assert served.get("/v1/funnels?archived=true&limit=1").json()["funnels"][0]["id"] == "check-out"
    assert served.get("/v1/funnels/check-out").json()["archived"]
    assert served.get("/v1/funnels/never").status_code == 404


def test_the_result_equals_that_of_the_same_query(served: Served) -> None:
    send(served, "PUT", "/till", WANTED)
    served.record(tracked("viewed"), tracked("viewed", user("u-2")), tracked("bought"))
    served.project()
    found = served.get("/v1/funnels/till/result")
    assert found.status_code == 200, found.text
    assert [item["profiles"] for item in found.json()["steps"]] == [2, 1]
    direct = send(served, "POST", "/query", FUNNEL, kind="read").json()
    assert direct["steps"] == found.json()["steps"]
    assert served.get("/v1/funnels/till/result?min_position=999").status_code == 503


def test_a_repeated_idempotency_key_records_once(served: Served) -> None:
    key = {"Idempotency-Key": "k-1"}
    one = send(served, "POST", body=WANTED, **key)
    again = send(served, "POST", body=WANTED, **key)
    assert (one.status_code, again.status_code) == (201, 200)
    assert one.json()["position"] == again.json()["position"]
    assert not again.json()["changed"]
    other = WANTED | {"id": "check-out", "name": "Another"}
    assert send(served, "POST", body=other, **key).status_code == 409


def test_an_invalid_funnel_is_refused(served: Served) -> None:
    for funnel in (None, 7, {}, {"steps": []}, {"steps": [{"event": "a"}], "window": "soon"}):
        answer = send(served, "POST", body={"name": "x", "funnel": funnel})
        assert answer.status_code == 400, (funnel, answer.text)
    assert send(served, "PUT", "/No%20Id", WANTED).status_code == 400
    assert send(served, "POST", body=WANTED | {"id": "till"}).status_code == 201
    assert send(served, "POST", body=WANTED | {"id": "till"}).status_code == 409
    assert send(served, "POST", body=WANTED, kind="read").status_code == 403
