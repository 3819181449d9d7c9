"""How far each read model has come in each workspace."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateSchema

from domain.core.errors import FoldlineError
from projections.runtime import build_tables
from projections.runtime.build_tables import SCHEMA
from projections.runtime.projection import Projection

SCHEMA_LOCK = 0x666F6C64  # any number of our own: the advisory lock of those who create tables

checkpoint = Table(
    "checkpoint",
    MetaData(schema=SCHEMA),
    Column("workspace", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("failure", Text),
    Column("failed_at", DateTime(timezone=True)),
)
"""``recorded_at`` is that of the last event taken; ``failure`` is why the next was not."""


_TWO_POSITIONS = f"""
SELECT position FROM {checkpoint.fullname}
WHERE workspace = %s AND (name = %s AND version = %s OR name = %s AND version = %s)
"""
"""Asked with every question, so not put together anew each time."""

_ALL_POSITIONS = f"SELECT name, version, position FROM {checkpoint.fullname} WHERE workspace = %s"

_ADVANCE = f"""
WITH held AS MATERIALIZED (
    SELECT known.name, known.version
    FROM unnest(%(names)s::text[], %(versions)s::integer[])
        WITH ORDINALITY AS asked (name, version, place)
    JOIN {checkpoint.fullname} AS known USING (name, version)
    WHERE workspace = %(workspace)s AND position = %(after)s
    ORDER BY place FOR UPDATE OF known
)
UPDATE {checkpoint.fullname} AS known SET position = %(to)s, recorded_at = %(recorded_at)s,
    updated_at = clock_timestamp(), failure = NULL, failed_at = NULL
FROM held
WHERE workspace = %(workspace)s AND known.name = held.name AND known.version = held.version
RETURNING known.name, known.version
"""

ERASURE_LOCK = (
    0x65726173  # the advisory locks, one a workspace, of erasures and of those who project
)


class ErasureInProgress(FoldlineError):
    """A person of the workspace is being erased; read models move again in a moment."""

    code = "erasure_under_way"


def block_erasures(tx: Connection, workspace: int) -> None:
    """Let nothing be blanked until commit.  Raises ErasureUnderWay instead of waiting.

    Taken before a batch is read: else one read before the blanking would bring it all back after.
    """
    if not tx.execute(
        select(func.pg_try_advisory_xact_lock_shared(ERASURE_LOCK, workspace))
    ).scalar():
        raise ErasureInProgress("a person of this workspace is being erased", workspace=workspace)


def block_projectors(tx: Connection, workspace: int) -> None:
    """Let no read model of the workspace move until commit; wait for those that are about to."""
    tx.execute(select(func.pg_advisory_xact_lock(ERASURE_LOCK, workspace)))


def force_custom_plans(tx: Connection) -> None:
    """Have each statement planned for the tables as they are, until commit.

    The driver prepares what it runs often.  A plan that was kept from when a table was small reads all of
    it once it is large, and a rebuild begins with empty tables.
    """
    tx.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))


def commit_asynchronously(tx: Connection) -> None:
    """Have the commit not wait for the disk.

    What a crash of the server takes back is taken in again, for the checkpoint goes back with it and the ledger
    has it all.  Whatever is committed later and does wait, as all of the ledger is, is on the disk after this.
    """
    tx.execute(text("SET LOCAL synchronous_commit = off"))


def create_tables(tx: Connection, projections: Sequence[Projection]) -> None:
    """Create what is missing of the read models' schemas and tables.  Waits for others who do."""
    tx.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
    tx.execute(CreateSchema(SCHEMA, if_not_exists=True))
    checkpoint.create(tx, checkfirst=True)
    for projection in projections:
        tx.execute(CreateSchema(projection.schema, if_not_exists=True))
        projection.metadata.create_all(tx)
    build_tables.metadata.create_all(tx)


def initialise(tx: Connection, workspace: int, projections: Sequence[Projection]) -> None:
    """Begin at position 0 for the read models that have never seen the workspace."""
    rows = [
        {"workspace": workspace, "name": it.name, "version": it.version, "position": 0}
        for it in sorted(projections, key=str)
    ]
    tx.execute(insert(checkpoint).values(rows).on_conflict_do_nothing())


def positions(
    tx: Connection, workspace: int, projections: Sequence[Projection]
) -> Mapping[Projection, int | None]:
    """Return where each read model stands in the workspace; None where it has not begun."""
    found = all_positions(tx, workspace)
    return {it: found.get((it.name, it.version)) for it in projections}


def all_positions(tx: Connection, workspace: int) -> Mapping[tuple[str, int], int]:
    """Return where each read model stands, by name and version, known to this process or not."""
    rows = tx.exec_driver_sql(_ALL_POSITIONS, (workspace,))
    return {(name, version): position for name, version, position in rows}


def last_recorded_at(tx: Connection, workspace: int, projection: Projection) -> datetime | None:
    """Return when the ledger took the last event that the read model has; None if it has none."""
    taken = select(checkpoint.c.recorded_at).where(_is_projection(workspace, projection))
    found: datetime | None = tx.execute(taken).scalar()
    return found


def reset(tx: Connection, workspace: int, name: str, version: int) -> None:
    """Put a read model back to the start, for its rows are gone."""
    tx.execute(
        update(checkpoint)
        .where(
            checkpoint.c.workspace == workspace,
            checkpoint.c.name == name,
            checkpoint.c.version == version,
        )
        .values(position=0, recorded_at=None, updated_at=func.clock_timestamp())
    )


def clear_failures(tx: Connection, workspace: int) -> None:
    """Clear why read models failed: an error may quote what it failed at."""
    tx.execute(
        update(checkpoint)
        .where(checkpoint.c.workspace == workspace, checkpoint.c.failure.is_not(None))
        .values(failure=None, failed_at=None)
    )


def common_position(tx: Connection, workspace: int, first: Projection, second: Projection) -> int:
    """Return the last position of the workspace that both read models have taken, 0 if none."""
    asked = (workspace, first.name, first.version, second.name, second.version)
    found = tx.exec_driver_sql(_TWO_POSITIONS, asked).scalars().all()
    return min(found) if len(found) == len({first, second}) else 0


def advance(  # noqa: PLR0917 - what a move is made of
    tx: Connection,
    workspace: int,
    projections: Sequence[Projection],
    after: int,
    to: int,
    recorded_at: datetime,
) -> Collection[Projection]:
    """Move checkpoints, in this order, that still stand where the caller read them; return those.

    Holds them until commit, so of two workers one waits here and then applies nothing.
    """
    asked = {
        "workspace": workspace,
        "names": [it.name for it in projections],
        "versions": [it.version for it in projections],
        "after": after,
        "to": to,
        "recorded_at": recorded_at,
    }
    moved = set(map(tuple, tx.exec_driver_sql(_ADVANCE, asked)))
    return [it for it in projections if (it.name, it.version) in moved]


def lock_position(tx: Connection, workspace: int, projection: Projection) -> int:
    """Return where the read model stands, and let nobody move it until commit."""
    standing = (
        select(checkpoint.c.position).where(_is_projection(workspace, projection)).with_for_update()
    )
    return tx.execute(standing).scalar() or 0


def mark_failed(tx: Connection, workspace: int, projection: Projection, failure: str) -> None:
    """Note for all to see why the read model does not move.  Moving on clears it."""
    tx.execute(
        update(checkpoint)
        .where(_is_projection(workspace, projection))
        .values(failure=failure, failed_at=func.clock_timestamp())
    )


def _is_projection(workspace: int, projection: Projection) -> ColumnElement[bool]:
    return and_(
        checkpoint.c.workspace == workspace,
        checkpoint.c.name == projection.name,
        checkpoint.c.version == projection.version,
    )
