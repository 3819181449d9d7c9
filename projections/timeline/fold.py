"""How a batch of messages becomes rows of the timeline."""

from __future__ import annotations

from sqlalchemy import Connection

from projections.kit.copying import copy
from projections.runtime.batch import Batch
from projections.timeline.derived_events.maintain import derive
from projections.timeline.rows import of_message
from projections.timeline.tables import timeline


def apply(tx: Connection, batch: Batch) -> None:
    """Copy one row for each message into the timeline, and bring what follows from them up to it."""
    workspace = batch.workspace
    copy(tx, timeline, (of_message(workspace, it) for it in batch.messages()))
    derive(tx, batch)
