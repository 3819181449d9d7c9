"""Who is in a segment, as the API tells: now, then, and why."""

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


def test_a_definition_looks_back(shop: Served) -> None:
    assert inside(shop, "buyers") == {"ann", "bob"}
    assert inside(shop, "regulars") == {"ann"}
    assert ask(shop, "/segments/strangers")["members"] == 1
    assert [it["id"] for it in ask(shop, "/segments")["segments"]] == [
        "buyers",
        "regulars",
        "strangers",
    ]


def test_events_move_people_and_their_positions_say_so(shop: Served) -> None:
    before = ask(shop, "/segments/regulars")["projected_to"]
    shop.record(bought(BOB))
    assert inside(shop, "regulars") == {"ann", "bob"}
    assert inside(shop, "regulars", as_of=str(before)) == {"ann"}
    [bob] = [
        it
        for it in ask(shop, "/segments/regulars/members")["members"]
        if it["entered"]["position"] > before
    ]
    assert inside(shop, "regulars", as_of=bob["entered"]["at"]) == {"ann", "bob"}
    theirs = ask(shop, "/profiles/user_id:bob/segments")["segments"]
    assert [it["segment"] for it in theirs] == ["regulars", "buyers"]


def test_a_changed_rule_answers_for_its_own_time_only(shop: Served) -> None:
    inside(shop, "buyers")
    changed = define(shop, "buyers", {"event": "purchase", "count": {"at_least": 2}})
    assert inside(shop, "buyers") == {"ann"}
    assert inside(shop, "buyers", as_of=str(changed - 1)) == {"ann", "bob"}
    then = ask(shop, "/segments/buyers/members", as_of=str(changed - 1))
    assert then["version"] == 1
    assert [it["left"]["position"] for it in then["members"] if it["left"]] == [changed]


def test_somebody_leaves_when_it_is_due_though_nothing_happens(served: Served) -> None:
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


def test_a_list_kept_by_hand_has_whom_somebody_put_on_it(shop: Served) -> None:
    send(shop, "PUT", "/vips", {"name": "VIPs", "manual": True})
    send(shop, "POST", "/vips/members", {"add": ["user_id:ann", "user_id:bob"]})
    send(shop, "POST", "/vips/members", {"remove": ["user_id:bob"]})
    assert inside(shop, "vips") == {"ann"}
    define(shop, "vip-buyers", {"all": [{"segment": "vips"}, {"segment": "buyers"}]})
    assert inside(shop, "vip-buyers") == {"ann"}


def listing(served: Served, segment: str, **who: list[str]) -> int:
    """Put people on a list and take them off; return the position."""
    send(served, "PUT", f"/{segment}", {"name": segment, "manual": True})
    names = {how: [f"user_id:{it}" for it in them] for how, them in who.items()}
    return send(served, "POST", f"/{segment}/members", names).json()["position"]


def test_all_that_somebody_was_in_is_listed_the_newest_first(served: Served) -> None:
    served.record(bought(ANN))
    for segment in ("first", "second", "third"):
        listing(served, segment, add=["ann"])
    listing(served, "second", remove=["ann"])
    found = ask(served, "/profiles/user_id:ann/segments", history=True)["segments"]
    assert [(it["segment"], it["left"] is None) for it in found] == [
        ("third", True),
        ("second", False),
        ("first", True),
    ]
    now = ask(served, "/profiles/user_id:ann/segments")["segments"]
    assert now == [it for it in found if it["left"] is None]


def test_who_was_in_it_then_comes_page_by_page_whether_or_not_they_have_left(
    served: Served,
) -> None:
    served.record(*(bought(user(it)) for it in ("ann", "bob", "cy", "dan")))
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
    assert [it["identifiers"][0]["value"] for it in pages[2:]] == ["bob", "ann"]
    assert {it["identifiers"][0]["value"] for it in pages[:2]} == {"cy", "dan"}
    assert pages == ask(served, path, **whole)["members"]
    assert [it["left"] is not None for it in pages].count(True) == 2


def test_a_preview_knows_who_was_in_another_segment_then(served: Served) -> None:
    served.record(bought(ANN), bought(BOB))
    listing(served, "vips", add=["ann", "bob"])
    listing(served, "vips", remove=["bob"])
    found = ask(served, "/profiles/user_id:bob/segments", history=True)["segments"]
    entered, left = (datetime.fromisoformat(found[0][it]["at"]) for it in ("entered", "left"))
    instant = timedelta(microseconds=1)

    def count(at: datetime) -> int:
        body = {"condition": {"segment": "vips"}, "as_of": at.isoformat()}
        return send(served, "POST", "/preview", body, kind="read").json()["count"]

    assert [count(it) for it in (entered - instant, entered, left - instant, left)] == [0, 2, 2, 1]


def test_an_answer_is_explained_part_by_part(shop: Served) -> None:
    define(shop, "lost", {"all": [{"event": "purchase"}, {"none": [{"segment": "buyers"}]}]})
    told = ask(shop, "/segments/lost/explain/user_id:ann")
    assert told["member"] is False
    assert told["explanation"]["holds"] is False
    bought_once, not_lately = told["explanation"]["parts"]
    assert bought_once["holds"]
    assert bought_once["times"]
    assert not_lately["holds"] is False


@pytest.mark.parametrize(
    "path", ["/segments/nope", "/segments/nope/members", "/segments/buyers/explain/user_id:nobody"]
)
def test_what_is_not_there_is_not_found(shop: Served, path: str) -> None:
    shop.project()
    assert shop.get(f"/v1{path}").status_code == 404


def test_whoever_asks_why_is_told_to_come_back_while_the_timeline_is_behind(
    shop: Served, database: str
) -> None:
    inside(shop, "buyers")  # told by the server: what Ann did is looked up when she is next met
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE projections.checkpoint SET position = 1 WHERE name = 'timeline'")
    answer = shop.get("/v1/segments/buyers/explain/user_id:ann")
    assert (answer.status_code, answer.json()["code"]) == (503, "timeline_behind")
    assert "retry-after" in answer.headers
