"""Preview counts on a real data set equal those published with it."""

from __future__ import annotations

import pytest

from tests.fix_postgres import clone
from tests.integration.http.segment_calls import send
from tests.integration.http.serving import Served, served_on
from tests.integration.http.shoppers import BOUGHT, CLOCK, pages, shopping
from tests.integration.http.shoppers import send as imported


@pytest.fixture(scope="module")
def shop(template):
    with clone(template) as dsn, served_on(dsn) as served:
        imported(served, shopping())
        yield served


def preview(served: Served, condition, **more):
    body = {"condition": condition} | more
    answer = send(served, "POST", "/preview", body, kind="read")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("condition", "profiles"),
    [
        (BOUGHT | {"within": {"last": "30d"}}, 51),
        ({"event": "product_view", "count": {"at_least": 5}, "within": {"last": "7d"}}, 17),
        ({"event": "search", "count": {"at_least": 3}, "within": {"last": "14d"}}, 43),
    ],
)
def test_counts_as_of_april_equal_those_of_the_data_set(shop, condition, profiles) -> None:
    found = preview(shop, condition, as_of=CLOCK)
    assert found["count"] == profiles
    assert len(found["sample"]) == 10
    assert found["as_of"] == "2024-04-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("condition", "profiles"),
    [(BOUGHT, 328), ({"all": [{"event": "add_to_cart"}, {"none": [BOUGHT]}]}, 194)],
)
def test_counts_over_the_whole_file_equal_those_of_the_data_set(shop, condition, profiles) -> None:
    assert preview(shop, condition)["count"] == profiles


def test_each_part_is_counted_alone(shop) -> None:
    condition = {"all": [{"event": "add_to_cart"}, {"none": [BOUGHT]}]}
    counts = {item["path"]: item["count"] for item in preview(shop, condition)["conditions"]}
    assert counts["/all/1/none/0"] == 328
    assert counts["/all/1"] == 600 - 328
    assert counts["/all/0"] > 194
    score = {"score": [{"when": condition, "points": 1}], "op": "eq", "value": 1}
    counts = {item["path"]: item["count"] for item in preview(shop, score)["conditions"]}
    assert counts["/score/0/when/all/1"] == 600 - 328


def test_no_profile_matches_before_the_first_event(shop) -> None:
    assert preview(shop, {"none": [BOUGHT]}, as_of="2000-01-01")["count"] == 0
    assert preview(shop, {"none": [BOUGHT]})["count"] == 600 - 328


def test_a_segment_of_the_condition_has_the_same_members(shop) -> None:
    never = {"all": [{"event": "add_to_cart"}, {"none": [BOUGHT]}]}
    assert send(shop, "PUT", "/tempted", {"name": "Tempted", "condition": never}).status_code == 200
    shop.project()
    assert shop.get("/v1/segments/tempted").json()["members"] == 194
    inside = pages(shop, "/v1/segments/tempted/members", "members")
    assert len({item["profile_id"] for item in inside}) == 194
    of_those = preview(shop, {"all": [{"segment": "tempted"}, {"event": "search"}]})
    assert 0 < of_those["count"] <= 194


def test_an_invalid_condition_is_refused_with_a_json_pointer(shop) -> None:
    answer = send(shop, "POST", "/preview", {"condition": {"all": [{"evnt": "x"}]}}, kind="read")
    assert answer.status_code == 400
    assert answer.json()["details"]["path"] == "/all/0"
