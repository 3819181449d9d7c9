"""All that the ledger holds of a person, one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from msgspec import Raw

from application.ledger.ledger import Ledger
from domain.events import payload
from domain.events.events import (
    AttributesChanged,
    Erased,
    Event,
    IdentifiersLinked,
    Listed,
    Merged,
    MessageEvent,
    Suppressed,
    SuppressionLifted,
    Unmerged,
)
from domain.events.recorded import Recorded
from domain.events.rule_events import TriggerFired
from domain.profiles import state as profile_state
from domain.profiles.as_of import Past
from domain.profiles.state import ProfileState
from interfaces.http.kit.event_json import cause_of, data_of, encode, place_of, received_of
from projections.kit import shown_profile
from projections.kit.instants import shown

AT_ONCE = 200
"""Events that are held in memory at the same time."""

_TYPES: dict[type[Event], str] = {
    IdentifiersLinked: "link",
    Merged: "merge",
    Unmerged: "unmerge",
    Listed: "listing",
    Erased: "erasure",
    Suppressed: "suppression",
    SuppressionLifted: "suppression_lifted",
    TriggerFired: "trigger",
}
"""What lines are called; all other events are of type ``event``, and ``erased`` once they were."""


def export(ledger: Ledger, workspace: int, past: Past) -> Iterator[bytes]:
    """Give out lines, some at a time: the profile, then its events as the ledger took them.

    After an identify come the attributes that it changed, as its stream alone tells them.  The last
    line says how many there were before it, so that an export that broke off shows.
    """
    count = 1
    yield _line("profile", shown_profile.profile(past.person, past.state))
    states: dict[UUID, ProfileState] = {}
    after, until = 0, past.place.position
    while page := ledger.history(
        workspace, past.person.streams, after=after, until=until, limit=AT_ONCE
    ):
        found = [line for one in page for line in _lines(one, states)]
        yield b"".join(found)
        count += len(found)
        after = page[-1].position
    yield _line("end", {"lines": count, "position": until})


def _lines(recorded: Recorded, states: dict[UUID, ProfileState]) -> Iterator[bytes]:
    event = recorded.event
    if event is None:
        yield _line("erased", place_of(recorded))
        return
    said = {"cause": cause_of(event), **data_of(event), **received_of(event)}
    yield _line(_TYPES.get(type(event), "event"), place_of(recorded) | said)
    if isinstance(event, AttributesChanged):
        state = states.setdefault(recorded.stream, ProfileState())
        for change in _changes(state, event):
            yield _line("attribute_change", {"position": recorded.position, **change})


def _changes(state: ProfileState, event: MessageEvent) -> Iterator[dict[str, Any]]:
    known = dict(state.attributes)
    profile_state.add(state, event, payload.read(event))
    for name, register in sorted(state.attributes.items()):
        before = known[name].value if name in known else b"null"
        if before != register.value:
            yield {
                "event": event.id,
                "occurred_at": shown(event.occurred_at),
                "attribute": name,
                "before": Raw(before),
                "after": Raw(register.value),
            }


def _line(kind: str, said: dict[str, Any]) -> bytes:
    # Within JSON a line's end is a blank like any other; in texts it is escaped.
    return encode({"type": kind, **said}).replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
