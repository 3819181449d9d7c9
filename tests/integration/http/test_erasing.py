"""Erasure over HTTP: complete when answered, in every table, without loss to other profiles."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from application.ledger.erasure import erasure
from application.ledger.tables.rejected import Rejection
from domain.core.identifiers import Identifier
from domain.events.events import ProfileErased, ProfileSuppressed, ProfileSuppressionLifted
from tests.builders import NOON, anonymous, merged, tracked, unmerged
from tests.canary import tables_containing
from tests.integration.http.erasure_calls import (
    ANN,
    BOB,
    PHONE,
    SHARED,
    erase,
    evidence,
    names,
    post,
    rebuild,
    rows,
)
from tests.integration.http.serving import Served
from tests.integration.projections.history import with_payload


def test_an_erased_profile_is_nowhere_and_the_ledger_verifies(
    served: Served, database: str
) -> None:
    served.record(
        tracked("Opened canary", PHONE, properties={"secret": "canary-value"}),
        tracked("Viewed", ANN, PHONE, kind="identify"),
        tracked("Viewed", BOB, anonymous("bobs")),
        rejections=(
            Rejection("too_large", "m", b'{"userId": "ANN-canary"}', "segment", NOON, "canary-id"),
            Rejection("too_large", "m", b'{"userId": "joann-canary"}', "segment", NOON, "other"),
        ),
    )
    served.project()
    before = evidence(served)

    answer = erase(served, PHONE, reason="asked for it")
    assert answer.status_code == 200
    receipt = answer.json()
    assert (receipt["events"], receipt["rejected"], receipt["suppressed"]) == (3, 1, False)
    assert receipt["position"] == len(before) + 1
    assert len(receipt["streams"]) == 2

    mine = ["Opened canary", "phone-canary", "canary-value", "canary-id", '"ann-canary"']
    assert tables_containing(database, mine) == {}
    assert evidence(served)[:-1] == before
    assert names(served, BOB) == ["Viewed"]
    [record] = served.service.ledger.read(served.workspace, len(before), 9)
    last = record.event
    assert isinstance(last, ProfileErased)
    assert (last.reason, [str(item) for item in last.streams]) == (
        "asked for it",
        receipt["streams"],
    )

    live = rows(served)
    assert served.get("/v1/event-types").json()["event_types"] == []
    served.project()
    assert [item["name"] for item in served.get("/v1/event-types").json()["event_types"]] == [
        "Viewed"
    ]
    live = rows(served)
    rebuild(served)
    assert rows(served) == live


def test_messages_after_an_erasure_begin_a_new_profile(served: Served) -> None:
    old = tracked("Viewed", ANN, PHONE)
    served.record(old)
    erase(served, ANN)
    assert served.record(old).duplicates == 1
    served.record(tracked("Back", ANN, PHONE))
    served.project()
    assert names(served, ANN) == ["Back"]
    ledger, workspace = served.service.ledger, served.workspace
    assert len(ledger.profile(workspace, ledger.stream_of(workspace, PHONE)).streams) == 2


def test_a_process_with_a_cached_link_records_it_again(served: Served) -> None:
    """The repeat of an erased message must not make the link seem known, either."""
    old = tracked("Viewed", ANN, PHONE)
    served.record(old)
    served.record(tracked("Viewed", ANN, PHONE))
    assert erase(served, ANN).json()["events"] == 3
    served.record(old)
    assert served.record(tracked("Viewed", ANN, PHONE)).recorded == 1
    assert erase(served, PHONE).json()["events"] == 2


def test_erasing_a_shared_device_costs_the_other_profile_nothing(
    served: Served, database: str
) -> None:
    served.record(
        tracked("Viewed", ANN, SHARED, occurred_at=NOON),
        tracked("Alone", SHARED, occurred_at=NOON),
        tracked("Viewed", BOB, SHARED, occurred_at=NOON + timedelta(hours=1)),
    )
    served.project()
    assert erase(served, ANN).json()["events"] == 4
    served.project()
    assert names(served, BOB) == ["Viewed"]
    # No link of the shared device is left.
    assert set(tables_containing(database, ["shared-canary"])) <= {"ledger.event"}
    events = served.service.ledger.read(served.workspace, 0, 9)
    assert [item.event.name for item in events if hasattr(item.event, "name")] == ["Viewed"]


@pytest.mark.parametrize("gone", [ANN, BOB])
def test_after_an_unmerge_either_profile_is_erased_alone(
    served: Served, database: str, gone: Identifier
) -> None:
    stays = BOB if gone == ANN else ANN
    served.record(tracked("Mine", ANN), tracked("Mine", BOB))
    served.record(merged(ANN, BOB, occurred_at=NOON))
    served.record(unmerged(BOB, ANN, occurred_at=NOON + timedelta(seconds=1)))
    served.project()

    assert erase(served, gone).status_code == 200
    served.project()
    assert names(served, stays) == ["Mine"]
    assert tables_containing(database, [gone.value]) == {}
    live = rows(served)
    rebuild(served)
    assert rows(served) == live


def test_merged_profiles_are_erased_together(served: Served, database: str) -> None:
    served.record(tracked("A", ANN), tracked("B", BOB), merged(ANN, BOB))
    served.project()
    assert len(erase(served, BOB).json()["streams"]) == 2
    assert tables_containing(database, ["canary"]) == {}


def test_an_unknown_profile_cannot_be_erased(served: Served) -> None:
    assert erase(served, ANN).status_code == 404
    served.record(tracked("Viewed", ANN))
    assert erase(served, ANN).status_code == 200
    assert erase(served, ANN).status_code == 404
    assert served.service.ledger.heads()[served.workspace] == 2


@pytest.mark.parametrize("kind", ["read", "write"])
def test_only_an_admin_key_erases(served: Served, kind: str) -> None:
    served.record(tracked("Viewed", ANN))
    assert erase(served, ANN, kind).status_code == 403


def test_options_are_accepted_in_the_body_only(served: Served) -> None:
    served.record(tracked("Viewed", ANN))
    path, headers = f"/v1/profiles/{ANN}", {"Authorization": f"Bearer {served.keys['admin']}"}
    assert served.client.delete(f"{path}?suppress=true", headers=headers).status_code == 400
    assert erase(served, ANN, supress=True).status_code == 400
    assert served.client.delete(path, headers=headers).status_code == 200
    assert served.record(tracked("Viewed", ANN)).recorded == 1
    assert erase(served, ANN, suppress=True).json()["suppressed"]
    assert served.record(tracked("Viewed", ANN)).suppressed == 1


def test_a_reason_that_contains_an_identifier_is_refused(served: Served) -> None:
    served.record(tracked("Viewed", ANN))
    answer = erase(served, ANN, reason="Ann-Canary asked")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert erase(served, ANN, reason="Ann asked").status_code == 200


@pytest.mark.parametrize("what", ["name", "email", "phone"])
def test_a_reason_that_contains_an_attribute_is_refused(served: Served, what: str) -> None:
    traits = {"name": "Ada Lovelace", "email": "Ada@Example.com", "phone": "+44 20 7946"}
    who = tracked("identify", ANN, kind="identify")
    served.record(with_payload(who, {"type": "identify", "traits": traits}))
    reason = f"{traits[what].upper()} asked"
    assert erase(served, ANN, reason=reason).status_code == 400
    for erases in (True, False):
        refused = post(served, "suppress", profile=str(ANN), reason=reason, erase=erases)
        assert refused.status_code == 400
    assert post(served, "suppress", profile=str(ANN), erase=False).status_code == 200
    for text in (reason, f"{ANN.value} is back"):
        assert post(served, "unsuppress", profile=str(ANN), reason=text).status_code == 400
    assert post(served, "unsuppress", profile=str(ANN), reason="is back").status_code == 200


def test_messages_about_a_suppressed_profile_are_ignored_and_counted(
    served: Served, database: str
) -> None:
    served.record(tracked("Viewed", ANN, PHONE))
    assert post(served, "suppress", profile=str(ANN), reason="asked").json()["suppressed"]
    receipt = served.record(
        tracked("Viewed", PHONE, anonymous("new")),
        tracked("Viewed", ANN),
        tracked("alias", BOB, kind="alias", absorbs=(PHONE,)),
        tracked("Viewed", BOB),
    )
    assert (receipt.recorded, receipt.suppressed, receipt.duplicates, receipt.rejected) == (
        1,
        3,
        0,
        0,
    )
    assert tables_containing(database, ["ann-canary", "phone-canary"]) == {}
    [row] = served.get("/v1/rejected").json()["rejected"]
    assert (row["code"], row["times"], row["raw"]) == ("suppressed", 3, "")

    [listed] = served.get("/v1/suppressions", "admin").json()["suppressions"]
    assert listed["streams"] == 2
    assert post(served, "unsuppress", profile=str(PHONE)).status_code == 200
    assert post(served, "unsuppress", profile=str(PHONE)).status_code == 404
    assert served.record(tracked("Viewed", ANN)).recorded == 1
    kinds = [type(item.event) for item in served.service.ledger.read(served.workspace, 0, 99)]
    assert [
        item
        for item in kinds
        if item in {ProfileErased, ProfileSuppressed, ProfileSuppressionLifted}
    ] == [
        ProfileErased,
        ProfileSuppressed,
        ProfileSuppressionLifted,
    ]


def test_suppressing_without_erasing_keeps_recorded_data(served: Served) -> None:
    served.record(tracked("Viewed", ANN))
    post(served, "suppress", profile=str(ANN), erase=False)
    served.project()
    assert names(served, ANN) == ["Viewed"]
    assert served.record(tracked("Viewed", ANN)).suppressed == 1


def test_an_unknown_profile_can_be_suppressed(served: Served) -> None:
    assert post(served, "suppress", profile=str(ANN)).status_code == 200
    assert served.record(tracked("Viewed", ANN)).suppressed == 1


def test_an_erasure_empties_unknown_read_models(served: Served, database: str) -> None:
    """Such as an older version that was not dropped, or a newer one in a newer process."""
    served.record(tracked("Viewed", ANN))
    served.project()
    with psycopg.connect(database) as owner:
        owner.execute("CREATE SCHEMA read_other_v7")
        owner.execute("CREATE TABLE read_other_v7.names (workspace integer, name text)")
        owner.execute("INSERT INTO read_other_v7.names VALUES (1, 'ann-canary'), (2, 'another')")
        owner.execute(
            "INSERT INTO projections.checkpoint (workspace, name, version, position, failure)"
            " VALUES (1, 'other', 7, 1, 'it failed at ann-canary')"
        )
    erase(served, ANN)
    assert tables_containing(database, ["canary"]) == {}
    with psycopg.connect(database) as owner:
        assert owner.execute("SELECT name FROM read_other_v7.names").fetchall() == [("another",)]
        at = owner.execute("SELECT position FROM projections.checkpoint WHERE name = 'other'")
        assert at.fetchall() == [(0,)]


def test_the_owner_erases_where_the_service_role_is_missing(
    served: Served, database: str, monkeypatch
) -> None:
    monkeypatch.setattr(erasure, "ERASER_ROLE", "no_such_role")
    served.record(tracked("Viewed", ANN))
    assert erase(served, ANN).status_code == 200
    assert tables_containing(database, ["canary"]) == {}
