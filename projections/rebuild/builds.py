"""Who builds a read model aside: asked for by whom it may concern, worked on by one worker at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, CursorResult, func, select, text

from domain.core.errors import Conflict, FoldlineError
from projections.rebuild import shadow_schema
from projections.rebuild.tables import Kind, build, build_position, metadata
from projections.runtime import checkpoint
from projections.runtime.projection import Projection

LEASE = "15 seconds"
"""How long a worker that is not heard of keeps a build from the others."""


class Withdrawn(FoldlineError):
    """The build was cancelled, or another worker has it; what this one did was rolled back."""

    code = "build_withdrawn"


class Claim(NamedTuple):
    """The right to work on a build, until another worker has a later one."""

    projection: Projection
    kind: Kind
    fence: int


class Behind(NamedTuple):
    """Where the tables aside stand in a workspace, and those that answer."""

    workspace: int
    built: int
    live: int


_ASK = text(f"""
INSERT INTO {build} AS known (name, version, kind, state) VALUES (:name, :version, :kind, 'asked')
ON CONFLICT (name, version) DO UPDATE SET kind = :kind, state = 'asked',
    begun = known.begun AND NOT :anew, asked_at = clock_timestamp(),
    leased_until = NULL, run_at = NULL, finished_at = NULL, failure = NULL, result = NULL
WHERE known.state NOT IN ('asked', 'running')
""")

_TAKE = text(f"""
UPDATE {build} AS mine SET state = 'running', fence = fence + 1, run_at = clock_timestamp(),
    leased_until = clock_timestamp() + interval '{LEASE}',
    run_from = CASE WHEN begun THEN (SELECT coalesce(sum(position), 0) FROM {build_position} AS at
        WHERE at.name = mine.name AND at.version = mine.version) ELSE 0 END
WHERE name = :name AND version = :version AND state IN ('asked', 'running')
    AND (leased_until IS NULL OR leased_until < clock_timestamp())
RETURNING kind, fence
""")

_IT = "name = :name AND version = :version"
_MINE = f"{_IT} AND fence = :fence AND state = 'running'"

_ENTER = text(f"""
INSERT INTO {build_position} VALUES (:name, :version, :workspace, 0) ON CONFLICT DO NOTHING
""")

_MOVE = text(f"""
UPDATE {build_position} SET position = :to
WHERE name = :name AND version = :version AND workspace = :workspace AND position = :after
""")

_BEHIND = text(f"""
SELECT live.workspace, coalesce(built.position, 0) AS built, live.position AS live
FROM {checkpoint.checkpoint} AS live
LEFT JOIN {build_position} AS built USING (name, version, workspace)
WHERE name = :name AND version = :version ORDER BY live.workspace
""")


def prepare(tx: Connection) -> None:
    """Create the tables that are missing.  The caller waits for others who create."""
    metadata.create_all(tx)


def keep_out_erasures(tx: Connection) -> None:
    """Let no tables aside come, go or be switched by others until commit; erasures wait."""
    tx.execute(select(func.pg_advisory_xact_lock(checkpoint.PREPARING)))


def keep_out_switches(tx: Connection) -> None:
    """Let no tables aside come or go until commit, for an erasure is about to look through them."""
    tx.execute(select(func.pg_advisory_xact_lock_shared(checkpoint.PREPARING)))


def ask(tx: Connection, projection: Projection, kind: Kind, *, anew: bool = False) -> None:
    """Ask for a build.  One that was stopped goes on, unless ``anew``; one under way is left alone.

    Raises Conflict if the one under way is of the other kind.
    """
    asked = _key(projection) | {"kind": kind, "anew": anew}
    if tx.execute(_ASK, asked).rowcount:
        return
    under_way = tx.execute(text(f"SELECT kind FROM {build} WHERE {_IT}"), _key(projection)).scalar()
    if under_way != kind:
        raise Conflict(
            f"a {under_way} of {projection.name} is under way; wait for it, or cancel it first",
            projection=projection.name,
            under_way=under_way,
        )


def take(tx: Connection, projection: Projection) -> Claim | None:
    """Claim the read model's build, if there is one to do and nobody is at it."""
    taken = tx.execute(_TAKE, _key(projection)).one_or_none()
    return None if taken is None else Claim(projection, taken.kind, taken.fence)


def renew(tx: Connection, claim: Claim) -> None:
    """Keep the claim for another lease, and others from its row until commit.  Raises Withdrawn."""
    _change(tx, claim, f"leased_until = clock_timestamp() + interval '{LEASE}'")


def begin(tx: Connection, claim: Claim) -> bool:
    """Say whether there is nothing aside to go on with; if so, the caller makes it.  Raises Withdrawn."""
    renew(tx, claim)
    of = _key(claim.projection)
    if tx.execute(text(f"SELECT begun FROM {build} WHERE {_IT}"), of).scalar_one():
        return False
    tx.execute(text(f"DELETE FROM {build_position} WHERE {_IT}"), of)
    _change(tx, claim, "begun = true, run_from = 0")
    return True


def move(tx: Connection, claim: Claim, workspace: int, *, after: int, to: int) -> None:
    """Move the build from where the caller read it.  Raises Withdrawn if it is not there any more."""
    at = _key(claim.projection) | {"workspace": workspace}
    if after == 0:
        tx.execute(_ENTER, at)
    _require(tx.execute(_MOVE, at | {"after": after, "to": to}), claim)


def release(tx: Connection, claim: Claim) -> None:
    """Let another worker go on at once, unless one has done so already."""
    mine = text(f"UPDATE {build} SET leased_until = NULL WHERE {_MINE}")
    tx.execute(mine, _fenced(claim))


def finish(tx: Connection, claim: Claim, result: Mapping[str, Any] | None = None) -> None:
    """Say that all is done and nothing is left aside.  Raises Withdrawn."""
    _change(
        tx,
        claim,
        "state = 'done', begun = false, finished_at = clock_timestamp(), result = CAST(:result AS jsonb)",
        result=None if result is None else msgspec.json.encode(result).decode(),
    )


def fail(tx: Connection, claim: Claim, failure: str) -> None:
    """Say why it cannot go on; asked for again, it tries.  Raises Withdrawn."""
    _change(
        tx,
        claim,
        "state = 'failed', finished_at = clock_timestamp(), failure = :failure",
        failure=failure,
    )


def cancel(tx: Connection, projection: Projection) -> bool:
    """Stop a build, whoever works on it; say whether there was one.  What is aside stays."""
    stopped = text(f"""
        UPDATE {build} SET state = 'cancelled', finished_at = clock_timestamp(), leased_until = NULL
        WHERE {_IT} AND state IN ('asked', 'running')
    """)
    return tx.execute(stopped, _key(projection)).rowcount == 1


def discard(tx: Connection, projection: Projection) -> None:
    """Drop what a build that does not run has left aside, to begin anew if it is asked for again."""
    keep_out_erasures(tx)
    left = text(
        f"UPDATE {build} SET begun = false WHERE {_IT} AND state NOT IN ('asked', 'running')"
    )
    if tx.execute(left, _key(projection)).rowcount:
        shadow_schema.drop(tx, shadow_schema.next_schema(projection.schema))


def forget(tx: Connection, workspace: int) -> None:
    """Empty everything aside of a workspace in which a person is erased: what is being built begins again.

    The caller keeps projectors and switches out.
    """
    for schema in shadow_schema.schemas(tx):
        shadow_schema.empty(tx, schema, workspace)
    of = {"workspace": workspace}
    tx.execute(text(f"UPDATE {build_position} SET position = 0 WHERE workspace = :workspace"), of)
    # An error may quote what it failed at.
    tx.execute(text(f"UPDATE {build} SET failure = NULL WHERE failure IS NOT NULL"))


def behind(tx: Connection, projection: Projection) -> list[Behind]:
    """Return where the build stands in each workspace in which the read model stands."""
    return [Behind(*row) for row in tx.execute(_BEHIND, _key(projection))]


def events(behind: Sequence[Behind]) -> int:
    """Return how many events are left to be built."""
    return sum(max(0, it.live - it.built) for it in behind)


def _key(projection: Projection) -> dict[str, Any]:
    return {"name": projection.name, "version": projection.version}


def _fenced(claim: Claim) -> dict[str, Any]:
    return _key(claim.projection) | {"fence": claim.fence}


def _change(tx: Connection, claim: Claim, change: str, **values: Any) -> None:
    changed = tx.execute(
        text(f"UPDATE {build} SET {change} WHERE {_MINE}"), _fenced(claim) | values
    )
    _require(changed, claim)


def _require(changed: CursorResult[Any], claim: Claim) -> None:
    if changed.rowcount != 1:
        raise Withdrawn(
            f"the build of {claim.projection} was cancelled, or another worker has it",
            projection=str(claim.projection),
        )
