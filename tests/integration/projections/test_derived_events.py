from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest

from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.integration.projections.history import with_payload

PATH = "/profiles/{ref}/timeline"


def identified(minutes: float, *who, message_id=None, context=None, **traits):
    given_id = {} if message_id is None else {"message_id": message_id}
    at = NOON + timedelta(minutes=minutes)
    message = tracked("identify", *who, kind="identify", occurred_at=at, **given_id)
    return with_payload(message, {"traits": traits, "context": context or {}})


def happened(minutes: float, name: str, **properties):
    return tracked(name, occurred_at=NOON + timedelta(minutes=minutes), properties=properties)


def derived(given, ref="user_id:u-1", **filters):
    """Return what was derived, oldest first, person_created left out."""
    listed = given.ask(PATH, ref=ref, derived=True, limit=500, **filters)["timeline"]
    return [it for it in reversed(listed) if it["name"] != "person_created"]


def derived_events(given, ref="user_id:u-1"):
    return [
        (it["name"], *(it["properties"][side] for side in ("attribute", "before", "after")))
        for it in derived(given, ref)
    ]


def test_a_profile_is_created_by_the_first_message_of_a_stream(given):
    given.messages(happened(5, "Viewed"), happened(2, "Bought"), happened(9, "Viewed"))
    [created] = given.ask(PATH, ref="user_id:u-1", derived=True)["timeline"]
    assert (created["name"], created["kind"]) == ("person_created", "derived")
    assert created["occurred_at"] == "2026-01-01T12:02:00.000000Z"
    assert created["properties"] == {}

    given.messages(happened(1, "Earlier"))
    [earlier] = given.ask(PATH, ref="user_id:u-1", derived=True)["timeline"]
    assert earlier["occurred_at"] == "2026-01-01T12:01:00.000000Z"
    assert earlier["id"] != created["id"]


def test_neither_system_events_nor_decisions_create_a_profile(given):
    given.messages(
        tracked("Deployed", identifiers=()),
        merged(user("u-1"), user("u-2")),
        unmerged(user("u-3"), user("u-1")),
    )
    assert given.names(name="person_created") == []


def test_an_attribute_changes_only_if_its_value_differs(given):
    given.messages(
        identified(1, plan="free", seats=5),
        identified(2, plan="free", seats=5.0),
        identified(3, plan="pro", seats=5),
        identified(4, plan=None),
        identified(5, plan=None),
    )
    assert derived_events(given) == [
        ("attribute_changed", "plan", None, "free"),
        ("attribute_changed", "seats", None, 5),
        ("attribute_changed", "plan", "free", "pro"),
        ("attribute_changed", "plan", "pro", None),
    ]


@pytest.mark.parametrize(
    ("trait", "name"),
    [
        ("firstName", "name_changed"),
        ("last_name", "name_changed"),
        ("name", "name_changed"),
        ("city", "location_changed"),
        ("Postal Code", "location_changed"),
        ("address", "location_changed"),
        ("birthday", "birthday_changed"),
        ("date_of_birth", "birthday_changed"),
        ("plan", "attribute_changed"),
        ("__proto__", "attribute_changed"),
        ("é" * 3_000, "attribute_changed"),
        ("a\0b", "attribute_changed"),
        ("", "attribute_changed"),
    ],
)
def test_standard_traits_have_events_of_their_own(given, trait, name):
    given.messages(identified(1, **{trait: "x"}))
    assert [it["name"] for it in derived(given)] == [name]


@pytest.mark.parametrize(
    ("trait", "kind"), [("email", "email"), ("phone", "phone"), ("facebook_id", "facebook")]
)
def test_a_contact_is_added_changed_and_deleted(given, trait, kind):
    given.messages(*(identified(i, **{trait: it}) for i, it in enumerate(["a", "b", "b", None])))
    assert derived_events(given) == [
        (f"{kind}_added", trait, None, "a"),
        (f"{kind}_changed", trait, "a", "b"),
        (f"{kind}_deleted", trait, "b", None),
    ]


def test_contact_events_tell_of_the_contacts_that_the_profile_has(given):
    given.messages(
        identified(1, email=["a@b"], phone=True, facebook_id=""),
        identified(2, email=" a@b ", phone=491511),
        identified(3, email="a@b", phone="491511"),
        identified(4, email={"a": "b"}),
    )
    assert derived_events(given) == [
        ("email_added", "email", None, "a@b"),
        ("phone_added", "phone", None, "491511"),
        ("email_deleted", "email", "a@b", None),
    ]
    contacts = given.ask("/profiles/{ref}", ref="user_id:u-1")["contacts"]
    assert [(it["kind"], it["value"]) for it in contacts] == [("phone", "491511")]


def test_a_push_token_is_added_changed_and_deleted(given):
    given.messages(
        happened(1, "Device Created or Updated", token="t-1", type="ios", last_used=1),
        happened(2, "Device Created or Updated", token="t-1", type="ios", last_used=2),
        identified(3, context={"device": {"token": "t-2", "type": "android"}}),
        happened(4, "Device Created or Updated", token="t-1", type="iPadOS"),
        happened(5, "Device Deleted", token="t-1"),
    )
    one, other = {"token": "t-1", "type": "ios"}, {"token": "t-1", "type": "iPadOS"}
    assert derived_events(given) == [
        ("push_added", "push", None, one),
        ("push_added", "push", None, {"token": "t-2", "type": "android"}),
        ("push_changed", "push", one, other),
        ("push_deleted", "push", other, None),
    ]


def test_tags_are_added_and_removed_one_by_one(given):
    given.messages(
        identified(1, tags=["a", "b"]),
        happened(2, "Tag Added", tag="c"),
        happened(3, "Tag Added", tags=["a", "d"]),
        happened(4, "Tag Removed", tag="b"),
        identified(5, tags=["d", "e"]),
        identified(6, tags=None),
    )
    assert derived_events(given) == [
        ("tag_added", "tags", None, "a"),
        ("tag_added", "tags", None, "b"),
        ("tag_added", "tags", None, "c"),
        ("tag_added", "tags", None, "d"),
        ("tag_removed", "tags", "b", None),
        ("tag_removed", "tags", "a", None),
        ("tag_removed", "tags", "c", None),
        ("tag_added", "tags", None, "e"),
        ("tag_removed", "tags", "d", None),
        ("tag_removed", "tags", "e", None),
    ]


def test_a_late_word_changes_what_follows_from_the_next(given):
    given.messages(identified(1, plan="free"), identified(5, plan="pro"), identified(9, plan="pro"))
    [_, before] = derived(given)
    given.messages(identified(3, plan="pro"))
    assert derived_events(given) == [
        ("attribute_changed", "plan", None, "free"),
        ("attribute_changed", "plan", "free", "pro"),
    ]
    assert derived(given)[1]["occurred_at"] == "2026-01-01T12:03:00.000000Z"
    given.messages(identified(4, plan="trial"))
    assert derived_events(given)[2:] == [
        ("attribute_changed", "plan", "pro", "trial"),
        ("attribute_changed", "plan", "trial", "pro"),
    ]
    assert derived(given)[3]["id"] == before["id"]


HISTORY = (
    identified(1, message_id="d-1", email="a@x.org", tags=["a"], plan="free"),
    identified(1, message_id="d-2", email="b@x.org", tags=["b"], plan="free"),
    identified(2, message_id="d-3", email=None, plan="pro"),
    happened(3, "Tag Added", tag="c"),
    identified(4, message_id="d-4", email="b@x.org", tags=["c"], plan={"a": [1, 2]}),
)


def test_what_follows_depends_on_the_messages_and_not_on_their_order(given):
    wanted = None
    for workspace, order in enumerate(permutations(HISTORY), 1):
        for message in order:
            given.messages(message, workspace=workspace)
        rows = given.tables(workspace=workspace, without=("position", "recorded_at"))
        found = [rows[it] for it in sorted(rows) if "timeline" in it]
        wanted = wanted or found
        assert found == wanted


def test_a_merge_and_an_unmerge_are_events_of_the_profile(given):
    given.messages(
        happened(0, "Viewed"),
        tracked("alias", user(), kind="alias", absorbs=(anonymous("a-9"),)),
        tracked("alias", user(), kind="alias", absorbs=(user(),)),
        merged(user("u-1"), user("u-2"), policy="primary", occurred_at=NOON + timedelta(hours=1)),
        unmerged(user("u-2"), user("u-1"), occurred_at=NOON + timedelta(hours=2)),
    )
    aliased, joined = derived(given)
    assert (aliased["name"], joined["name"]) == ("person_merged", "person_merged")
    assert aliased["properties"]["absorbed"] == [{"kind": "anonymous_id", "value": "a-9"}]
    assert joined["properties"] == {
        "absorbed": [{"kind": "user_id", "value": "u-2"}],
        "policy": "primary",
        "reason": "a test",
    }
    [parted] = derived(given, "user_id:u-2")
    assert parted["name"] == "person_unmerged"
    assert parted["properties"]["apart_from"] == [{"kind": "user_id", "value": "u-1"}]


def test_a_derived_event_stands_right_after_its_cause_and_shows_it(given):
    given.messages(
        happened(0, "Viewed"),
        identified(1, context={"sessionId": "s-1"}, email="a@x.org", city="Rome", tags=["a", "b"]),
        happened(2, "Viewed"),
    )
    listed = given.ask(PATH, ref="user_id:u-1")["timeline"]
    names = [it["name"] for it in listed]
    following = ["email_added", "location_changed", "tag_added", "tag_added"]
    assert sorted(names[1:5]) == following
    assert names[0:1] + names[5:] == ["Viewed", "identify", "person_created", "Viewed"]
    assert len({it["id"] for it in listed}) == len({it["message_id"] for it in listed}) == 8

    cause = given.ask("/events/{id}", id=listed[5]["id"])
    event = given.ask("/events/{id}", id=listed[1]["id"])
    assert (cause["caused_by"], event["caused_by"]) == (None, cause["id"])
    for same in ("occurred_at", "position", "session", "profile_id", "payload", "source"):
        assert event[same] == cause[same]

    pages, cursor = [], None
    while True:
        page = given.ask(PATH, ref="user_id:u-1", limit=2, cursor=cursor)
        pages += page["timeline"]
        cursor = page["next"]
        if cursor is None:
            break
    assert pages == listed


def test_lists_show_derived_events_when_requested(given):
    given.messages(identified(1, email="a@x.org"))
    assert given.names() == ["identify"]
    assert given.names(name="email_added") == ["email_added"]
    assert given.names(derived=True) == ["email_added", "person_created"]
    assert given.names(derived=False, name="email_added") == []
