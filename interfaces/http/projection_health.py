"""How far the read models are behind the ledger, and whether they still move."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from interfaces.service import Service

Movement = Literal["idle", "moving", "stalled"]

STALLED_SECONDS = 15.0
"""How long a read model may stand still behind the head before it is taken for stuck."""


class ProjectionHealth(NamedTuple):
    """One read model in one workspace."""

    workspace: int
    name: str
    version: int
    position: int
    head: int
    lag: int
    """Events that it has yet to take."""

    movement: Movement
    updated_at: datetime | None
    """When it last took events; None if it never did."""

    failure: str | None
    """Why it could not take the next events when it last tried."""


class ProjectionMonitor:
    """Tells a read model that is busy from one that is stuck.

    Lag alone cannot: it is large while a healthy one catches up, and small when one stopped on a quiet
    day.  So the watch remembers since when each has been behind at the same position.
    """

    def __init__(self, service: Service, now: Callable[[], float] = time.monotonic) -> None:
        self._service, self._now = service, now
        self._behind_since: dict[tuple[int, str, int], tuple[int, float]] = {}

    def health(self, workspace: int | None = None) -> list[ProjectionHealth]:
        """Return each read model's progress, in one workspace or in all."""
        projector = self._service.projector
        known = {(it.workspace, it.name, it.version): it for it in projector.status()}
        found = []
        for each, head in self._service.ledger.heads().items():
            if workspace not in (None, each):
                continue
            for projection in projector.projections:
                model = (each, projection.name, projection.version)
                at = known.get(model)
                position = at.position if at else 0
                lag = max(0, head - position)
                found.append(
                    ProjectionHealth(
                        workspace=each,
                        name=projection.name,
                        version=projection.version,
                        position=position,
                        head=head,
                        lag=lag,
                        movement=self.classify_movement(model, position, lag),
                        updated_at=at.updated_at if at and position else None,
                        failure=at.failure if at else None,
                    )
                )
        return found

    def classify_movement(self, model: tuple[int, str, int], position: int, lag: int) -> Movement:
        """Say whether a read model moves, from where it is and where it was at the looks before."""
        if not lag:
            self._behind_since.pop(model, None)
            return "idle"
        known, since = self._behind_since.get(model, (-1, 0.0))
        if known != position:
            self._behind_since[model] = position, self._now()
            return "moving"
        return "stalled" if self._now() - since >= STALLED_SECONDS else "moving"
