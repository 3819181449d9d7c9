"""How far messages came, from the events that tell of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import event

from domain.core.errors import InvalidRequest
from projections.channel_funnels import fold, sql
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user


def channel_event(name: str, *who, at: float = 0, **properties):
    moment = NOON + timedelta(seconds=at)
    return tracked(name, *(who or (user(),)), occurred_at=moment, properties=properties)


def spring(name: str, message: str, *who, at: float = 0, **more):
    document = {"campaign_id": "spring", "channel": "email", "message_id": message}
    return channel_event(name, *who, at=at, **(document | more))


def messages(funnel) -> list[int]:
    return [it["messages"] for it in funnel["steps"]]


def profiles(funnel) -> list[int]:
    return [it["profiles"] for it in funnel["steps"]]


def only(given, **params):
    [funnel] = given.ask("/channel-funnels", **params)["channel_funnels"]
    return funnel


def test_a_step_counts_what_took_it_or_a_later_one(given) -> None:
    given.messages(
        spring("message_sent", "1", at=0),
        spring("message_delivered", "1", at=10),
        spring("link_clicked", "1", at=30),
        spring("message_sent", "2"),
        spring("message_delivered", "2", at=20),
        spring("message_sent", "3", user("u-2")),
        spring("message_failed", "3", user("u-2")),
    )
    found = only(given, campaign="spring")
    assert messages(found) == [3, 2, 1, 1]
    assert profiles(found) == [2, 1, 1, 1]
    assert [it["conversion"] for it in found["steps"]] == [1, 2 / 3, 1 / 3, 1 / 3]
    assert [it["from_previous"] for it in found["steps"]] == [1, 2 / 3, 1 / 2, 1]
    assert [it["seconds_p50"] for it in found["steps"]] == [None, 15, None, 20]
    assert [it["seconds_p90"] for it in found["steps"]] == [None, 19, None, 20]
    assert found["outcomes"] == [{"outcome": "failed", "messages": 1, "profiles": 1}]


def test_the_earliest_time_counts_whatever_comes_first(given) -> None:
    given.messages(spring("message_read", "1", at=50), spring("message_read", "1", at=40))
    given.messages(spring("message_sent", "1", at=5), spring("message_delivered", "1", at=10))
    given.messages(spring("message_read", "1", at=30))
    assert [it["seconds_p50"] for it in only(given)["steps"]] == [None, 5, 20, None]


def test_keeping_the_time_that_arrived_last_is_caught(given, monkeypatch) -> None:
    monkeypatch.setattr(
        fold.MessageProgress, "add", lambda self, _, times: self.times.update(times)
    )
    with pytest.raises(AssertionError):
        test_the_earliest_time_counts_whatever_comes_first(given)


def test_groups_by_campaign_channel_template_and_day(given) -> None:
    day = 86_400
    given.messages(
        spring("message_sent", "1", template_id="t-1"),
        spring("message_sent", "2", at=day, channel="SMS"),
        channel_event("Email Sent", at=day, delivery_id="3"),
    )
    found = given.ask("/channel-funnels", by=["day,campaign", "channel"])["channel_funnels"]
    assert [(it["campaign"], it["channel"], it["day"]) for it in found] == [
        (None, "email", "2026-01-02"),
        ("spring", "email", "2026-01-01"),
        ("spring", "sms", "2026-01-02"),
    ]
    assert all(messages(it) == [1, 0, 0, 0] for it in found)
    by_template = given.ask("/channel-funnels", by=["template"])["channel_funnels"]
    assert [(it["template"], messages(it)[0]) for it in by_template] == [("t-1", 1), (None, 2)]
    assert messages(only(given, channel="sms"))[0] == 1
    assert messages(only(given, template="t-1"))[0] == 1
    assert messages(only(given, **{"from": "2026-01-02"}))[0] == 2
    assert messages(only(given, to="2026-01-01T20:00", tz="Asia/Tokyo"))[0] == 0
    assert messages(only(given, campaign=""))[0] == 1
    first = given.ask("/channel-funnels", by=["channel"], limit=1)
    rest = given.ask("/channel-funnels", by=["channel"], limit=1, cursor=first["next"])
    assert [it["channel"] for it in (*first["channel_funnels"], *rest["channel_funnels"])] == [
        "email",
        "sms",
    ]
    assert rest["next"] is None


@pytest.mark.parametrize("few", [0, sql.MAX_MERGED_READ])
def test_profiles_are_counted_through_merges_and_unmerges(given, monkeypatch, few) -> None:
    monkeypatch.setattr(sql, "MAX_MERGED_READ", few)
    one, other = user("u-1"), user("u-2")
    given.messages(spring("message_sent", "1", one), spring("message_sent", "2", other))
    assert profiles(only(given))[0] == 2
    given.messages(merged(one, other))
    assert (messages(only(given))[0], profiles(only(given))[0]) == (2, 1)
    given.messages(unmerged(other, one, occurred_at=NOON + timedelta(days=1)))
    assert profiles(only(given))[0] == 2


def test_a_click_under_another_name_belongs_to_the_message_once_that_is_known(given) -> None:
    one, visitor = user("u-1"), anonymous("a-1")
    given.messages(spring("message_sent", "1", one), spring("link_clicked", "1", visitor, at=9))
    assert messages(only(given)) == [1, 0, 0, 1]
    given.messages(tracked("seen", one, visitor))
    found = only(given)
    assert messages(found) == profiles(found) == [1, 1, 1, 1]
    assert found["steps"][3]["seconds_p50"] == 9


def test_an_id_that_many_profiles_share_is_a_message_of_each(given) -> None:
    users = [user(f"u-{n}") for n in range(5)]
    given.messages(*(spring("message_sent", "same", it) for it in users))
    given.messages(spring("message_delivered", "same", users[3]))
    assert messages(only(given)) == profiles(only(given)) == [5, 1, 0, 0]


def test_what_names_no_message_implies_no_sending_of_one(given) -> None:
    given.messages(
        spring("message_sent", "1"),
        channel_event(
            "link_clicked", at=60, campaign_id="spring", channel="email", url="https://x.example"
        ),
    )
    found = only(given)
    assert messages(found) == [1, 0, 0, 1]
    assert profiles(found) == [1, 1, 1, 1]


def test_a_click_on_a_website_is_about_no_message(given) -> None:
    given.messages(channel_event("link_clicked", url="https://x.example"))
    assert messages(only(given)) == [0, 0, 0, 0]


def test_the_profiles_behind_each_step_and_each_loss(given) -> None:
    given.messages(
        *(spring("message_sent", f"m-{n}", user(f"u-{n}")) for n in range(5)),
        *(spring("message_delivered", f"m-{n}", user(f"u-{n}")) for n in range(3)),
        spring("message_read", "m-0", user("u-0")),
        spring("message_unsubscribed", "m-4", user("u-4")),
    )

    def who(**params) -> set[str]:
        found, cursor = set(), None
        while True:
            page = given.ask("/channel-funnels/profiles", limit=2, cursor=cursor, **params)
            found |= {name["value"] for it in page["profiles"] for name in it["identifiers"]}
            cursor = page["next"]
            if cursor is None:
                return found

    assert who(step="sent") == {f"u-{n}" for n in range(5)}
    assert who(step="delivered") == {"u-0", "u-1", "u-2"}
    assert who(step="delivered", lost=True) == {"u-1", "u-2"}
    assert who(step="sent", lost=True) == {"u-3", "u-4"}
    assert who(step="unsubscribed") == {"u-4"}
    assert who(step="delivered", campaign="autumn") == set()


@pytest.mark.parametrize(
    "params", [{"step": "clicked", "lost": True}, {"step": "failed", "lost": True}]
)
def test_no_profile_is_lost_after_the_last_step(given, params) -> None:
    with pytest.raises(InvalidRequest):
        given.ask("/channel-funnels/profiles", **params)


def test_an_invalid_query_names_its_mistake(given) -> None:
    with pytest.raises(InvalidRequest, match="cannot group messages by"):
        given.ask("/channel-funnels", by=["colour"])
    with pytest.raises(ValidationError):
        given.ask("/channel-funnels/profiles", step="eaten")


def test_profiles_are_not_scanned_for_each_message_of_a_new_workspace(given) -> None:
    plans: list[str] = []

    @event.listens_for(given.engine, "after_cursor_execute")
    def explain(tx, _cursor, statement, params, _context, _many) -> None:
        if "WITH merged_users" in statement and not statement.startswith("EXPLAIN"):
            plans.append("\n".join(tx.exec_driver_sql(f"EXPLAIN {statement}", params).scalars()))

    given.messages(spring("message_sent", "1"), spring("link_clicked", "2", anonymous("a")))
    given.ask("/channel-funnels", campaign="spring")
    given.ask("/channel-funnels/profiles", campaign="spring", step="sent")
    assert [("Join" in it, "Nested Loop" in it) for it in plans] == [(True, False)] * 2
