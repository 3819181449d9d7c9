"""Erasing a person while a read model is being built aside: they are not in what is built."""

from __future__ import annotations

from threading import Thread

import pytest

from projections.rebuild import builds, switch
from projections.rebuild.lifecycle import Lifecycle
from projections.runtime import batch_size
from tests.builders import tracked
from tests.canary import places
from tests.integration.http.erasure_calls import ANN, BOB, erase
from tests.integration.http.serving import Served

NAMES = ("identity", "timeline", "event_catalogue", "sessions", "profile", "seen")


@pytest.fixture
def lifecycle(served: Served, monkeypatch) -> Lifecycle:
    for it in ("BATCH", "LARGEST"):
        monkeypatch.setattr(batch_size, it, 3)
    for n in range(6):
        served.record(
            tracked("Viewed", ANN, properties={"a": "unheard-of"}), tracked("Bought", BOB)
        )
        served.record(tracked("Paid", ANN, properties={"unheard-of": n}))
    served.project()
    return Lifecycle(served.service.projector)


def same(served: Served, lifecycle: Lifecycle) -> bool:
    served.project()
    lifecycle.ask(NAMES, "verify")
    assert all(lifecycle.work_on(it) for it in NAMES)
    return all(it.result["same"] for it in lifecycle.look().values())


@pytest.mark.parametrize("name", NAMES)
def test_a_person_who_is_erased_meanwhile_is_not_in_it(
    served: Served, database: str, lifecycle: Lifecycle, name: str
) -> None:
    erased = []

    def meanwhile() -> None:
        if not erased:
            erased.append(erase(served, ANN).status_code)

    lifecycle.ask([name], "rebuild")
    assert lifecycle.work_on(name, told=meanwhile)
    assert erased == [200]
    served.project()
    assert places(database, ["unheard-of"]) == {}
    assert same(served, lifecycle)


def erase_with_a_build_stopped(served: Served, lifecycle: Lifecycle) -> None:
    lifecycle.ask(["timeline"], "rebuild")
    assert not lifecycle.work_on("timeline", told=lambda: lifecycle.cancel("timeline"))
    assert erase(served, ANN).status_code == 200


def test_a_build_that_was_stopped_forgets_as_well(
    served: Served, database: str, lifecycle: Lifecycle
) -> None:
    erase_with_a_build_stopped(served, lifecycle)
    served.project()
    assert places(database, ["unheard-of"]) == {}
    lifecycle.ask(["timeline"], "rebuild")
    assert lifecycle.work_on("timeline")
    assert same(served, lifecycle)


def test_if_builds_were_passed_over_the_person_would_stay(
    served: Served, database: str, lifecycle: Lifecycle, monkeypatch
) -> None:
    monkeypatch.setattr(builds, "forget", lambda *_: None)
    erase_with_a_build_stopped(served, lifecycle)
    served.project()
    assert places(database, ["unheard-of"]) != {}


def test_what_was_replaced_and_is_not_yet_dropped_forgets_as_well(
    served: Served, database: str, lifecycle: Lifecycle, monkeypatch
) -> None:
    monkeypatch.setattr(switch, "drop_old", lambda *_: True)
    lifecycle.ask(["timeline"], "rebuild")
    assert lifecycle.work_on("timeline")
    assert erase(served, ANN).status_code == 200
    served.project()
    assert places(database, ["unheard-of"]) == {}


def test_an_erasure_in_the_moment_of_the_switch_waits_and_is_done(
    served: Served, database: str, lifecycle: Lifecycle, monkeypatch
) -> None:
    gone, erasures, statuses = switch.readers_gone, [], []

    def meanwhile(*args):
        erasures.append(Thread(target=lambda: statuses.append(erase(served, ANN).status_code)))
        erasures[-1].start()
        erasures[-1].join(0.5)
        assert statuses == [], "read models are held"
        return gone(*args)

    monkeypatch.setattr(switch, "readers_gone", meanwhile)
    lifecycle.ask(["timeline"], "rebuild")
    assert lifecycle.work_on("timeline")
    for it in erasures:
        it.join(10)
    assert statuses == [200]
    monkeypatch.undo()
    served.project()
    assert places(database, ["unheard-of"]) == {}
    assert same(served, lifecycle)
