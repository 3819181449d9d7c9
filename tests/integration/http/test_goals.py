"""Goal conversion within a window after a message or an event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.builders import NOON, anonymous, merged, tracked, user
from tests.integration.http.serving import Served

MINUTE, DAY = 60, 86_400


def event_of(name: str, who, at: float, **properties):
    moment = NOON + timedelta(seconds=at)
    return tracked(name, who, occurred_at=moment, received_at=moment, properties=properties)


def mail(word: str, who, at: float, campaign: str = "spring"):
    return event_of(f"Email {word}", who, at, campaign_id=campaign, message_id=f"m-{who.value}")


def ask(served: Served, body: dict, path: str = "", status: int = 200):
    answer = served.client.post(
        f"/v1/goals/query{path}",
        json=body,
        headers={"Authorization": f"Bearer {served.keys['read']}"},
    )
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def reached(served: Served) -> Served:
    ann, bob, cy, dan = (user(item) for item in ("ann", "bob", "cy", "dan"))
    served.record(
        mail("Delivered", ann, 0),
        event_of("bought", ann, DAY, total=5),
        mail("Clicked", bob, 0),
        event_of("bought", bob, DAY + 1, total=50),
        mail("Sent", cy, 0),
        event_of("bought", cy, MINUTE, total=5),
        mail("Delivered", dan, 0, "autumn"),
        event_of("bought", dan, -1, total=5),
    )
    served.project()
    return served


def counts(found) -> tuple[int, int]:
    return found["exposed"], found["converted"]


BOUGHT = {"event": "bought"}


@pytest.mark.parametrize(
    ("exposure", "within", "expected"),
    [
        ({"step": "delivered", "campaign": "spring"}, "1d", (2, 1)),
        ({"step": "delivered", "campaign": "spring"}, "2d", (2, 2)),
        ({"step": "sent", "campaign": "spring"}, "1d", (3, 2)),
        ({"step": "clicked"}, "2d", (1, 1)),
        ({"step": "delivered", "channel": "E-Mail"}, "2d", (3, 2)),
        ({"step": "delivered", "campaign": "autumn"}, "30d", (1, 0)),
        ({"event": {"matching": "Email*"}}, "1d", (4, 2)),
    ],
)
def test_conversion_within_the_window_after_a_message(reached, exposure, within, expected) -> None:
    found = ask(reached, {"exposure": exposure, "goal": BOUGHT, "within": within})
    assert counts(found) == expected
    assert found["conversion"] == expected[1] / expected[0]


def test_the_goal_may_have_conditions_and_the_median_time_is_returned(reached) -> None:
    goal = BOUGHT | {"where": [{"path": "properties.total", "op": "gt", "value": 10}]}
    body = {"exposure": {"step": "delivered"}, "goal": goal, "within": "7d"}
    found = ask(reached, body)
    assert counts(found) == (3, 1)
    assert found["seconds_p50"] == DAY + 1
    [one] = ask(reached, body | {"step": 2}, "/profiles")["profiles"]
    assert one["identifiers"][0]["value"] == "bob"
    lost = ask(reached, body | {"step": 1, "lost": True, "limit": 1}, "/profiles")
    rest = ask(reached, body | {"step": 1, "lost": True, "cursor": lost["next"]}, "/profiles")
    both = [*lost["profiles"], *rest["profiles"]]
    assert sorted(item["identifiers"][0]["value"] for item in both) == ["ann", "dan"]
    assert rest["next"] is None


def test_from_and_to_bind_the_exposure_alone(reached) -> None:
    body = {"exposure": {"step": "delivered"}, "goal": BOUGHT, "within": "7d"}
    at_noon = {"from": "2026-01-01T12:00:00Z", "to": "2026-01-01T12:00:01Z"}
    assert counts(ask(reached, body | at_noon)) == (3, 2)
    assert counts(ask(reached, body | {"to": "2026-01-01T12:00:00Z"})) == (0, 0)
    event = body | {"exposure": {"event": "Email Delivered"}}
    assert counts(ask(reached, event | at_noon)) == (2, 1)


def test_a_purchase_under_another_identifier_counts_after_the_link(reached) -> None:
    reached.record(event_of("bought", anonymous("x"), MINUTE))
    reached.project()
    body = {"exposure": {"step": "delivered"}, "goal": BOUGHT, "within": "1h"}
    assert counts(ask(reached, body)) == (3, 0)
    reached.record(merged(user("ann"), anonymous("x")))
    reached.project()
    assert counts(ask(reached, body)) == (3, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"exposure": 7},
        {"exposure": {"step": "eaten"}},
        {"exposure": {"step": "sent", "colour": "red"}},
        {"goal": {}},
        {"within": "soon"},
        {"from": "yesterday"},
        {"step": 3},
    ],
)
def test_an_invalid_goal_is_refused(served, wrong) -> None:
    body = {"exposure": {"step": "sent"}, "goal": BOUGHT, "within": "1d"} | wrong
    ask(served, body, "/profiles" if "step" in wrong else "", status=400)
