"""Erasure and segments: list membership goes with the profile, definitions stay."""

from __future__ import annotations

from application.definitions.manual_lists import ManualListChange
from application.definitions.segments import SegmentService
from application.definitions.store import CommandContext
from domain.definitions.definition import DefinitionVersion
from tests.builders import tracked
from tests.canary import tables_containing
from tests.integration.http.erasure_calls import (
    ANN,
    BOB,
    PHONE,
    erase,
    rebuild,
    rows,
)
from tests.integration.http.serving import Served


def test_list_membership_is_erased_with_the_profile(served: Served, database: str) -> None:
    segments, context = SegmentService(served.service.ledger), CommandContext("key-1")
    segments.define(served.workspace, "vips", DefinitionVersion("VIPs"), context)
    served.record(tracked("Viewed", ANN, PHONE), tracked("Viewed", BOB))
    ann, bob = (served.service.ledger.stream_of(served.workspace, item) for item in (ANN, BOB))
    wanted = [ManualListChange(item, listed=True) for item in (ann, bob)]
    segments.change_list(served.workspace, "vips", wanted, context)
    served.project()
    assert erase(served, PHONE).json()["events"] == 3
    assert tables_containing(database, ["ann-canary", "phone-canary"]) == {}
    [blank] = [
        item for item in served.service.ledger.read(served.workspace, 0, 99) if item.position == 5
    ]
    assert (blank.stream, blank.event) == (ann, None)
    done = segments.change_list(served.workspace, "vips", wanted, context)
    assert done.statuses == ("unknown", "unchanged")
    served.record(tracked("Back", ANN))
    assert segments.change_list(served.workspace, "vips", wanted, context).statuses[0] == "listed"
    served.project()
    live = rows(served)
    rebuild(served)
    assert rows(served) == live


def test_segment_definitions_survive_an_erasure(served: Served) -> None:
    segments = SegmentService(served.service.ledger)
    segments.define(served.workspace, "vips", DefinitionVersion("VIPs"), CommandContext("key-1"))
    stream = served.service.ledger.segment_stream(served.workspace, "vips")
    headers = {"Authorization": f"Bearer {served.keys['admin']}"}
    answer = served.client.request("DELETE", f"/v1/profiles/{stream}", headers=headers, json={})
    assert answer.status_code == 404
    assert segments.find(served.workspace, "vips").exists
