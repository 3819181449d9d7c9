"""Builds of read models: requested by operators, leased to one worker at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, CursorResult, func, select, text

from domain.core.errors import Conflict, FoldlineError
from projections.rebuild import shadow_schema
from projections.runtime import checkpoint
from projections.runtime.build_tables import BuildKind, build, build_position
from projections.runtime.projection import Projection

LEASE_INTERVAL = "15 seconds"
"""How long a worker that does not renew its lease blocks the build for others."""


class BuildWithdrawn(FoldlineError):
    """The build was cancelled or its lease was taken over; the transaction was rolled back."""

    code = "build_withdrawn"


class BuildLease(NamedTuple):
    """The right to work on a build, until another worker has a lease with a higher fence."""

    projection: Projection
    kind: BuildKind
    fence: int


class BuildLag(NamedTuple):
    """Positions of the shadow tables and of the live tables in a workspace."""

    workspace: int
    built: int
    live: int


_REQUEST = text(f"""
INSERT INTO {build} AS stored (name, version, kind, state) VALUES (:name, :version, :kind, 'asked')
ON CONFLICT (name, version) DO UPDATE SET kind = :kind, state = 'asked',
    begun = stored.begun AND NOT :restart, asked_at = clock_timestamp(),
    leased_until = NULL, run_at = NULL, finished_at = NULL, failure = NULL, result = NULL
WHERE stored.state NOT IN ('asked', 'running')
""")

_ACQUIRE = text(f"""
UPDATE {build} AS leased SET state = 'running', fence = fence + 1, run_at = clock_timestamp(),
    leased_until = clock_timestamp() + interval '{LEASE_INTERVAL}',
    run_from = CASE WHEN begun THEN (SELECT coalesce(sum(position), 0) FROM {build_position} AS built
        WHERE built.name = leased.name AND built.version = leased.version) ELSE 0 END
WHERE name = :name AND version = :version AND state IN ('asked', 'running')
    AND (leased_until IS NULL OR leased_until < clock_timestamp())
RETURNING kind, fence
""")

_IS_BUILD = "name = :name AND version = :version"
_IS_LEASED = f"{_IS_BUILD} AND fence = :fence AND state = 'running'"

_INITIALISE = text(f"""
INSERT INTO {build_position} VALUES (:name, :version, :workspace, 0) ON CONFLICT DO NOTHING
""")

_ADVANCE = text(f"""
UPDATE {build_position} SET position = :to
WHERE name = :name AND version = :version AND workspace = :workspace AND position = :after
""")

_LAG = text(f"""
SELECT live.workspace, coalesce(built.position, 0) AS built, live.position AS live
FROM {checkpoint.checkpoint} AS live
LEFT JOIN {build_position} AS built USING (name, version, workspace)
WHERE name = :name AND version = :version ORDER BY live.workspace
""")


def block_erasures(tx: Connection) -> None:
    """Blocks erasures, and changes of shadow schemas by other workers, until commit."""
    tx.execute(select(func.pg_advisory_xact_lock(checkpoint.SCHEMA_LOCK)))


def request(
    tx: Connection, projection: Projection, kind: BuildKind, *, restart: bool = False
) -> None:
    """Requests a build: a stopped one is resumed unless ``restart``, a running one continues.

    Raises Conflict if the running build is of the other kind.
    """
    params = _key(projection) | {"kind": kind, "restart": restart}
    if tx.execute(_REQUEST, params).rowcount:
        return
    running = tx.execute(
        text(f"SELECT kind FROM {build} WHERE {_IS_BUILD}"), _key(projection)
    ).scalar()
    if running != kind:
        raise Conflict(
            f"a {running} of {projection.name} is running; wait for it, or cancel it first",
            projection=projection.name,
            under_way=running,
        )


def acquire(tx: Connection, projection: Projection) -> BuildLease | None:
    """Leases the read model's build, if there is one to do and no other worker has a lease."""
    row = tx.execute(_ACQUIRE, _key(projection)).one_or_none()
    return None if row is None else BuildLease(projection, row.kind, row.fence)


def renew(tx: Connection, lease: BuildLease) -> None:
    """Extends the lease, and locks the build until commit.  Raises BuildWithdrawn."""
    _change(tx, lease, f"leased_until = clock_timestamp() + interval '{LEASE_INTERVAL}'")


def begin(tx: Connection, lease: BuildLease) -> bool:
    """Returns whether the caller must create the shadow tables: there are none to resume from.

    Raises BuildWithdrawn.
    """
    renew(tx, lease)
    params = _key(lease.projection)
    if tx.execute(text(f"SELECT begun FROM {build} WHERE {_IS_BUILD}"), params).scalar_one():
        return False
    tx.execute(text(f"DELETE FROM {build_position} WHERE {_IS_BUILD}"), params)
    _change(tx, lease, "begun = true, run_from = 0")
    return True


def advance(tx: Connection, lease: BuildLease, workspace: int, *, after: int, to: int) -> None:
    """Advances the build from the position ``after``.  Raises BuildWithdrawn if it is elsewhere."""
    params = _key(lease.projection) | {"workspace": workspace}
    if after == 0:
        tx.execute(_INITIALISE, params)
    _require_lease(tx.execute(_ADVANCE, params | {"after": after, "to": to}), lease)


def release(tx: Connection, lease: BuildLease) -> None:
    """Ends the lease, so that another worker can continue at once."""
    statement = text(f"UPDATE {build} SET leased_until = NULL WHERE {_IS_LEASED}")
    tx.execute(statement, _fenced(lease))


def finish(tx: Connection, lease: BuildLease, result: Mapping[str, Any] | None = None) -> None:
    """Marks the build as done, without shadow tables left.  Raises BuildWithdrawn."""
    _change(
        tx,
        lease,
        "state = 'done', begun = false, finished_at = clock_timestamp(), result = CAST(:result AS jsonb)",
        result=None if result is None else msgspec.json.encode(result).decode(),
    )


def fail(tx: Connection, lease: BuildLease, failure: str) -> None:
    """Marks the build as failed; a new request tries again.  Raises BuildWithdrawn."""
    _change(
        tx,
        lease,
        "state = 'failed', finished_at = clock_timestamp(), failure = :failure",
        failure=failure,
    )


def cancel(tx: Connection, projection: Projection) -> bool:
    """Cancels a build; returns whether one was requested or running.  The shadow tables stay."""
    stopped = text(f"""
        UPDATE {build} SET state = 'cancelled', finished_at = clock_timestamp(), leased_until = NULL
        WHERE {_IS_BUILD} AND state IN ('asked', 'running')
    """)
    return tx.execute(stopped, _key(projection)).rowcount == 1


def discard(tx: Connection, projection: Projection) -> None:
    """Drops the shadow tables of a build that is not running; a new request starts over."""
    block_erasures(tx)
    left = text(
        f"UPDATE {build} SET begun = false WHERE {_IS_BUILD} AND state NOT IN ('asked', 'running')"
    )
    if tx.execute(left, _key(projection)).rowcount:
        shadow_schema.drop(tx, shadow_schema.next_schema(projection.schema))


def reset_workspace(tx: Connection, workspace: int) -> None:
    """Empties the workspace's shadow tables for an erasure; builds in it start over.

    The caller blocks projectors and switches.
    """
    for schema in shadow_schema.shadow_schemas(tx):
        shadow_schema.delete_workspace(tx, schema, workspace)
    params = {"workspace": workspace}
    tx.execute(
        text(f"UPDATE {build_position} SET position = 0 WHERE workspace = :workspace"), params
    )
    # An error may quote the data it failed at.
    tx.execute(text(f"UPDATE {build} SET failure = NULL WHERE failure IS NOT NULL"))


def lag_by_workspace(tx: Connection, projection: Projection) -> list[BuildLag]:
    """Returns the positions of the build and of the live tables in each workspace."""
    return [BuildLag(*row) for row in tx.execute(_LAG, _key(projection))]


def events_left(lags: Sequence[BuildLag]) -> int:
    """Returns the number of events left to apply."""
    return sum(max(0, lag.live - lag.built) for lag in lags)


def _key(projection: Projection) -> dict[str, Any]:
    return {"name": projection.name, "version": projection.version}


def _fenced(lease: BuildLease) -> dict[str, Any]:
    return _key(lease.projection) | {"fence": lease.fence}


def _change(tx: Connection, lease: BuildLease, change: str, **values: Any) -> None:
    changed = tx.execute(
        text(f"UPDATE {build} SET {change} WHERE {_IS_LEASED}"), _fenced(lease) | values
    )
    _require_lease(changed, lease)


def _require_lease(changed: CursorResult[Any], lease: BuildLease) -> None:
    if changed.rowcount != 1:
        raise BuildWithdrawn(
            f"the build of {lease.projection} was cancelled or its lease was taken over",
            projection=str(lease.projection),
        )
