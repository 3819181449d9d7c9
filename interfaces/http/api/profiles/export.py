"""NDJSON export of all ledger data of a profile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from msgspec import Raw

from application.ledger.ledger import Ledger
from domain.core.time import format_utc
from domain.events import payload
from domain.events.events import (
    AttributesChanged,
    Event,
    IdentifiersLinked,
    ManualListChanged,
    MessageEvent,
    ProfileErased,
    ProfilesMerged,
    ProfilesUnmerged,
    ProfileSuppressed,
    ProfileSuppressionLifted,
)
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import TriggerFired
from domain.profiles import state as profile_state
from domain.profiles.as_of import ProfileAsOf
from domain.profiles.state import ProfileState
from interfaces.http.kit.event_json import (
    cause_fields,
    data_fields,
    encode_json,
    position_fields,
    received_fields,
)
from projections.kit import shown_profile

BATCH_EVENTS = 200
"""Events held in memory at a time."""

_LINE_TYPES: dict[type[Event], str] = {
    IdentifiersLinked: "link",
    ProfilesMerged: "merge",
    ProfilesUnmerged: "unmerge",
    ManualListChanged: "listing",
    ProfileErased: "erasure",
    ProfileSuppressed: "suppression",
    ProfileSuppressionLifted: "suppression_lifted",
    TriggerFired: "trigger",
}
"""Line types; all other events are lines of type ``event``, or ``erased`` after erasure."""


def export_lines(ledger: Ledger, workspace: int, profile: ProfileAsOf) -> Iterator[bytes]:
    """Yield lines in chunks: the profile, its events in ledger order, and an end line.

    After an identify follow the attributes that it changed, derived from its stream alone.  The end line
    holds the number of lines before it, so that a truncated export is detectable.
    """
    count = 1
    yield _encode_line("profile", shown_profile.profile_json(profile.profile, profile.state))
    states: dict[UUID, ProfileState] = {}
    after, until = 0, profile.point.position
    while page := ledger.stream_events(
        workspace, profile.profile.streams, after=after, until=until, limit=BATCH_EVENTS
    ):
        lines = [line for recorded in page for line in _event_lines(recorded, states)]
        yield b"".join(lines)
        count += len(lines)
        after = page[-1].position
    yield _encode_line("end", {"lines": count, "position": until})


def _event_lines(recorded: RecordedEvent, states: dict[UUID, ProfileState]) -> Iterator[bytes]:
    event = recorded.event
    if event is None:
        yield _encode_line("erased", position_fields(recorded))
        return
    fields = {"cause": cause_fields(event), **data_fields(event), **received_fields(event)}
    yield _encode_line(_LINE_TYPES.get(type(event), "event"), position_fields(recorded) | fields)
    if isinstance(event, AttributesChanged):
        state = states.setdefault(recorded.stream, ProfileState())
        for change in _attribute_changes(state, event):
            yield _encode_line("attribute_change", {"position": recorded.position, **change})


def _attribute_changes(state: ProfileState, event: MessageEvent) -> Iterator[dict[str, Any]]:
    previous = dict(state.attributes)
    profile_state.add(state, event, payload.parse(event))
    for name, register in sorted(state.attributes.items()):
        before = previous[name].value if name in previous else b"null"
        if before != register.value:
            yield {
                "event": event.id,
                "occurred_at": format_utc(event.occurred_at),
                "attribute": name,
                "before": Raw(before),
                "after": Raw(register.value),
            }


def _encode_line(line_type: str, payload: dict[str, Any]) -> bytes:
    # A line break within JSON is white space (in strings it is escaped), so a blank replaces it.
    return (
        encode_json({"type": line_type, **payload}).replace(b"\n", b" ").replace(b"\r", b" ")
        + b"\n"
    )
