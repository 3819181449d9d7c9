from __future__ import annotations

from datetime import timedelta

import pytest

from domain.core.errors import InvalidRequest, NotFound
from tests.builders import NOON, anonymous, merged, tracked, user
from tests.integration.projections.history import stream_of, with_payload


def visited(minutes: float, *who, session="s-1", name="Viewed", context=None, **document):
    """A message in a session, so many minutes after noon."""
    message = tracked(
        name,
        *who,
        occurred_at=NOON + timedelta(minutes=minutes),
        received_at=NOON + timedelta(days=1),
        kind="page" if name == "page_view" else "track",
    )
    payload = {"properties": document, "context": {"sessionId": session, **(context or {})}}
    return with_payload(message, payload)


def one(given, session="s-1", **params):
    return given.ask("/sessions/{id}", id=session, **params)


def ids(given, path="/sessions", **params):
    return [it["id"] for it in given.ask(path, **params)["sessions"]]


def test_a_session_runs_from_its_first_to_its_last_event(given):
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"
    campaign = {"name": "spring", "source": "newsletter", "medium": "email", "content": "top"}
    given.messages(
        visited(31.5, name="Bought", channel="web"),
        visited(0, name="page_view", context={"userAgent": firefox, "campaign": campaign}),
        visited(5, name="page_view"),
    )
    assert one(given) == {
        "id": "s-1",
        "profile_id": str(stream_of(user())),
        "channel": "web",
        "source": "newsletter",
        "device": "desktop",
        "started_at": "2026-01-01T12:00:00.000000Z",
        "ended_at": "2026-01-01T12:31:30.000000Z",
        "length_seconds": 1890,
        "utm_source": "newsletter",
        "utm_medium": "email",
        "utm_campaign": "spring",
        "utm_term": None,
        "utm_content": "top",
        "events": 3,
        "pages": 2,
        "projected_to": 3,
    }


def test_a_session_that_names_no_source_is_direct(given):
    given.messages(visited(0))
    assert (one(given)["source"], one(given)["utm_source"]) == ("direct", "direct")
    assert one(given)["utm_medium"] is None


@pytest.mark.parametrize(
    "document",
    [
        {"utm_source": "ads", "utm_medium": "cpc"},
        {"url": "https://example.com/?utm_source=ads&utm_medium=cpc"},
        {"context": {"page": {"search": "?x=1&utm_source=ads&utm_medium=cpc"}}},
        {"context": {"campaign": {"source": "ads", "medium": "cpc"}}},
    ],
)
def test_the_campaign_is_found_wherever_it_was_put(given, document):
    given.messages(visited(0, **document))
    session = one(given)
    assert (session["source"], session["utm_medium"]) == ("ads", "cpc")


def test_the_earliest_value_holds_in_any_order_of_arrival(given):
    given.messages(
        visited(9, channel="mobile", utm_source="later"),
        visited(1, channel="web", device_type="TV"),
        visited(2, utm_source="first", utm_term="shoes", device_type="tablet"),
    )
    session = one(given)
    assert (session["channel"], session["device"]) == ("web", "TV")
    assert (session["source"], session["utm_term"]) == ("first", "shoes")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("01/01/2026 11:30:00", "01/01/2026 12:30:00"),
        ("2026-01-01T11:30:00Z", "2026-01-01T13:30:00+01:00"),
        (1767267000, 1767270600000),
    ],
)
def test_a_session_event_may_name_start_and_end(given, start, end):
    given.messages(visited(1, session=None, name="Session Started", id="s-1", start=start))
    given.messages(visited(2), visited(3, name="session_ended", end_time=end))
    session = one(given)
    assert session["started_at"] == "2026-01-01T11:30:00.000000Z"
    assert session["ended_at"] == "2026-01-01T12:30:00.000000Z"
    assert (session["length_seconds"], session["events"]) == (3600, 3)


@pytest.mark.parametrize(
    "start", ["soon", "31/31/2026 00:00:00", True, None, [], {}, 1e400, -1e18, "1970-01-01", "\0"]
)
def test_a_start_that_no_clock_can_mean_is_passed_over(given, start):
    given.messages(visited(1, name="session_started", start=start))
    assert one(given)["started_at"] == "2026-01-01T12:01:00.000000Z"


def test_a_session_event_says_where_the_visit_came_from(given):
    given.messages(visited(0, name="session_started", source="google", device_type="mobile"))
    assert (one(given)["source"], one(given)["device"]) == ("google", "mobile")


def test_sessions_are_listed_by_their_start_the_last_first_in_pages(given):
    given.messages(*(visited(i, session=f"s-{i}") for i in range(5)))
    page = given.ask("/sessions", limit=2)
    assert [it["id"] for it in page["sessions"]] == ["s-4", "s-3"]
    page = given.ask("/sessions", limit=2, cursor=page["next"])
    assert [it["id"] for it in page["sessions"]] == ["s-2", "s-1"]
    page = given.ask("/sessions", limit=2, cursor=page["next"])
    assert ([it["id"] for it in page["sessions"]], page["next"]) == (["s-0"], None)


def test_sessions_are_found_by_profile_and_by_their_start(given):
    given.messages(
        visited(0, session="early"), visited(60, session="late"), visited(1, user("u-2"))
    )
    assert ids(given, profile="user_id:u-1") == ["late", "early"]
    assert ids(given, "/profiles/{ref}/sessions", ref="user_id:u-2") == ["s-1"]
    assert ids(given, profile="user_id:unknown") == []
    assert ids(given, **{"from": "2026-01-01T12:00", "to": "2026-01-01T12:01:00Z"}) == ["early"]


def test_a_visit_that_began_anonymously_is_one_session_of_the_profile(given):
    given.messages(
        visited(0, anonymous(), name="page_view", utm_source="ads"),
        visited(1, session="other"),
        visited(2, user(), anonymous()),
        visited(3, user(), utm_source="later"),
    )
    session = one(given)
    assert session["profile_id"] == str(stream_of(user()))
    assert (session["events"], session["pages"], session["source"]) == (3, 1, "ads")
    assert session["length_seconds"] == 180
    for path, filters in (
        ("/sessions", {}),
        ("/sessions", {"profile": "anonymous_id:a-1"}),
        ("/profiles/{ref}/sessions", {"ref": "user_id:u-1"}),
    ):
        assert ids(given, path, **filters) == ["other", "s-1"]
        page = given.ask(path, limit=1, **filters)
        assert ids(given, path, limit=1, cursor=page["next"], **filters) == ["s-1"]


def test_one_id_of_two_profiles_is_two_sessions_until_they_merge(given):
    given.messages(visited(0, user("u-1")), visited(1, user("u-2")))
    assert ids(given) == ["s-1", "s-1"]
    assert one(given, profile="user_id:u-2")["events"] == 1
    with pytest.raises(InvalidRequest, match="2 profiles"):
        one(given)
    given.messages(merged(user("u-1"), user("u-2")))
    assert ids(given) == ["s-1"]
    assert one(given)["events"] == 2


def test_an_unknown_session_is_not_found(given):
    given.messages(visited(0), tracked("Deployed", identifiers=(), properties={"session_id": "x"}))
    for session, profile in (("s-2", None), ("x", None), ("s-1", "user_id:u-2")):
        with pytest.raises(NotFound):
            one(given, session, profile=profile)


def test_what_names_no_profile_is_refused(given):
    with pytest.raises(InvalidRequest):
        given.ask("/sessions", profile="ada")
