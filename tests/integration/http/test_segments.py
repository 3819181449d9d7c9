"""Segment commands over HTTP, and the history of definitions."""

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

    result = served.get("/v1/segments/big-spenders/definitions").json()
    definitions = result["definitions"]
    assert [(item["version"], item["position"], item["change"]) for item in definitions] == [
        (1, 1, "defined"),
        (2, 2, "defined"),
        (3, 3, "archived"),
    ]
    assert [item["reason"] for item in definitions] == ["spring", "", "summer"]
    assert [item["condition"] for item in definitions] == [CONDITION, {"event": "purchase"}, None]
    [key] = {item["actor"] for item in definitions}
    assert key in served.keys["admin"]
    assert (result["next"], result["projected_to"]) == (None, 3)
    first = served.get("/v1/segments/big-spenders/definitions?limit=2").json()
    rest = served.get(f"/v1/segments/big-spenders/definitions?cursor={first['next']}").json()
    assert first["definitions"] + rest["definitions"] == definitions


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
def test_an_invalid_segment_is_refused_with_a_json_pointer(shared: Served, body, path) -> None:
    answer = send(shared, "PUT", "/x", body)
    assert answer.status_code == 400, answer.text
    if path is not None:
        assert answer.json()["details"]["path"] == path


@pytest.mark.parametrize("value", ["9" * 400, "9" * 5_000, str(2**64), "1e308", "0.1"])
def test_any_number_is_stored_or_refused_without_an_internal_error(served: Served, value) -> None:
    condition = f'{{"attribute": "a", "op": "gt", "value": {value}}}'
    body = f'{{"name": "x", "condition": {condition}}}'
    assert send(served, "PUT", "/x", body.encode()).status_code in {200, 400}
    assert served.get("/v1/segments/x/definitions").status_code in {200, 404}


def test_a_repeated_key_creates_one_segment(served: Served) -> None:
    wanted = {"name": "Buyers", "condition": {"event": "purchase"}}
    made = send(served, "POST", "", wanted, Idempotency_Key="k-1")
    again = send(served, "POST", "", wanted, Idempotency_Key="k-1")
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json() == made.json() | {"changed": False}
    assert send(served, "DELETE", "/buyers", Idempotency_Key="k-1").status_code == 409
    assert send(served, "POST", "", wanted, Idempotency_Key="").status_code == 400


@pytest.mark.parametrize("kind", ["read", "write"])
def test_only_an_admin_key_may_send_commands(shared: Served, kind: str) -> None:
    for method, path in (("POST", ""), ("PUT", "/x"), ("DELETE", "/x"), ("POST", "/x/members")):
        assert send(shared, method, path, kind=kind).status_code == 403


def test_invalid_references_do_not_block_the_others(listing: Served) -> None:
    changes = {"add": ["user_id:ann", "nonsense", "user_id:unknown", "user_id:bob"]}
    done = members(listing, changes | {"remove": ["anonymous_id:phone"], "reason": "invited"})
    assert done.status_code == 200
    result = done.json()
    refused = [(item["in"], item["index"], item["code"]) for item in result.pop("refused")]
    assert result == {"position": listing.service.ledger.heads()[1], "accepted": 2, "recorded": 2}
    assert refused == [
        ("add", 1, "invalid_reference"),
        ("add", 2, "unknown"),
        ("remove", 0, "contradicted"),
    ]
    off = members(listing, {"remove": ["email:bob@example.com", "user_id:bob"]}).json()
    assert (off["accepted"], off["recorded"], len(off["refused"])) == (1, 1, 1)


@pytest.mark.parametrize("heading", ["", "ref\n", "\ufeffRef,name\r\n"])
def test_a_csv_file_is_added_to_a_manual_list(listing: Served, heading: str) -> None:
    table = f'{heading}user_id:ann,Ann\n\n"user_id:bob"\nunknown\n'.encode()
    result = members(listing, table, Content_Type="text/csv; charset=utf-8").json()
    assert (result["accepted"], result["recorded"]) == (2, 2)
    assert [item["index"] for item in result["refused"]] == [2]
    again = members(listing, table, Content_Type="text/csv").json()
    assert (again["accepted"], again["recorded"]) == (2, 0)


@pytest.mark.parametrize("table", [b"\xff", b'"a', b'"a"b', b"x" * 200_000])
def test_an_invalid_csv_file_is_refused(listing: Served, table: bytes) -> None:
    assert members(listing, table, Content_Type="text/csv").status_code == 400


def test_a_list_accepts_a_thousand_references_and_a_condition_none(listing: Served) -> None:
    many = b"".join(b"user_id:u-%d\n" % n for n in range(1001))
    assert members(listing, many, Content_Type="text/csv").status_code == 400
    send(listing, "PUT", "/buyers", {"name": "Buyers", "condition": {"event": "purchase"}})
    for path, status in (("/buyers", 409), ("/nothing", 404), ("/N%20o%00", 400)):
        answer = send(listing, "POST", f"{path}/members", {"add": ["user_id:ann"]})
        assert answer.status_code == status


def test_history_and_export_of_a_profile_contain_list_changes(listing: Served) -> None:
    members(listing, {"add": ["user_id:ann"], "reason": "invited"})
    last = listing.get("/v1/profiles/anonymous_id:phone/history").json()["history"][-1]
    assert last["topic"] == "profile.listed.v1"
    assert last["cause"]["reason"] == "invited"
    assert last["cause"]["actor"] in listing.keys["admin"]
    assert (last["data"]["segment"], last["data"]["listed"]) == ("vips", True)
    lines = listing.get("/v1/profiles/user_id:ann/export").text.splitlines()
    [line] = [item for item in map(json.loads, lines) if item["type"] == "listing"]
    assert (line["segment"], line["listed"], line["cause"]) == ("vips", True, last["cause"])
    stream = listing.service.ledger.segment_stream(1, "vips")
    [definitions] = listing.get(f"/v1/profiles/{stream}/history").json()["history"]
    assert definitions["topic"] == "segment.defined.v1"
