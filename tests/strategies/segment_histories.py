"""Histories by the minute, of several identifiers that may be one profile."""

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
from tests.segment_history import IDENTIFIERS, LISTS, Decision, HistoryEntry, at
from tests.strategies.conditions import (
    properties,
    scalars,
)

identifiers = st.sampled_from(IDENTIFIERS)


@st.composite
def messages(draw: st.DrawFn, minute: int) -> Message | Decision:
    kind = draw(
        st.sampled_from(
            ["track"] * 5 + ["identify", "identify", "tag", "alias", "merge", "unmerge", "list"]
        )
    )
    identifier, occurred_at = draw(identifiers), at(draw(st.integers(0, minute)))
    if kind == "merge":
        policy = draw(st.sampled_from(["latest", "primary"]))
        return merged(identifier, draw(identifiers), occurred_at=occurred_at, policy=policy)
    if kind == "unmerge":
        others = draw(st.lists(identifiers, max_size=3))
        return unmerged(identifier, *others, occurred_at=occurred_at)
    if kind == "alias":
        previous = draw(identifiers)
        kinds = (previous, Identifier("anonymous_id", previous.value))
        absorbs = () if previous == identifier else kinds
        return tracked("alias", identifier, kind="alias", absorbs=absorbs, occurred_at=occurred_at)
    if kind == "list":
        event = ManualListChanged(
            id=UUID(int=0),
            segment=draw(st.sampled_from(LISTS)),
            listed=draw(st.booleans()),
            occurred_at=occurred_at,
        )
        return Decision(event, stream_of(identifier))
    shown = draw(st.lists(identifiers, min_size=1, max_size=2))
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
        message = tracked("identify", *shown, kind="identify", occurred_at=occurred_at)
        return msgspec.structs.replace(message, payload=msgspec.json.encode(document))
    if kind == "tag":
        name = draw(st.sampled_from(["Tag Added", "Tag Removed"]))
        tag = {"tag": draw(st.sampled_from(["vip", "new"]))}
        return tracked(name, *shown, properties=tag, occurred_at=occurred_at)
    name = draw(st.sampled_from(["a", "b", "c"]))
    return tracked(name, *shown, properties=draw(properties), occurred_at=occurred_at)


@st.composite
def histories(draw: st.DrawFn) -> list[HistoryEntry]:
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=1, max_size=9)))
    return [HistoryEntry(minute, draw(messages(minute))) for minute in minutes]


@st.composite
def matching_histories(draw: st.DrawFn) -> list[HistoryEntry]:
    """Histories whose events mostly match the conditions."""
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=5, max_size=9)))
    names = st.sampled_from(["a", "b"])

    def matching_event(minute: int) -> Message | Decision:
        occurred_at = at(draw(st.integers(0, minute)))
        shown = draw(st.lists(st.sampled_from(IDENTIFIERS[:2]), min_size=1, max_size=2))
        return tracked(draw(names), *shown, properties=draw(properties), occurred_at=occurred_at)

    usually = st.sampled_from([True, True, True, False])
    return [
        HistoryEntry(minute, matching_event(minute) if draw(usually) else draw(messages(minute)))
        for minute in minutes
    ]


@st.composite
def linked_histories(draw: st.DrawFn) -> list[HistoryEntry]:
    """Histories in which most events link two identifiers, many of them late."""
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=5, max_size=9)))

    def linking_event(minute: int) -> Message:
        shown = draw(st.lists(identifiers, min_size=2, max_size=2, unique=True))
        occurred_at = at(draw(st.integers(0, minute)))
        return tracked(draw(st.sampled_from("ab")), *shown, occurred_at=occurred_at)

    usually = st.sampled_from([True, True, True, False])
    return [
        HistoryEntry(minute, linking_event(minute) if draw(usually) else draw(messages(minute)))
        for minute in minutes
    ]


numbers = st.sampled_from([-3, -1, 0, 1, 1, 2, 2.5, 0.1]) | st.sampled_from(
    [-1, 0, 1, 2, 3, 0.12345, 10**12]
)
odd_properties = st.fixed_dictionaries(
    {}, optional={"n": numbers | st.sampled_from(["x", "1", True, None, [1], {"n": 1}])}
)


@st.composite
def irregular_histories(draw: st.DrawFn) -> list[HistoryEntry]:
    """Histories with all kinds of numbers, and with future-dated events."""
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=5, max_size=9)))

    def irregular_event(minute: int) -> Message | Decision:
        is_future = draw(st.integers(0, 9)) == 0
        minutes = st.integers(minute, minute + 3) if is_future else st.integers(0, minute)
        occurred_at = at(draw(minutes))
        shown = draw(st.lists(st.sampled_from(IDENTIFIERS[:2]), min_size=1, max_size=2))
        return tracked("a", *shown, properties=draw(odd_properties), occurred_at=occurred_at)

    usually = st.sampled_from([True, True, True, False])
    return [
        HistoryEntry(minute, irregular_event(minute) if draw(usually) else draw(messages(minute)))
        for minute in minutes
    ]
