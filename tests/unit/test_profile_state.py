"""State of a profile: how messages change it, and how streams merge."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

import msgspec
import pytest

from domain.core.identifiers import Identifier
from domain.core.lww_register import MAX_ENTRIES, PRIORITY_KEYS
from domain.core.tags import TAGS_TRAIT
from domain.events.message import Message
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState
from tests.builders import anonymous, user
from tests.unit.given_profile import at, identified, message, state_of

FIRST, SECOND = UUID(int=1), UUID(int=2)


def attributes(state: ProfileState) -> dict[str, bytes]:
    return {key: bytes(value) for key, value in profile_view.attributes(state).items()}


def merge_streams(
    first: list[Message], second: list[Message], demoted_at: int | None = None
) -> ProfileState:
    demoted = {} if demoted_at is None else {SECOND: at(demoted_at)}
    profile = ResolvedProfile(FIRST, (user(), user("u-2")), (FIRST, SECOND), demoted)
    return profile_state.merge({FIRST: state_of(first), SECOND: state_of(second)}, profile)


def test_the_latest_value_of_an_attribute_counts_in_any_order_of_arrival():
    state = state_of([identified(2, plan="pro"), identified(1, plan="free", city="Rome")])
    assert attributes(state) == {"city": b'"Rome"', "plan": b'"pro"'}


def test_null_unsets_an_attribute_even_if_an_older_value_arrives_later():
    assert attributes(state_of([identified(2, plan=None), identified(1, plan="pro")])) == {}


def test_a_nested_value_is_replaced_as_a_whole():
    state = state_of([identified(1, address={"city": "Rome"}), identified(2, address={"zip": "1"})])
    assert attributes(state) == {"address": b'{"zip":"1"}'}


def test_numbers_keep_their_digits():
    payload = b'{"traits": {"score": 10.50, "big": 9007199254740993}}'
    call = msgspec.structs.replace(identified(), payload=payload)
    assert attributes(state_of([call])) == {"score": b"10.50", "big": b'"9007199254740993"'}


def test_first_and_last_seen_are_those_of_activity():
    inactive = message("track", 9, "Opened", context={"active": False})
    command = message("merge", 20, source="foldline")
    state = state_of(
        [message("track", 5, "Viewed"), inactive, command, message("track", 3, "Viewed")]
    )
    assert (state.first_seen, state.last_seen) == (at(3), at(5))
    assert state.counts == {"Viewed": 2, "Opened": 1}


def test_an_identify_sets_all_tags_and_a_tag_event_changes_one():
    state = state_of(
        [
            identified(2, tags=["vip", "new"]),
            message("track", 3, "Tag Removed", properties={"tag": "new"}),
            message("track", 4, "Tag Added", properties={"tags": ["old", " "]}),
            message("track", 1, "Tag Added", properties={"tag": "early"}),
        ]
    )
    assert profile_view.tags(state) == ["old", "vip"]
    assert attributes(state) == {}
    assert profile_view.tags(state_of([identified(5, tags=None)], state)) == []


def test_contacts_come_from_traits_and_devices():
    device = {"token": "t-1", "type": "ios"}
    state = state_of(
        [
            identified(1, email="ada@example.com", phone=491234, facebook="ada"),
            identified(2, facebookId=None),
            message("track", 3, "Opened", context={"device": device}),
        ]
    )
    assert [tuple(contact) for contact in profile_view.contacts(state)] == [
        ("email", "ada@example.com", at(1)),
        ("phone", "491234", at(1)),
        ("push", "t-1", at(3)),
    ]


def test_a_device_is_present_from_its_first_mention_until_it_is_deleted():
    updated = message(
        "track",
        1,
        "Device Created or Updated",
        properties={"device": {"token": "t", "type": "ios"}},
    )
    seen = message("track", 4, "Opened", context={"device": {"token": "t", "model": "X"}})
    deleted = message("track", 3, "Device Deleted", context={"device": {"token": "t"}})
    assert profile_view.devices(state_of([updated, deleted])) == []
    (device,) = profile_view.devices(state_of([deleted, seen, updated]))
    assert (device.type, device.last_used, list(device.attributes)) == (None, at(4), ["model"])
    (device,) = profile_view.devices(state_of([seen, updated]))
    assert (device.type, device.last_used, list(device.attributes)) == ("ios", at(4), ["model"])


@pytest.mark.parametrize("removal", ["Relationship Deleted", "Object Deleted"])
def test_a_profile_is_in_a_group_until_the_relationship_or_the_group_is_deleted(removal):
    traits = {"name": "Acme", "objectTypeId": 2, "relationshipAttributes": {"role": "owner"}}
    call = message("group", 1, groupId="g-1", traits=traits)
    (group,) = profile_view.groups(state_of([call]))
    assert (group.object_type_id, group.id) == ("2", "g-1")
    assert {key: bytes(value) for key, value in group.traits.items()} == {"name": b'"Acme"'}
    assert {key: bytes(value) for key, value in group.relationship.items()} == {"role": b'"owner"'}
    removed = message("track", 2, removal, properties={"objectId": "g-1", "objectTypeId": "2"})
    assert profile_view.groups(state_of([removed, call])) == []
    other = message("track", 2, removal, properties={"objectId": "g-1"})
    assert len(profile_view.groups(state_of([other, call]))) == 1


def test_a_group_without_a_type_is_of_type_one():
    (group,) = profile_view.groups(state_of([message("group", groupId=7)]))
    assert (group.object_type_id, group.id) == ("1", "7")


@pytest.mark.parametrize(
    ("traits", "name"),
    [
        ({"name": " Ada "}, "Ada"),
        ({"firstName": "Ada", "last_name": "Lovelace"}, "Ada Lovelace"),
        ({"name": "", "firstName": "Ada"}, "Ada"),
        ({"name": {"first": "Ada"}}, None),
    ],
)
def test_a_name_is_one_trait_or_two(traits, name):
    assert profile_view.display_name(state_of([identified(**traits)])) == name


def test_a_profile_is_the_join_of_its_streams():
    state = merge_streams(
        [identified(1, plan="pro"), message("track", 9, "Viewed")],
        [identified(2, anonymous(), plan="free", city="Rome"), message("track", 0, "Viewed")],
    )
    assert attributes(state) == {"plan": b'"free"', "city": b'"Rome"'}
    assert state.counts == {"identify": 2, "Viewed": 2}
    assert (state.first_seen, state.last_seen) == (at(0), at(9))
    assert state.identifiers == (user(), user("u-2"), anonymous())


def test_values_of_a_demoted_stream_before_the_merge_only_fill_gaps():
    primary = [identified(1, plan="pro", gone="x"), identified(2, gone=None)]
    secondary = [identified(3, plan="free", city="Rome", gone="y"), identified(6, late="z")]
    assert attributes(merge_streams(primary, secondary, demoted_at=5)) == {
        "plan": b'"pro"',
        "city": b'"Rome"',
        "gone": b'"y"',
        "late": b'"z"',
    }


def test_values_of_a_demoted_stream_after_the_merge_count_like_any_other():
    state = merge_streams([identified(1, plan="pro")], [identified(6, plan="free")], demoted_at=5)
    assert attributes(state) == {"plan": b'"free"'}


def test_an_attribute_unset_after_the_merge_is_no_gap():
    state = merge_streams([identified(6, plan=None)], [identified(3, plan="free")], demoted_at=5)
    assert attributes(state) == {}


def test_a_state_survives_encoding():
    state = merge_streams(
        [identified(1, plan={"a": [1, None]}), message("group", 1, groupId="g")],
        [message("track", 3, "Opened", context={"device": {"token": "t"}})],
    )
    assert profile_state.decode(profile_state.encode(state)) == state


def test_a_profile_keeps_a_limited_number_of_attributes_in_any_order():
    calls = [
        identified(1, **{f"a{n:05}": n for n in chunk}) for chunk in (range(700), range(700, 1400))
    ]
    state = state_of(calls)
    assert state == state_of(reversed(calls))
    assert len(state.attributes) == MAX_ENTRIES
    assert profile_view.truncated_parts(state) == ["attributes"]
    assert profile_view.truncated_parts(state_of(calls[:1])) == []


@pytest.mark.parametrize("trait", sorted(PRIORITY_KEYS))
def test_traits_with_a_special_meaning_are_not_crowded_out(trait):
    others = [identified(1, **{f"A{n:05}": n for n in range(MAX_ENTRIES)})]
    special = identified(0, **{trait: ["vip"] if trait == "tags" else "Ada"})
    one_stream = state_of([special, *others])
    assert one_stream == state_of([*others, special])
    for state in (one_stream, merge_streams([special], others)):
        assert len(state.attributes) == MAX_ENTRIES
        shown = (
            profile_view.display_name(state),
            profile_view.contacts(state),
            profile_view.tags(state),
        )
        assert any(shown)


def test_all_traits_with_a_special_meaning_have_priority():
    contact_traits = {trait for traits in profile_view.CONTACT_TRAITS.values() for trait in traits}
    assert {
        *contact_traits,
        TAGS_TRAIT,
        "name",
        *profile_view._FIRST_NAME,
        *profile_view._LAST_NAME,
    } == PRIORITY_KEYS


@pytest.mark.parametrize(
    "document",
    [
        {"traits": ["x"], "context": {"device": "x"}},
        {"groupId": {"a": 1}, "traits": {"objectTypeId": [], "relationshipAttributes": 7}},
        {"properties": {"device": {"token": None}, "tag": 7, "tags": "x", "objectId": True}},
        {"context": {"device": {"token": ["x"]}}},
        {"context": {"device": {"token": "\ud800", "x": "\0"}, "active": "no"}},
    ],
)
@pytest.mark.parametrize(
    ("kind", "name"),
    [("identify", ""), ("group", "")]
    + [
        ("track", name)
        for name in ("Tag Added", "Device Created or Updated", "Device Deleted", "Object Deleted")
    ],
)
def test_an_odd_message_never_fails(kind, name, document):
    state = state_of([message(kind, 1, name, **document)])
    assert sum(state.counts.values()) == 1
    profile_view.contacts(state), profile_view.groups(state), profile_view.tags(state)


def test_the_identifier_of_a_stream_is_that_of_its_messages():
    assert state_of([message("track", name="Viewed", identifiers=[anonymous()])]).identifiers == (
        Identifier("anonymous_id", "a-1"),
    )


def test_a_changed_fold_has_a_changed_format():
    """Snapshots are retaken only if STATE_FORMAT is raised: raise it, then update the digest."""
    calls = [
        identified(1, user(), anonymous(), email="ada@example.com", tags=["vip"], n=1.50),
        identified(0, user(), email="old@example.com", city="Bern"),
        identified(2, user(), city=None),
        message("track", 3, "Tag Added", identifiers=[user()], properties={"tag": "new"}),
        message(
            "track", 3, identifiers=[user()], context={"device": {"token": "t", "type": "ios"}}
        ),
        message("group", 4, identifiers=[user()], groupId="g-1", traits={"name": "Acme"}),
        message("page", 5, "page_view", identifiers=[user()], context={"active": False}),
    ]
    state = state_of(
        msgspec.structs.replace(call, message_id=f"{number}") for number, call in enumerate(calls)
    )
    digest = sha256(profile_state.encode(state)).hexdigest()[:16]
    assert (profile_state.STATE_FORMAT, digest) == (2, "86206fb979f91b91")
