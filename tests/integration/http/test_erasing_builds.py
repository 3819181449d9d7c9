"""Erasure during a shadow build: the built tables do not contain the profile."""

from __future__ import annotations

from threading import Thread

import pytest

from projections.rebuild import builds, switch
from projections.rebuild.service import RebuildService
from projections.runtime import batch_size
from tests.builders import tracked
from tests.canary import tables_containing
from tests.integration.http.erasure_calls import ANN, BOB, erase
from tests.integration.http.serving import Served

NAMES = ("identity", "timeline", "event_catalogue", "sessions", "profile", "seen")


@pytest.fixture
def lifecycle(served: Served, monkeypatch) -> RebuildService:
    for item in ("BATCH_SIZE", "MAX_BATCH_SIZE"):
        monkeypatch.setattr(batch_size, item, 3)
    for n in range(6):
        served.record(
            tracked("Viewed", ANN, properties={"a": "unheard-of"}), tracked("Bought", BOB)
        )
        served.record(tracked("Paid", ANN, properties={"unheard-of": n}))
    served.project()
    return RebuildService(served.service.projector)


def same(served: Served, lifecycle: RebuildService) -> bool:
    served.project()
    lifecycle.request(NAMES, "verify")
    assert all(lifecycle.run_builds(item) for item in NAMES)
    return all(item.result["same"] for item in lifecycle.status().values())


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_erased_during_a_build_is_not_in_it(
    served: Served, database: str, lifecycle: RebuildService, name: str
) -> None:
    erased = []

    def meanwhile() -> None:
        if not erased:
            erased.append(erase(served, ANN).status_code)

    lifecycle.request([name], "rebuild")
    assert lifecycle.run_builds(name, on_progress=meanwhile)
    assert erased == [200]
    served.project()
    assert tables_containing(database, ["unheard-of"]) == {}
    assert same(served, lifecycle)


def erase_with_a_build_stopped(served: Served, lifecycle: RebuildService) -> None:
    lifecycle.request(["timeline"], "rebuild")
    assert not lifecycle.run_builds("timeline", on_progress=lambda: lifecycle.cancel("timeline"))
    assert erase(served, ANN).status_code == 200


def test_a_stopped_build_is_erased_too(
    served: Served, database: str, lifecycle: RebuildService
) -> None:
    erase_with_a_build_stopped(served, lifecycle)
    served.project()
    assert tables_containing(database, ["unheard-of"]) == {}
    lifecycle.request(["timeline"], "rebuild")
    assert lifecycle.run_builds("timeline")
    assert same(served, lifecycle)


def test_skipping_builds_would_leave_the_profile(
    served: Served, database: str, lifecycle: RebuildService, monkeypatch
) -> None:
    monkeypatch.setattr(builds, "reset_workspace", lambda *_: None)
    erase_with_a_build_stopped(served, lifecycle)
    served.project()
    assert tables_containing(database, ["unheard-of"]) != {}


def test_replaced_tables_that_still_exist_are_erased_too(
    served: Served, database: str, lifecycle: RebuildService, monkeypatch
) -> None:
    monkeypatch.setattr(switch, "drop_old", lambda *_: True)
    lifecycle.request(["timeline"], "rebuild")
    assert lifecycle.run_builds("timeline")
    assert erase(served, ANN).status_code == 200
    served.project()
    assert tables_containing(database, ["unheard-of"]) == {}


def test_an_erasure_during_the_switch_waits_and_completes(
    served: Served, database: str, lifecycle: RebuildService, monkeypatch
) -> None:
    gone, erasures, statuses = switch.wait_for_queries, [], []

    def meanwhile(*args):
        erasures.append(Thread(target=lambda: statuses.append(erase(served, ANN).status_code)))
        erasures[-1].start()
        erasures[-1].join(0.5)
        assert statuses == [], "read models are held"
        return gone(*args)

    monkeypatch.setattr(switch, "wait_for_queries", meanwhile)
    lifecycle.request(["timeline"], "rebuild")
    assert lifecycle.run_builds("timeline")
    for item in erasures:
        item.join(10)
    assert statuses == [200]
    monkeypatch.undo()
    served.project()
    assert tables_containing(database, ["unheard-of"]) == {}
    assert same(served, lifecycle)
