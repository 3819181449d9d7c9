"""Progress of builds: events applied, events a second, seconds left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from projections.runtime.build_tables import BuildKind, BuildState, build, build_position
from projections.runtime.checkpoint import checkpoint


@dataclass(frozen=True, kw_only=True)
class BuildProgress:
    """Progress of the last build of a read model."""

    name: str
    version: int
    kind: BuildKind
    state: BuildState
    events: int
    """Events applied so far, in all workspaces together."""

    total: int
    """Events that the live tables have applied."""

    events_per_second: float
    """Since the current worker started; 0 while none is running."""

    asked_at: datetime
    finished_at: datetime | None
    failure: str | None
    result: Mapping[str, Any] | None
    """Result of a verification: whether the tables are equal, and which differ."""

    held: bool
    """Whether a worker has a lease."""

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end; None if there is no rate yet."""
        left = max(0, self.total - self.events)
        return left / self.events_per_second if self.events_per_second else None

    @property
    def unfinished(self) -> bool:
        """Whether the build is requested or running."""
        return self.state in ("asked", "running")


_BUILDS = text(f"""
SELECT name, version, kind, state, CASE WHEN begun OR state = 'done' THEN events ELSE 0 END AS events,
    total, CASE WHEN state IN ('running', 'done') AND run_at IS NOT NULL
        THEN greatest(0, events - run_from)
            / greatest(0.001, extract(epoch FROM coalesce(finished_at, clock_timestamp()) - run_at))
        ELSE 0 END::float AS events_per_second,
    asked_at, finished_at, failure, result,
    coalesce(state = 'running' AND leased_until > clock_timestamp(), false) AS held
FROM {build} AS build, LATERAL (
    SELECT (SELECT coalesce(sum(position), 0)::bigint FROM {build_position} AS built
            WHERE built.name = build.name AND built.version = build.version) AS events,
        (SELECT coalesce(sum(position), 0)::bigint FROM {checkpoint} AS live
            WHERE live.name = build.name AND live.version = build.version) AS total
) AS figures ORDER BY name, version
""")


def load_builds(tx: Connection) -> list[BuildProgress]:
    """Returns the last build of each read model that ever had one."""
    return [BuildProgress(**row) for row in tx.execute(_BUILDS).mappings()]
