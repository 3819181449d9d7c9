"""Histories by the minute, of several names that may be one profile."""

from __future__ import annotations

from uuid import UUID

import msgspec
from hypothesis import strategies as st

from domain.core.identifiers import Identifier
from domain.events.events import (
    ManualListChanged,
)
from domain.events.message import Message
from tests.builders import merged, tracked, unmerged
from tests.integration.projections.history import stream_of
from tests.segment_history import LISTS, NAMES, Decided, Said, at
from tests.strategies.conditions import (
    properties,
    scalars,
)

names = st.sampled_from(NAMES)


@st.composite
def messages(draw: st.DrawFn, minute: int) -> Message | Decided:
    kind = draw(
        st.sampled_from(
            ["track"] * 5 + ["identify", "identify", "tag", "alias", "merge", "unmerge", "list"]
        )
    )
    who, when = draw(names), at(draw(st.integers(0, minute)))
    if kind == "merge":
        policy = draw(st.sampled_from(["latest", "primary"]))
        return merged(who, draw(names), occurred_at=when, policy=policy)
    if kind == "unmerge":
        return unmerged(who, *draw(st.lists(names, max_size=3)), occurred_at=when)
    if kind == "alias":
        before = draw(names)
        either = () if before == who else (before, Identifier("anonymous_id", before.value))
        return tracked("alias", who, kind="alias", absorbs=either, occurred_at=when)
    if kind == "list":
        event = ManualListChanged(
            id=UUID(int=0),
            segment=draw(st.sampled_from(LISTS)),
            listed=draw(st.booleans()),
            occurred_at=when,
        )
        return Decided(event, stream_of(who))
    both = draw(st.lists(names, min_size=1, max_size=2))
    if kind == "identify":
        traits = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "n": scalars,
                    "deep": st.fixed_dictionaries({"n": scalars}),
                    "items": st.lists(st.fixed_dictionaries({"n": scalars}), max_size=2),
                    "tags": st.lists(st.sampled_from(["vip", "new"]), max_size=2),
                },
            )
        )
        document = {"type": "identify", "traits": traits}
        said = tracked("identify", *both, kind="identify", occurred_at=when)
        return msgspec.structs.replace(said, payload=msgspec.json.encode(document))
    if kind == "tag":
        name = draw(st.sampled_from(["Tag Added", "Tag Removed"]))
        tag = {"tag": draw(st.sampled_from(["vip", "new"]))}
        return tracked(name, *both, properties=tag, occurred_at=when)
    name = draw(st.sampled_from(["a", "b", "c"]))
    return tracked(name, *both, properties=draw(properties), occurred_at=when)


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=1, max_size=9)))
    return [Said(minute, draw(messages(minute))) for minute in minutes]


@st.composite
def busy(draw: st.DrawFn) -> list[Said]:
    """A history in which people mostly do what conditions ask for."""
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=5, max_size=9)))
    doing = st.sampled_from(["a", "b"])

    def did(minute: int) -> Message | Decided:
        when = at(draw(st.integers(0, minute)))
        who = draw(st.lists(st.sampled_from(NAMES[:2]), min_size=1, max_size=2))
        return tracked(draw(doing), *who, properties=draw(properties), occurred_at=when)

    more = st.sampled_from([True, True, True, False])
    return [Said(it, did(it) if draw(more) else draw(messages(it))) for it in minutes]


some_numbers = st.sampled_from([-3, -1, 0, 1, 1, 2, 2.5, 0.1]) | st.sampled_from(
    [-1, 0, 1, 2, 3, 0.12345, 10**12]
)
odd_properties = st.fixed_dictionaries(
    {}, optional={"n": some_numbers | st.sampled_from(["x", "1", True, None, [1], {"n": 1}])}
)


@st.composite
def untidy(draw: st.DrawFn) -> list[Said]:
    """A history with numbers of all sorts, and with events whose time is still to come."""
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=5, max_size=9)))

    def did(minute: int) -> Message | Decided:
        rarely = draw(st.integers(0, 9)) == 0
        when = at(draw(st.integers(minute, minute + 3) if rarely else st.integers(0, minute)))
        who = draw(st.lists(st.sampled_from(NAMES[:2]), min_size=1, max_size=2))
        return tracked("a", *who, properties=draw(odd_properties), occurred_at=when)

    more = st.sampled_from([True, True, True, False])
    return [Said(it, did(it) if draw(more) else draw(messages(it))) for it in minutes]
