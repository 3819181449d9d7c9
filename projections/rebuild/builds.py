"""Who builds a read model aside: asked for by whom it may concern, worked on by one worker at a time."""

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
"""How long a worker that is not heard of keeps a build from the others."""


class BuildWithdrawn(FoldlineError):
    """The build was cancelled, or another worker has it; what this one did was rolled back."""

    code = "build_withdrawn"


class BuildLease(NamedTuple):
    """The right to work on a build, until another worker has a later one."""

    projection: Projection
    kind: BuildKind
    fence: int


class BuildLag(NamedTuple):
    """Where the tables aside stand in a workspace, and those that answer."""

    workspace: int
    built: int
    live: int


_REQUEST = text(f"""
INSERT INTO {build} AS known (name, version, kind, state) VALUES (:name, :version, :kind, 'asked')
ON CONFLICT (name, version) DO UPDATE SET kind = :kind, state = 'asked',
    begun = known.begun AND NOT :anew, asked_at = clock_timestamp(),
    leased_until = NULL, run_at = NULL, finished_at = NULL, failure = NULL, result = NULL
WHERE known.state NOT IN ('asked', 'running')
""")

_ACQUIRE = text(f"""
UPDATE {build} AS mine SET state = 'running', fence = fence + 1, run_at = clock_timestamp(),
    leased_until = clock_timestamp() + interval '{LEASE_INTERVAL}',
    run_from = CASE WHEN begun THEN (SELECT coalesce(sum(position), 0) FROM {build_position} AS at
        WHERE at.name = mine.name AND at.version = mine.version) ELSE 0 END
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
    """Let no tables aside come, go or be switched by others until commit; erasures wait."""
    tx.execute(select(func.pg_advisory_xact_lock(checkpoint.SCHEMA_LOCK)))


def request(
    tx: Connection, projection: Projection, kind: BuildKind, *, restart: bool = False
) -> None:
    """Ask for a build.  One that was stopped goes on, unless ``anew``; one under way is left alone.

    Raises Conflict if the one under way is of the other kind.
    """
    asked = _key(projection) | {"kind": kind, "anew": restart}
    if tx.execute(_REQUEST, asked).rowcount:
        return
    under_way = tx.execute(
        text(f"SELECT kind FROM {build} WHERE {_IS_BUILD}"), _key(projection)
    ).scalar()
    if under_way != kind:
        raise Conflict(
            f"a {under_way} of {projection.name} is under way; wait for it, or cancel it first",
            projection=projection.name,
            under_way=under_way,
        )


def acquire(tx: Connection, projection: Projection) -> BuildLease | None:
    """Claim the read model's build, if there is one to do and nobody is at it."""
    taken = tx.execute(_ACQUIRE, _key(projection)).one_or_none()
    return None if taken is None else BuildLease(projection, taken.kind, taken.fence)


def renew(tx: Connection, lease: BuildLease) -> None:
    """Keep the claim for another lease, and others from its row until commit.  Raises Withdrawn."""
    _change(tx, lease, f"leased_until = clock_timestamp() + interval '{LEASE_INTERVAL}'")


def begin(tx: Connection, lease: BuildLease) -> bool:
    """Say whether there is nothing aside to go on with; if so, the caller makes it.  Raises Withdrawn."""
    renew(tx, lease)
    of = _key(lease.projection)
    if tx.execute(text(f"SELECT begun FROM {build} WHERE {_IS_BUILD}"), of).scalar_one():
        return False
    tx.execute(text(f"DELETE FROM {build_position} WHERE {_IS_BUILD}"), of)
    _change(tx, lease, "begun = true, run_from = 0")
    return True


def advance(tx: Connection, lease: BuildLease, workspace: int, *, after: int, to: int) -> None:
    """Move the build from where the caller read it.  Raises Withdrawn if it is not there any more."""
    at = _key(lease.projection) | {"workspace": workspace}
    if after == 0:
        tx.execute(_INITIALISE, at)
    _require_lease(tx.execute(_ADVANCE, at | {"after": after, "to": to}), lease)


def release(tx: Connection, lease: BuildLease) -> None:
    """Let another worker go on at once, unless one has done so already."""
    mine = text(f"UPDATE {build} SET leased_until = NULL WHERE {_IS_LEASED}")
    tx.execute(mine, _fenced(lease))


def finish(tx: Connection, lease: BuildLease, result: Mapping[str, Any] | None = None) -> None:
    """Say that all is done and nothing is left aside.  Raises Withdrawn."""
    _change(
        tx,
        lease,
        "state = 'done', begun = false, finished_at = clock_timestamp(), result = CAST(:result AS jsonb)",
        result=None if result is None else msgspec.json.encode(result).decode(),
    )


def fail(tx: Connection, lease: BuildLease, failure: str) -> None:
    """Say why it cannot go on; asked for again, it tries.  Raises Withdrawn."""
    _change(
        tx,
        lease,
        "state = 'failed', finished_at = clock_timestamp(), failure = :failure",
        failure=failure,
    )


def cancel(tx: Connection, projection: Projection) -> bool:
    """Stop a build, whoever works on it; say whether there was one.  What is aside stays."""
    stopped = text(f"""
        UPDATE {build} SET state = 'cancelled', finished_at = clock_timestamp(), leased_until = NULL
        WHERE {_IS_BUILD} AND state IN ('asked', 'running')
    """)
    return tx.execute(stopped, _key(projection)).rowcount == 1


def discard(tx: Connection, projection: Projection) -> None:
    """Drop what a build that does not run has left aside, to begin anew if it is asked for again."""
    block_erasures(tx)
    left = text(
        f"UPDATE {build} SET begun = false WHERE {_IS_BUILD} AND state NOT IN ('asked', 'running')"
    )
    if tx.execute(left, _key(projection)).rowcount:
        shadow_schema.drop(tx, shadow_schema.next_schema(projection.schema))


def reset_workspace(tx: Connection, workspace: int) -> None:
    """Empty everything aside of a workspace in which a person is erased: what is being built begins again.

    The caller keeps projectors and switches out.
    """
    for schema in shadow_schema.shadow_schemas(tx):
        shadow_schema.delete_workspace(tx, schema, workspace)
    of = {"workspace": workspace}
    tx.execute(text(f"UPDATE {build_position} SET position = 0 WHERE workspace = :workspace"), of)
    # An error may quote what it failed at.
    tx.execute(text(f"UPDATE {build} SET failure = NULL WHERE failure IS NOT NULL"))


def lag_by_workspace(tx: Connection, projection: Projection) -> list[BuildLag]:
    """Return where the build stands in each workspace in which the read model stands."""
    return [BuildLag(*row) for row in tx.execute(_LAG, _key(projection))]


def events_left(lags: Sequence[BuildLag]) -> int:
    """Return how many events are left to be built."""
    return sum(max(0, it.live - it.built) for it in lags)


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
            f"the build of {lease.projection} was cancelled, or another worker has it",
            projection=str(lease.projection),
        )
