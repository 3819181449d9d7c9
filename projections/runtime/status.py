"""Status of the read models: position, lag and failure in each workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from projections.runtime import checkpoint
from projections.runtime.projection import Projection


@dataclass(frozen=True, kw_only=True)
class ProjectionStatus:
    """Status of one read model in one workspace."""

    workspace: int
    name: str
    version: int
    head: int
    position: int = 0
    recorded_at: datetime | None = None
    """When the last event that the read model has applied was recorded."""

    updated_at: datetime | None = None
    """When the read model last advanced; None if it has no checkpoint in the workspace."""

    failure: str | None = None
    """Error of the next batch, if applying it failed."""

    failed_at: datetime | None = None

    @property
    def lag(self) -> int:
        """Number of events that the read model has not applied yet."""
        return max(0, self.head - self.position)


def read_status(
    engine: Engine, heads: Mapping[int, int], projections: Sequence[Projection]
) -> list[ProjectionStatus]:
    """Returns the status of each read model in each workspace, by the heads of their ledgers."""
    with engine.connect() as tx:
        rows = checkpoint.read_all(tx)
    stored = {(row["workspace"], row["name"], row["version"]): row for row in rows}
    statuses = []
    for workspace, head in sorted(heads.items()):
        for model in projections:
            key = {"workspace": workspace, "name": model.name, "version": model.version}
            row = stored.get((workspace, model.name, model.version), key)
            statuses.append(ProjectionStatus(**row, head=head))
    return statuses
