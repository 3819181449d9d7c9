"""Progress of the read models: position, lag, and whether they are stalled."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from interfaces.service import Service

Movement = Literal["idle", "moving", "stalled"]

STALLED_SECONDS = 15.0
"""A read model behind the head without progress for this long is stalled."""


class ProjectionHealth(NamedTuple):
    """Progress of one read model in one workspace."""

    workspace: int
    name: str
    version: int
    position: int
    head: int
    lag: int
    """Events not yet applied."""

    movement: Movement
    updated_at: datetime | None
    """When events were last applied; None if never."""

    failure: str | None
    """Why applying the next events failed at the last try; None if it did not."""


class ProjectionMonitor:
    """Distinguishes read models that are catching up from stalled ones.

    Lag alone cannot: it is large while a healthy read model catches up, and small when one stopped on a
    quiet day.  So the monitor remembers since when each has been behind at the same position.
    """

    def __init__(self, service: Service, now: Callable[[], float] = time.monotonic) -> None:
        self._service, self._now = service, now
        self._behind_since: dict[tuple[int, str, int], tuple[int, float]] = {}

    def health(self, workspace: int | None = None) -> list[ProjectionHealth]:
        """Return each read model's progress in one workspace, or in all if None."""
        projector = self._service.projector
        statuses = {(row.workspace, row.name, row.version): row for row in projector.status()}
        health = []
        for ledger_workspace, head in self._service.ledger.heads().items():
            if workspace not in (None, ledger_workspace):
                continue
            for projection in projector.projections:
                model = (ledger_workspace, projection.name, projection.version)
                status = statuses.get(model)
                position = status.position if status else 0
                lag = max(0, head - position)
                health.append(
                    ProjectionHealth(
                        workspace=ledger_workspace,
                        name=projection.name,
                        version=projection.version,
                        position=position,
                        head=head,
                        lag=lag,
                        movement=self.classify_movement(model, position, lag),
                        updated_at=status.updated_at if status and position else None,
                        failure=status.failure if status else None,
                    )
                )
        return health

    def classify_movement(self, model: tuple[int, str, int], position: int, lag: int) -> Movement:
        """Compare a read model's position with that of earlier calls, and remember it.

        ``model`` is (workspace, name, version); ``lag`` is in events.
        """
        if not lag:
            self._behind_since.pop(model, None)
            return "idle"
        last_position, since = self._behind_since.get(model, (-1, 0.0))
        if last_position != position:
            self._behind_since[model] = position, self._now()
            return "moving"
        return "stalled" if self._now() - since >= STALLED_SECONDS else "moving"
