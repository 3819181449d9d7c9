"""Rebuild, verification and cancellation of read models over HTTP."""

from __future__ import annotations

from datetime import timedelta
from threading import Event, Thread

import pytest

from projections.rebuild.service import RebuildService
from tests.integration.http.segment_calls import ANN, BOB, bought, define, inside
from tests.integration.http.serving import Served


def post(served: Served, path: str, body=None, kind: str = "admin"):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"}
    return served.client.post(f"/v1/projections{path}", json=body or {}, headers=headers)


def build(served: Served, name: str):
    listed = served.get("/v1/projections", kind="admin").json()["projections"]
    return next(item["build"] for item in listed if item["name"] == name)


@pytest.fixture
def shop(served: Served) -> Served:
    define(served, "buyers", {"event": "purchase", "within": {"last": "30d"}})
    served.record(bought(ANN, timedelta(days=29)), bought(BOB), bought(BOB))
    define(served, "regulars", {"event": "purchase", "count": {"at_least": 2}})
    served.project()
    return served


def test_a_worker_runs_a_requested_rebuild(shop: Served) -> None:
    assert post(shop, "/segments/rebuild").status_code == 202
    assert build(shop, "segments")["state"] == "asked"
    stop = Event()
    worker = Thread(target=RebuildService(shop.service.projector).run, args=(stop,))
    worker.start()
    while build(shop, "segments")["state"] != "done":
        stop.wait(0.05)
    stop.set()
    worker.join()
    assert inside(shop, "buyers") == {"ann", "bob"}
    assert inside(shop, "regulars") == {"bob"}


@pytest.mark.parametrize("name", ["segments", "identity", "timeline", "profile", "sessions"])
def test_the_rebuilt_tables_serve_queries(shop: Served, name: str) -> None:
    assert post(shop, f"/{name}/verify").status_code == 202
    assert RebuildService(shop.service.projector).run_builds(name)
    assert build(shop, name)["result"]["same"]
    assert all(table["rows"] >= 0 for table in build(shop, name)["result"]["tables"])


def test_a_build_is_cancelled(shop: Served) -> None:
    post(shop, "/profile/rebuild")
    assert post(shop, "/profile/cancel", {"discard": True}).status_code == 200
    assert build(shop, "profile")["state"] == "cancelled"
    assert not RebuildService(shop.service.projector).run_builds("profile")


def test_only_an_admin_key_may_rebuild_and_only_known_read_models(shop: Served) -> None:
    assert post(shop, "/profile/rebuild", kind="read").status_code == 403
    assert post(shop, "/nope/rebuild").status_code == 404
    assert post(shop, "/profile/rebuild", {"new": True}).status_code == 400
    post(shop, "/profile/rebuild")
    assert post(shop, "/profile/verify").status_code == 409
