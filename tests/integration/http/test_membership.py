"""Segment members over HTTP: now, as of an instant, and explained."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.builders import tracked, user
from tests.integration.http.segment_calls import ANN, BOB, PHONE, ask, bought, define, inside, send
from tests.integration.http.serving import Served


@pytest.fixture
def shop(served: Served) -> Served:
    served.record(
        bought(ANN, timedelta(days=40)), bought(ANN), bought(BOB), tracked("Viewed", PHONE)
    )
    define(served, "buyers", {"event": "purchase", "within": {"last": "30d"}})
    define(served, "regulars", {"event": "purchase", "count": {"at_least": 2}})
    define(served, "strangers", {"event": "purchase", "count": {"exactly": 0}})
    return served


def test_a_new_definition_is_backfilled(shop: Served) -> None:
    assert inside(shop, "buyers") == {"ann", "bob"}
    assert inside(shop, "regulars") == {"ann"}
    assert ask(shop, "/segments/strangers")["members"] == 1
    assert [item["id"] for item in ask(shop, "/segments")["segments"]] == [
        "buyers",
        "regulars",
        "strangers",
    ]


def test_events_change_membership_at_their_positions(shop: Served) -> None:
    before = ask(shop, "/segments/regulars")["projected_to"]
    shop.record(bought(BOB))
    assert inside(shop, "regulars") == {"ann", "bob"}
    assert inside(shop, "regulars", as_of=str(before)) == {"ann"}
    [bob] = [
        item
        for item in ask(shop, "/segments/regulars/members")["members"]
        if item["entered"]["position"] > before
    ]
    assert inside(shop, "regulars", as_of=bob["entered"]["at"]) == {"ann", "bob"}
    theirs = ask(shop, "/profiles/user_id:bob/segments")["segments"]
    assert [item["segment"] for item in theirs] == ["regulars", "buyers"]


def test_a_replaced_definition_applies_from_its_position(shop: Served) -> None:
    inside(shop, "buyers")
    changed = define(shop, "buyers", {"event": "purchase", "count": {"at_least": 2}})
    assert inside(shop, "buyers") == {"ann"}
    assert inside(shop, "buyers", as_of=str(changed - 1)) == {"ann", "bob"}
    then = ask(shop, "/segments/buyers/members", as_of=str(changed - 1))
    assert then["version"] == 1
    assert [item["left"]["position"] for item in then["members"] if item["left"]] == [changed]


def test_a_member_leaves_by_timer_without_an_event(served: Served) -> None:
    define(served, "now", {"event": "purchase", "within": {"last": "1s"}})
    served.record(bought(ANN))
    [entered] = ask(served, "/segments/now/members")["members"]
    assert entered["left"] is None
    explained = ask(served, "/segments/now/explain/user_id:ann")["explanation"]
    until = datetime.fromisoformat(explained["changes_at"])
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 0.05)
    assert served.service.projector.advance_time(served.workspace)
    assert inside(served, "now") == set()
    [stay] = ask(served, "/profiles/user_id:ann/segments", history=True)["segments"]
    assert stay["left"] == {"at": explained["changes_at"], "position": None}


def test_a_manual_list_has_the_added_members(shop: Served) -> None:
    send(shop, "PUT", "/vips", {"name": "VIPs", "manual": True})
    send(shop, "POST", "/vips/members", {"add": ["user_id:ann", "user_id:bob"]})
    send(shop, "POST", "/vips/members", {"remove": ["user_id:bob"]})
    assert inside(shop, "vips") == {"ann"}
    define(shop, "vip-buyers", {"all": [{"segment": "vips"}, {"segment": "buyers"}]})
    assert inside(shop, "vip-buyers") == {"ann"}


def listing(served: Served, segment: str, **who: list[str]) -> int:
    """Add profiles to a list and remove them; return the position."""
    send(served, "PUT", f"/{segment}", {"name": segment, "manual": True})
    names = {how: [f"user_id:{item}" for item in them] for how, them in who.items()}
    return send(served, "POST", f"/{segment}/members", names).json()["position"]


def test_segments_of_a_profile_are_listed_newest_first(served: Served) -> None:
    served.record(bought(ANN))
    for segment in ("first", "second", "third"):
        listing(served, segment, add=["ann"])
    listing(served, "second", remove=["ann"])
    found = ask(served, "/profiles/user_id:ann/segments", history=True)["segments"]
    assert [(item["segment"], item["left"] is None) for item in found] == [
        ("third", True),
        ("second", False),
        ("first", True),
    ]
    now = ask(served, "/profiles/user_id:ann/segments")["segments"]
    assert now == [item for item in found if item["left"] is None]


def test_members_as_of_an_instant_are_paged_including_those_that_left(
    served: Served,
) -> None:
    served.record(*(bought(user(item)) for item in ("ann", "bob", "cy", "dan")))
    for who in (["ann"], ["bob"], ["cy", "dan"]):
        then = listing(served, "vips", add=who)
    listing(served, "vips", remove=["bob", "dan"])
    path, whole = "/segments/vips/members", {"as_of": str(then)}
    page = ask(served, path, **whole, limit=1)
    pages = page["members"]
    for _ in range(3):
        page = ask(served, path, **whole, limit=1, cursor=page["next"])
        pages += page["members"]
    assert page["next"] is None
    assert [item["identifiers"][0]["value"] for item in pages[2:]] == ["bob", "ann"]
    assert {item["identifiers"][0]["value"] for item in pages[:2]} == {"cy", "dan"}
    assert pages == ask(served, path, **whole)["members"]
    assert [item["left"] is not None for item in pages].count(True) == 2


def test_a_preview_evaluates_a_segment_condition_as_of_an_instant(served: Served) -> None:
    served.record(bought(ANN), bought(BOB))
    listing(served, "vips", add=["ann", "bob"])
    listing(served, "vips", remove=["bob"])
    found = ask(served, "/profiles/user_id:bob/segments", history=True)["segments"]
    entered, left = (datetime.fromisoformat(found[0][item]["at"]) for item in ("entered", "left"))
    instant = timedelta(microseconds=1)

    def count(at: datetime) -> int:
        body = {"condition": {"segment": "vips"}, "as_of": at.isoformat()}
        return send(served, "POST", "/preview", body, kind="read").json()["count"]

    assert [count(item) for item in (entered - instant, entered, left - instant, left)] == [
        0,
        2,
        2,
        1,
    ]


def test_membership_is_explained_part_by_part(shop: Served) -> None:
    define(shop, "lost", {"all": [{"event": "purchase"}, {"none": [{"segment": "buyers"}]}]})
    explained = ask(shop, "/segments/lost/explain/user_id:ann")
    assert explained["member"] is False
    assert explained["explanation"]["holds"] is False
    bought_once, not_lately = explained["explanation"]["parts"]
    assert bought_once["holds"]
    assert bought_once["times"]
    assert not_lately["holds"] is False


@pytest.mark.parametrize(
    "path", ["/segments/nope", "/segments/nope/members", "/segments/buyers/explain/user_id:unknown"]
)
def test_unknown_segments_and_profiles_are_404(shop: Served, path: str) -> None:
    shop.project()
    assert shop.get(f"/v1{path}").status_code == 404


def test_explain_is_503_while_the_timeline_is_behind(shop: Served, database: str) -> None:
    inside(shop, "buyers")  # lazy backfill: events of Ann are loaded at her next event
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE projections.checkpoint SET position = 1 WHERE name = 'timeline'")
    answer = shop.get("/v1/segments/buyers/explain/user_id:ann")
    assert (answer.status_code, answer.json()["code"]) == (503, "timeline_behind")
    assert "retry-after" in answer.headers
