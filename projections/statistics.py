"""Tells the planner what is in young tables: by itself it looks at them once a minute.

Without, it takes the first index that begins with the workspace for as good as the key.  At 20,000 people
the states of 30 were found in 11 ms instead of 0.8 (measured), and a rebuild may be over within that minute.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from projections.base import Projection
from projections.batch import Batch

YOUNG = (2_000, 20_000)
"""Positions past which a read model's tables are looked at; later on they grow too slowly to matter."""


def are_due(batch: Batch) -> bool:
    """Say whether a batch passes one of the positions."""
    return any(batch.after < it <= batch.position for it in YOUNG)


def gather(tx: Connection, projection: Projection) -> None:
    """Look at the read model's tables, rows of this transaction included."""
    for table in projection.metadata.sorted_tables:
        tx.execute(text(f"ANALYZE {table}"))
