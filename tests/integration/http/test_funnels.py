"""What funnels come to, on real shoppers: the counts are those that came with the data."""

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
    return [{"event": it} for it in names]


def ask(served: Served, path: str, body: dict, kind: str = "read", status: int = 200):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"}
    answer = served.client.post(f"/v1/funnels/{path}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize(("names", "profiles"), BUYING)
def test_as_many_take_each_step_as_the_data_says(shop, names, profiles) -> None:
    found = ask(shop, "query", {"steps": steps(*names)})
    assert [it["event"] for it in found["steps"]] == names
    assert [it["profiles"] for it in found["steps"]] == profiles
    before = [profiles[0], *profiles]
    for each, count, of in zip(found["steps"], profiles, before, strict=False):
        assert each["conversion"] == count / profiles[0]
        assert each["from_previous"] == count / of
    assert [it["seconds_p50"] is None for it in found["steps"]] == [
        True,
        *[False] * (len(names) - 1),
    ]
    assert "breakdown" not in found
