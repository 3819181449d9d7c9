"""Deciding about segments through the API, and what was decided before."""

from __future__ import annotations

import json

import pytest

from tests.builders import anonymous, tracked, user
from tests.integration.http.segment_calls import send
from tests.integration.http.serving import Served

CONDITION = {"all": [{"event": "purchase", "count": {"at_least": 2}}, {"tag": "vip"}]}
ANN, BOB, PHONE = user("ann"), user("bob"), anonymous("phone")


@pytest.fixture
def listing(served: Served) -> Served:
    served.record(tracked("Viewed", ANN, PHONE), tracked("Viewed", BOB))
    assert send(served, "PUT", "/vips", {"name": "VIPs", "manual": True}).status_code == 200
    return served


def members(served: Served, body, **headers: str):
    return send(served, "POST", "/vips/members", body, **headers)


def test_a_segment_from_beginning_to_end(served: Served) -> None:
    wanted = {"name": "Big spenders", "condition": CONDITION, "reason": "spring"}
    made = send(served, "POST", "", wanted)
    assert made.status_code == 201
    assert made.json() == {
        "id": "big-spenders",
        "name": "Big spenders",
        "description": "",
        "manual": False,
        "condition": CONDITION,
        "archived": False,
        "version": 1,
        "changed": True,
        "position": 1,
    }
    other = {"name": "Spenders", "condition": {"event": "purchase"}, "version": 1}
    assert send(served, "PUT", "/big-spenders", other).json()["version"] == 2
    assert send(served, "PUT", "/big-spenders", other).status_code == 409
    again = send(served, "PUT", "/big-spenders", other | {"version": 2}).json()
    assert (again["changed"], again["version"], again["position"]) == (False, 2, 2)
    gone = send(served, "DELETE", "/big-spenders", {"reason": "summer"}).json()
    assert (gone["archived"], gone["version"], gone["position"]) == (True, 3, 3)
    assert send(served, "DELETE", "/big-spenders").status_code == 404
    assert send(served, "POST", "", wanted | {"id": "big-spenders"}).status_code == 409

    told = served.get("/v1/segments/big-spenders/definitions").json()
    said = told["definitions"]
    assert [(it["version"], it["position"], it["change"]) for it in said] == [
        (1, 1, "defined"),
        (2, 2, "defined"),
        (3, 3, "archived"),
    ]
    assert [it["reason"] for it in said] == ["spring", "", "summer"]
    assert [it["condition"] for it in said] == [CONDITION, {"event": "purchase"}, None]
    [key] = {it["actor"] for it in said}
    assert key in served.keys["admin"]
    assert (told["next"], told["projected_to"]) == (None, 3)
    first = served.get("/v1/segments/big-spenders/definitions?limit=2").json()
    rest = served.get(f"/v1/segments/big-spenders/definitions?cursor={first['next']}").json()
    assert first["definitions"] + rest["definitions"] == said


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "x", "condition": {"all": [{"event": "a"}, {"evnt": "b"}]}}, "/all/1"),
        ({"name": "x", "condition": {"any": [{"all": [{"segment": "none"}]}]}}, "/any/0/all/0"),
        ({"name": "x", "condition": {"segment": "x"}}, ""),
        ({"name": "x", "condition": []}, ""),
        ({"name": "x", "condition": {"event": "a\0b"}}, None),
        ({"name": "a\0b", "manual": True}, None),
        ({"name": "", "manual": True}, None),
        ({"name": "x"}, None),
        ({"name": "x", "manual": True, "condition": CONDITION}, None),
        ({"name": "x", "manual": True, "extra": 1}, None),
        ({"name": "x", "manual": True, "version": -1}, None),
        ({"name": "x", "manual": True, "reason": "r" * 501}, None),
        ({"name": "x", "manual": True, "reason": "r\0"}, None),
        (b'{"name": "x", "condition": {"attribute": "a", "op": "gt", "value": 1e999}}', ""),
        (b'{"name": "x", "condition": {"attribute": "a", "op": "gt", "value": NaN}}', ""),
        (b'{"name": "x", "condition": {"event": "\\ud800"}}', None),
        (b'{"name": "x", "condition": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", None),
        (b"{", None),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(asked: Served, body, path) -> None:
    answer = send(asked, "PUT", "/x", body)
    assert answer.status_code == 400, answer.text
    if path is not None:
        assert answer.json()["details"]["path"] == path


@pytest.mark.parametrize("value", ["9" * 400, "9" * 5_000, str(2**64), "1e308", "0.1"])
def test_a_number_is_kept_or_refused_and_no_fault_of_the_server(served: Served, value) -> None:
    condition = f'{{"attribute": "a", "op": "gt", "value": {value}}}'
    body = f'{{"name": "x", "condition": {condition}}}'
    assert send(served, "PUT", "/x", body.encode()).status_code in {200, 400}
    assert served.get("/v1/segments/x/definitions").status_code in {200, 404}


def test_the_same_key_makes_one_segment(served: Served) -> None:
    wanted = {"name": "Buyers", "condition": {"event": "purchase"}}
    made = send(served, "POST", "", wanted, Idempotency_Key="k-1")
    again = send(served, "POST", "", wanted, Idempotency_Key="k-1")
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json() == made.json() | {"changed": False}
    assert send(served, "DELETE", "/buyers", Idempotency_Key="k-1").status_code == 409
    assert send(served, "POST", "", wanted, Idempotency_Key="").status_code == 400


@pytest.mark.parametrize("kind", ["read", "write"])
def test_only_an_admin_key_decides(asked: Served, kind: str) -> None:
    for method, path in (("POST", ""), ("PUT", "/x"), ("DELETE", "/x"), ("POST", "/x/members")):
        assert send(asked, method, path, kind=kind).status_code == 403


def test_people_are_put_on_a_list_each_for_themselves(listing: Served) -> None:
    asked = {"add": ["user_id:ann", "nonsense", "user_id:nobody", "user_id:bob"]}
    done = members(listing, asked | {"remove": ["anonymous_id:phone"], "reason": "invited"})
    assert done.status_code == 200
    told = done.json()
    refused = [(it["in"], it["index"], it["code"]) for it in told.pop("refused")]
    assert told == {"position": listing.service.ledger.heads()[1], "accepted": 2, "recorded": 2}
    assert refused == [
        ("add", 1, "invalid_reference"),
        ("add", 2, "unknown"),
        ("remove", 0, "contradicted"),
    ]
    off = members(listing, {"remove": ["email:bob@example.com", "user_id:bob"]}).json()
    assert (off["accepted"], off["recorded"], len(off["refused"])) == (1, 1, 1)


@pytest.mark.parametrize("heading", ["", "ref\n", "\ufeffRef,name\r\n"])
def test_a_file_is_put_on_a_list(listing: Served, heading: str) -> None:
    table = f'{heading}user_id:ann,Ann\n\n"user_id:bob"\nnobody\n'.encode()
    told = members(listing, table, Content_Type="text/csv; charset=utf-8").json()
    assert (told["accepted"], told["recorded"]) == (2, 2)
    assert [it["index"] for it in told["refused"]] == [2]
    again = members(listing, table, Content_Type="text/csv").json()
    assert (again["accepted"], again["recorded"]) == (2, 0)


@pytest.mark.parametrize("table", [b"\xff", b'"a', b'"a"b', b"x" * 200_000])
def test_a_file_that_is_none_is_refused(listing: Served, table: bytes) -> None:
    assert members(listing, table, Content_Type="text/csv").status_code == 400


def test_a_list_takes_a_thousand_at_once_and_a_condition_nobody(listing: Served) -> None:
    many = b"".join(b"user_id:u-%d\n" % n for n in range(1001))
    assert members(listing, many, Content_Type="text/csv").status_code == 400
    send(listing, "PUT", "/buyers", {"name": "Buyers", "condition": {"event": "purchase"}})
    for path, status in (("/buyers", 409), ("/nothing", 404), ("/N%20o%00", 400)):
        answer = send(listing, "POST", f"{path}/members", {"add": ["user_id:ann"]})
        assert answer.status_code == status


def test_a_person_s_history_and_export_tell_of_their_lists(listing: Served) -> None:
    members(listing, {"add": ["user_id:ann"], "reason": "invited"})
    last = listing.get("/v1/profiles/anonymous_id:phone/history").json()["history"][-1]
    assert last["topic"] == "profile.listed.v1"
    assert last["cause"]["reason"] == "invited"
    assert last["cause"]["actor"] in listing.keys["admin"]
    assert (last["data"]["segment"], last["data"]["listed"]) == ("vips", True)
    lines = listing.get("/v1/profiles/user_id:ann/export").text.splitlines()
    [line] = [it for it in map(json.loads, lines) if it["type"] == "listing"]
    assert (line["segment"], line["listed"], line["cause"]) == ("vips", True, last["cause"])
    stream = listing.service.ledger.segment_stream(1, "vips")
    [said] = listing.get(f"/v1/profiles/{stream}/history").json()["history"]
    assert said["topic"] == "segment.defined.v1"
