"""How a batch of messages becomes rows of the timeline."""

from __future__ import annotations

from sqlalchemy import Connection

from domain import repair
from domain.payload import Document
from projections.batch import Batch
from projections.copying import copy, jsonb
from projections.timeline import page_view
from projections.timeline.deriving import derive
from projections.timeline.tables import MESSAGE, timeline


def apply(tx: Connection, batch: Batch) -> None:
    """Copy one row for each message into the timeline, and bring what follows from them up to it."""
    workspace, text = batch.workspace, repair.text
    copy(
        tx,
        timeline,
        (
            (
                workspace,
                recorded.position,
                recorded.stream,
                MESSAGE,
                event.id,
                event.occurred_at,
                event.sent_at,
                event.received_at,
                recorded.recorded_at,
                event.kind,
                document.name,
                event.subject.kind if event.subject is not None else None,
                text(event.message_id),
                text(event.source),
                document.channel,
                document.session_id,
                jsonb(document.properties_json),
                _page_view(event.kind, document),
            )
            for recorded, event, document in batch.messages()
        ),
    )
    derive(tx, batch)


def _page_view(kind: str, document: Document) -> bytes | None:
    derived = page_view.of(kind, document)
    return None if derived is None else jsonb(repair.dump(derived))
