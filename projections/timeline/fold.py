"""Applies a batch of messages to the timeline."""

from __future__ import annotations

from sqlalchemy import Connection

from projections.kit.copying import copy_rows
from projections.runtime.batch import Batch
from projections.timeline.derived_events.maintain import derive_events
from projections.timeline.rows import message_row
from projections.timeline.tables import timeline


def apply(tx: Connection, batch: Batch) -> None:
    """Copies a row for each message into the timeline, and updates the derived events."""
    workspace = batch.workspace
    copy_rows(tx, timeline, (message_row(workspace, message) for message in batch.messages()))
    derive_events(tx, batch)
