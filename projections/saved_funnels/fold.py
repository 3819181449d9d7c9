"""Applies definitions and archivals of saved funnels."""

from __future__ import annotations

from sqlalchemy import Connection, text

from domain.events.events import FunnelArchived, FunnelDefined
from projections.runtime.batch import Batch
from projections.saved_funnels.tables import funnel

_DEFINE = text(f"""
INSERT INTO {funnel} AS known
VALUES (:workspace, :funnel, :name, :description, :document, :version, false, :at, :position,
    :actor, :reason)
ON CONFLICT (workspace, id) DO UPDATE SET
    name = excluded.name, description = excluded.description, document = excluded.document,
    version = excluded.version, archived = false, decided_at = excluded.decided_at,
    position = excluded.position, actor = excluded.actor, reason = excluded.reason
""")

_ARCHIVE = text(f"""
UPDATE {funnel} SET archived = true, version = :version, decided_at = :at, position = :position,
    actor = :actor, reason = :reason
WHERE workspace = :workspace AND id = :funnel
""")


def apply(tx: Connection, batch: Batch) -> None:
    """Applies the batch's decisions about funnels one by one: they are few."""
    for recorded in batch.records:
        event = recorded.event
        if not isinstance(event, FunnelDefined | FunnelArchived):
            continue
        params = {
            "workspace": batch.workspace,
            "funnel": event.funnel,
            "version": recorded.version,
            "at": recorded.recorded_at,
            "position": recorded.position,
            "actor": event.actor,
            "reason": event.reason,
        }
        if isinstance(event, FunnelArchived):
            tx.execute(_ARCHIVE, params)
        else:
            params |= {
                "name": event.name,
                "description": event.description,
                "document": event.document,
            }
            tx.execute(_DEFINE, params)
