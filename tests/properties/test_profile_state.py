"""A profile's state is a join: order, repeats and grouping do not matter."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.events.message import Message
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState
from tests.unit.given_profile import at, message, state_of

STREAMS = tuple(UUID(int=n) for n in (1, 2, 3))

keys = st.sampled_from(["plan", "email", "tags", "address"])
values = st.sampled_from([None, "a", "b", 7, ["vip"], ["vip", "new"], {"city": "Rome"}])
tokens = st.sampled_from(["t-1", "t-2"])
devices = st.fixed_dictionaries(
    {"token": tokens}, optional={"type": st.sampled_from(["ios", "web"])}
)
kinds = st.sampled_from(
    (
        "identify",
        "group",
        "Viewed",
        "Tag Added",
        "Tag Removed",
        "Device Created or Updated",
        "Device Deleted",
        "Relationship Deleted",
    )
)


@st.composite
def calls(draw: st.DrawFn) -> Message:
    kind = draw(kinds)
    document = {
        "groupId": draw(st.sampled_from(["g-1", "g-2"])),
        "traits": draw(st.dictionaries(keys, values, max_size=3)),
        "properties": {
            "tag": draw(st.sampled_from(["vip", "new"])),
            "device": draw(devices),
            "objectId": draw(st.sampled_from(["g-1", "g-2"])),
        },
        "context": {"active": draw(st.booleans()), "device": draw(devices)},
    }
    minute = draw(st.integers(0, 3))
    if kind in ("identify", "group"):
        return message(kind, minute, **document)
    return message("track", minute, kind, **document)


histories = st.lists(calls(), max_size=12)


def facts(state: ProfileState) -> ProfileState:
    """The state without counts, which are sums over distinct messages."""
    copy = profile_state.decode(profile_state.encode(state))
    copy.counts = {}
    return copy


@given(histories, st.randoms())
def test_events_in_any_order_and_repetition_give_the_same_state(history, random):
    shuffled = random.sample(history, len(history))
    expected = state_of(history)
    assert state_of(shuffled) == expected
    assert profile_state.encode(state_of(shuffled)) == profile_state.encode(expected)
    repeated = history + random.choices(history, k=len(history)) if history else []
    random.shuffle(repeated)
    assert facts(state_of(repeated)) == facts(expected)


@given(histories, st.lists(st.sampled_from(STREAMS), min_size=12, max_size=12), st.randoms())
def test_streams_merged_in_any_grouping_equal_a_single_stream(history, owners, random):
    states = {
        stream: state_of(
            [call for call, owner in zip(history, owners, strict=False) if owner == stream]
        )
        for stream in random.sample(STREAMS, len(STREAMS))
    }
    first, second, third = STREAMS
    all_at_once = profile_state.merge(states, ResolvedProfile(first, (), STREAMS, {}))
    two = profile_state.merge(states, ResolvedProfile(first, (), (second, first), {}))
    step_by_step = profile_state.merge(
        {first: two, third: states[third]}, ResolvedProfile(first, (), STREAMS, {})
    )
    assert all_at_once == step_by_step
    expected = state_of(history)
    assert all_at_once == expected


@given(histories, histories, st.integers(0, 3), st.randoms())
def test_demotion_does_not_depend_on_order(primary, secondary, minute, random):
    first, second, _ = STREAMS
    profile = ResolvedProfile(first, (), (first, second), {second: at(minute)})
    merged = profile_state.merge({first: state_of(primary), second: state_of(secondary)}, profile)
    random.shuffle(primary)
    random.shuffle(secondary)
    again = profile_state.merge({second: state_of(secondary), first: state_of(primary)}, profile)
    assert profile_state.encode(merged) == profile_state.encode(again)
