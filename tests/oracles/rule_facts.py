"""Parts of the oracle of rules: one run, and what it reads from events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.events import payload
from domain.events.events import (
    MessageEvent,
)
from domain.events.recorded import RecordedEvent
from tests.oracles import values
from tests.oracles.membership import history_of, profiles_by_stream


@dataclass
class Run:
    """One run of the rule; times are in microseconds."""

    cause: str
    stream: UUID
    started: tuple[int, int]
    document: dict[str, Any]
    outcome: str = "waiting"
    reason: str = ""
    due: int | None = None
    entered_at: int | None = None
    fired_at: int | None = None


def profiles_in(records: Sequence[RecordedEvent]) -> set[UUID]:
    """Returns the ids of the profiles that have events."""
    profiles = {profile.id: profile for profile in profiles_by_stream(records).values()}
    return {id_ for id_, profile in profiles.items() if history_of(records, profile) is not None}


def previous_profiles(
    before: Sequence[RecordedEvent], after: Sequence[RecordedEvent], profile_id: UUID
) -> set[UUID]:
    """Returns the profiles with events that owned a profile's streams before."""
    owners = profiles_by_stream(before)
    streams = {
        stream for stream, profile in profiles_by_stream(after).items() if profile.id == profile_id
    }
    return {owners[stream].id for stream in streams & owners.keys()} & profiles_in(before)


def resolve_fields(audience: Any, document: dict[str, Any]) -> Any:
    """Returns the audience with the value of its `$field`; False if there is no value."""
    if audience and isinstance(audience.get("value"), dict) and "$field" in audience["value"]:
        matches = list(values.walk(document, audience["value"]["$field"].split(".")))
        if not matches or matches[0] is None:
            return False
        return audience | {"value": matches[0]}
    return audience


def trigger_document(event: MessageEvent) -> dict[str, Any]:
    parsed = payload.parse(event)
    return {"name": parsed.name, "properties": parsed.properties}


def compares(comparison: dict[str, Any], document: dict[str, Any]) -> bool:
    matches = values.walk(document, comparison["path"].replace("[]", ".[]").split("."))
    return values.compares(list(matches), comparison["op"], comparison.get("value"), 0)
