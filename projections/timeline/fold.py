"""How a batch of messages becomes rows of the timeline."""

from __future__ import annotations

from sqlalchemy import Connection

from projections.kit.copying import copy_rows
from projections.runtime.batch import Batch
from projections.timeline.derived_events.maintain import derive_events
from projections.timeline.rows import message_row
from projections.timeline.tables import timeline


def apply(tx: Connection, batch: Batch) -> None:
    """Copy one row for each message into the timeline, and bring what follows from them up to it."""
    workspace = batch.workspace
    copy_rows(tx, timeline, (message_row(workspace, it) for it in batch.messages()))
    derive_events(tx, batch)
