"""Status, rejected messages, keys and workspaces over HTTP."""

from __future__ import annotations

import base64
import re
from datetime import timedelta

import pytest

from application.ledger.tables.rejected import Rejection
from domain.identity import claims
from tests.builders import NOON, anonymous, tracked, user

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def refusal(n: int = 0, **facts):
    return Rejection(
        **{
            "code": "no_id",
            "message": "a message needs a userId or an anonymousId",
            "raw": b'{"n":%d}' % n,
            "source": "segment",
            "received_at": NOON + timedelta(seconds=n),
        }
        | facts
    )


def seen(status):
    return next(item for item in status["projections"] if item["name"] == "seen")


def test_status_of_an_empty_ledger_is_idle(served):
    status = served.get("/v1/status").json()
    assert status["head"] == 0
    assert seen(status) == {
        "name": "seen",
        "version": 1,
        "position": 0,
        "lag": 0,
        "movement": "idle",
        "updated_at": None,
        "failure": None,
    }


def test_status_has_the_lag_until_the_read_model_has_caught_up(served):
    head = served.record(tracked(), tracked()).position
    behind = served.get("/v1/status").json()
    assert behind["head"] == head
    assert (seen(behind)["lag"], seen(behind)["movement"]) == (head, "moving")
    served.project()
    status = served.get("/v1/status").json()
    assert (seen(status)["position"], seen(status)["lag"]) == (head, 0)
    assert seen(status)["movement"] == "idle"
    assert TIME.fullmatch(seen(status)["updated_at"])


def test_status_counts_capped_profiles_and_the_profile_says_it(served, monkeypatch):
    monkeypatch.setattr(claims, "MAX_CLAIMS", 2)
    served.record(*(tracked("Viewed", user(), anonymous(f"a-{n}")) for n in range(3)))
    served.project()
    assert served.get("/v1/status").json()["capped_profiles"] == 1
    assert served.get("/v1/profiles/user_id:u-1").json()["capped"] is True
    assert served.get("/v1/profiles/anonymous_id:a-2").json()["capped"] is False


def test_status_covers_the_workspace_of_the_key_only(served):
    served.record(tracked())
    other = served.service.workspaces.create("other").id
    served.keys["read"] = served.service.keys.create(other, "read").text
    assert served.get("/v1/status").json()["head"] == 0


def test_rejected_messages_are_listed_as_received(served):
    served.record(tracked(), rejections=(refusal(message_id="m-1"), refusal(message_id="m-1")))
    answer = served.get("/v1/rejected").json()
    [row] = answer["rejected"]
    assert row.pop("id")
    assert row == {
        "received_at": "2026-01-01T12:00:00.000000Z",
        "source": "segment",
        "code": "no_id",
        "message": "a message needs a userId or an anonymousId",
        "message_id": "m-1",
        "times": 2,
        "raw": '{"n":0}',
        "raw_encoding": "utf-8",
    }
    assert answer["next"] is None
    assert answer["projected_to"] == 1


def test_bytes_that_are_not_utf8_are_listed_as_base64(served):
    served.record(rejections=(refusal(raw=b"\x1f\x8b\xff\0"),))
    [row] = served.get("/v1/rejected").json()["rejected"]
    assert row["raw_encoding"] == "base64"
    assert base64.b64decode(row["raw"]) == b"\x1f\x8b\xff\0"


def test_rejections_are_paged_newest_first_without_gap_or_repeat(served):
    served.record(rejections=tuple(refusal(n // 2, raw=b"%d" % n) for n in range(10)))
    pages, cursor = [], ""
    while cursor is not None:
        answer = served.get(f"/v1/rejected?limit=3{cursor and '&cursor=' + cursor}").json()
        pages.append(answer["rejected"])
        cursor = answer["next"]
    rows = [row for page in pages for row in page]
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert len({row["id"] for row in rows}) == 10
    assert [row["received_at"] for row in rows] == sorted(
        (row["received_at"] for row in rows), reverse=True
    )


def test_rejections_are_filtered_by_code_and_source(served):
    served.record(rejections=(refusal(1), refusal(2, code="too_large"), refusal(3, source="csv")))
    listed = served.get("/v1/rejected?code=no_id&source=segment").json()["rejected"]
    assert [row["raw"] for row in listed] == ['{"n":1}']


@pytest.mark.parametrize("cursor", ["x", "", "e30=", "MjAyNi0wMS0wMSB4", "é"])
def test_an_invalid_cursor_is_refused(served, cursor):
    answer = served.get("/v1/rejected", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_created_key_works_and_a_revoked_one_does_not(served):
    headers = {"Authorization": f"Bearer {served.keys['admin']}"}
    made = served.client.post("/v1/keys", json={"kind": "read"}, headers=headers)
    assert made.status_code == 201
    assert made.json().keys() == {"id", "kind", "key"}
    served.keys["read"] = made.json()["key"]
    assert served.get("/v1/status").status_code == 200
    path = f"/v1/keys/{made.json()['id']}"
    assert served.client.delete(path, headers=headers).status_code == 204
    assert served.get("/v1/status").status_code == 401


def test_keys_are_listed_without_their_secrets(served):
    listed = served.get("/v1/keys", "admin")
    assert [row["kind"] for row in listed.json()["keys"]] == ["write", "read", "admin"]
    for text in served.keys.values():
        assert text.split("_")[4] not in listed.text
    assert TIME.fullmatch(listed.json()["keys"][0]["created_at"])


def test_a_key_of_another_workspace_is_unknown(served):
    other = served.service.workspaces.create("other").id
    theirs = served.service.keys.create(other, "read")
    headers = {"Authorization": f"Bearer {served.keys['admin']}"}
    answers = [
        served.client.delete(f"/v1/keys/{item}", headers=headers) for item in (theirs.id, "nothing")
    ]
    assert [item.status_code for item in answers] == [404, 404]
    assert answers[0].text.replace(theirs.id, "nothing") == answers[1].text
    assert served.service.keys.authenticate(theirs.text) is not None


def test_only_the_keys_own_workspace_is_listed(served):
    served.service.workspaces.create("other")
    [row] = served.get("/v1/workspaces", "admin").json()["workspaces"]
    assert (row["id"], row["name"]) == (served.workspace, "default")


@pytest.mark.parametrize("path", ["/v1/rejected", "/v1/keys", "/v1/workspaces"])
def test_every_list_has_rows_a_cursor_and_a_position(served, path):
    noun = path.rpartition("/")[2]
    assert served.get(path, "admin").json().keys() == {noun, "next", "projected_to"}
