"""Funnel counts on a real data set equal those published with it."""

from __future__ import annotations

import pytest

from tests.fix_postgres import clone
from tests.integration.http.serving import Served, served_on
from tests.integration.http.shoppers import send, shopping

BUYING = [
    (["product_view", "add_to_cart", "purchase"], [598, 517, 290]),
    (
        ["home", "catalog", "product_view", "add_to_cart", "purchase"],
        [586, 579, 571, 454, 231],
    ),
]


@pytest.fixture(scope="module")
def shop(template):
    with clone(template) as dsn, served_on(dsn) as served:
        send(served, shopping())
        yield served


def steps(*names: str) -> list[dict]:
    return [{"event": item} for item in names]


def ask(served: Served, path: str, body: dict, kind: str = "read", status: int = 200):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"}
    answer = served.client.post(f"/v1/funnels/{path}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize(("names", "profiles"), BUYING)
def test_funnel_counts_equal_those_of_the_data_set(shop, names, profiles) -> None:
    found = ask(shop, "query", {"steps": steps(*names)})
    assert [item["event"] for item in found["steps"]] == names
    assert [item["profiles"] for item in found["steps"]] == profiles
    before = [profiles[0], *profiles]
    for each, count, of in zip(found["steps"], profiles, before, strict=False):
        assert each["conversion"] == count / profiles[0]
        assert each["from_previous"] == count / of
    assert [item["seconds_p50"] is None for item in found["steps"]] == [
        True,
        *[False] * (len(names) - 1),
    ]
    assert "breakdown" not in found
