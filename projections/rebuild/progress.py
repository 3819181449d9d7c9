"""How far builds are: events taken, events a second, seconds left."""

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
    """How far the last build of a read model is."""

    name: str
    version: int
    kind: BuildKind
    state: BuildState
    events: int
    """How many have been taken, in all workspaces together."""

    total: int
    """How many the tables that answer have taken."""

    events_per_second: float
    """Since the present worker began; 0 while nothing runs."""

    asked_at: datetime
    finished_at: datetime | None
    failure: str | None
    result: Mapping[str, Any] | None
    """Of a verification: whether the tables are the same, and in which they differ."""

    held: bool
    """Whether a worker is at it."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at this pace; None if that cannot be told."""
        left = max(0, self.total - self.events)
        return left / self.events_per_second if self.events_per_second else None

    @property
    def unfinished(self) -> bool:
        """Whether somebody works on it or is to."""
        return self.state in ("asked", "running")


_BUILDS = text(f"""
SELECT name, version, kind, state, CASE WHEN begun OR state = 'done' THEN events ELSE 0 END AS events,
    total, CASE WHEN state IN ('running', 'done') AND run_at IS NOT NULL
        THEN greatest(0, events - run_from)
            / greatest(0.001, extract(epoch FROM coalesce(finished_at, clock_timestamp()) - run_at))
        ELSE 0 END::float AS events_per_second,
    asked_at, finished_at, failure, result,
    coalesce(state = 'running' AND leased_until > clock_timestamp(), false) AS held
FROM {build} AS it, LATERAL (
    SELECT (SELECT coalesce(sum(position), 0)::bigint FROM {build_position} AS at
            WHERE at.name = it.name AND at.version = it.version) AS events,
        (SELECT coalesce(sum(position), 0)::bigint FROM {checkpoint} AS live
            WHERE live.name = it.name AND live.version = it.version) AS total
) AS figures ORDER BY name, version
""")


def load_builds(tx: Connection) -> list[BuildProgress]:
    """Return the last build of each read model that ever had one."""
    return [BuildProgress(**row) for row in tx.execute(_BUILDS).mappings()]
