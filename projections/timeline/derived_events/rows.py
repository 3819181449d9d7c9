"""Rows of derived events in the timeline, in the order of its columns."""

from __future__ import annotations

from domain.core import sanitise
from projections.kit.copying import jsonb
from projections.runtime.batch import DecodedMessage
from projections.timeline.derived_events.rules import DerivedEvent
from projections.timeline.rows import Row


def derived_row(workspace: int, cause: DecodedMessage, ordinal: int, derived: DerivedEvent) -> Row:
    """Returns the row of a derived event; times, channel and session are those of its cause."""
    recorded, event, document = cause
    return (
        workspace,
        recorded.position,
        recorded.stream,
        ordinal,
        derived.id,
        event.occurred_at,
        event.sent_at,
        event.received_at,
        recorded.recorded_at,
        "derived",
        derived.name,
        event.subject.kind if event.subject is not None else None,
        str(derived.id),
        sanitise.storable_text(event.source),
        document.channel,
        document.session_id,
        jsonb(sanitise.dump_json(derived.properties)),
        None,
    )
