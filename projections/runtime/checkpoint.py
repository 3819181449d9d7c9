"""Checkpoints: the position of each read model in each workspace."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

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
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateSchema

from domain.core.errors import FoldlineError
from projections.runtime import build_tables
from projections.runtime.build_tables import SCHEMA
from projections.runtime.projection import Projection

SCHEMA_LOCK = 0x666F6C64  # advisory lock of the creation of tables; an arbitrary number

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
"""``recorded_at`` is that of the last applied event; ``failure`` is why the next one was not applied."""


_TWO_POSITIONS = f"""
SELECT position FROM {checkpoint.fullname}
WHERE workspace = %s AND (name = %s AND version = %s OR name = %s AND version = %s)
"""
"""Runs with every query, so it is a constant text."""

_ALL_POSITIONS = f"SELECT name, version, position FROM {checkpoint.fullname} WHERE workspace = %s"

_ADVANCE = f"""
WITH locked AS MATERIALIZED (
    SELECT stored.name, stored.version
    FROM unnest(%(names)s::text[], %(versions)s::integer[])
        WITH ORDINALITY AS keys (name, version, ordinal)
    JOIN {checkpoint.fullname} AS stored USING (name, version)
    WHERE workspace = %(workspace)s AND position = %(after)s
    ORDER BY ordinal FOR UPDATE OF stored
)
UPDATE {checkpoint.fullname} AS stored SET position = %(to)s, recorded_at = %(recorded_at)s,
    updated_at = clock_timestamp(), failure = NULL, failed_at = NULL
FROM locked
WHERE workspace = %(workspace)s AND stored.name = locked.name AND stored.version = locked.version
RETURNING stored.name, stored.version
"""

_TABLES = "SELECT schemaname || '.' || tablename FROM pg_tables"
"""One question for all tables: asking for each took longer than a test."""

ERASURE_LOCK = 0x65726173  # advisory locks, one for each workspace, between erasures and projectors


class ErasureInProgress(FoldlineError):
    """An erasure is in progress in the workspace; projection continues in a moment."""

    code = "erasure_under_way"


def block_erasures(tx: Connection, workspace: int) -> None:
    """Blocks erasures in the workspace until commit.  Raises ErasureInProgress if one runs.

    Called before a batch is read: a batch read before an erasure would restore the data if applied after it.
    """
    if not tx.execute(
        select(func.pg_try_advisory_xact_lock_shared(ERASURE_LOCK, workspace))
    ).scalar():
        raise ErasureInProgress(
            "an erasure is in progress in this workspace; retry in a moment", workspace=workspace
        )


def block_projectors(tx: Connection, workspace: int) -> None:
    """Blocks all projectors in the workspace until commit; waits for batches in progress."""
    tx.execute(select(func.pg_advisory_xact_lock(ERASURE_LOCK, workspace)))


_CUSTOM_PLANS = "SET LOCAL plan_cache_mode = force_custom_plan"
_ASYNCHRONOUS_COMMIT = "SET LOCAL synchronous_commit = off"


def force_custom_plans(tx: Connection) -> None:
    """Makes PostgreSQL plan each statement for the tables as they are, until commit.

    The driver prepares statements that it runs often.  A plan from when a table was small reads all of it once
    the table is large, and a rebuild starts with empty tables.
    """
    tx.exec_driver_sql(_CUSTOM_PLANS)


def prepare_for_batch(tx: Connection) -> None:
    """Forces custom plans, and lets the commit return before it is on disk.

    Batches lost in a crash of the server are applied again, because their checkpoint is lost with them and the
    ledger has the events.  A later synchronous commit, as all of the ledger's are, writes this one to disk, too.
    """
    tx.exec_driver_sql(f"{_CUSTOM_PLANS}; {_ASYNCHRONOUS_COMMIT}")


def create_tables(tx: Connection, projections: Sequence[Projection]) -> None:
    """Creates missing schemas and tables of read models.  Waits for other processes that do so."""
    tx.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
    existing = set(tx.exec_driver_sql(_TABLES).scalars())
    of_all = (checkpoint.metadata, build_tables.metadata)
    for metadata in (*of_all, *(projection.metadata for projection in projections)):
        tx.execute(CreateSchema(str(metadata.schema), if_not_exists=True))
        missing = [table for table in metadata.sorted_tables if table.fullname not in existing]
        metadata.create_all(tx, tables=missing, checkfirst=False)


def read_all(tx: Connection) -> Sequence[Mapping[str, Any]]:
    """Returns all checkpoints; none before the first start of a service creates the table."""
    if tx.execute(select(func.to_regclass(checkpoint.fullname))).scalar() is None:
        return []
    return tx.execute(select(checkpoint)).mappings().all()  # type: ignore[return-value]  # rows are mappings by name


def initialise(tx: Connection, workspace: int, projections: Sequence[Projection]) -> None:
    """Creates checkpoints at position 0 for read models that have none in the workspace."""
    rows = [
        {"workspace": workspace, "name": p.name, "version": p.version, "position": 0}
        for p in sorted(projections, key=str)
    ]
    tx.execute(insert(checkpoint).values(rows).on_conflict_do_nothing())


def positions(
    tx: Connection, workspace: int, projections: Sequence[Projection]
) -> Mapping[Projection, int | None]:
    """Returns the position of each read model in the workspace; None where it has no checkpoint."""
    by_key = all_positions(tx, workspace)
    return {p: by_key.get((p.name, p.version)) for p in projections}


def all_positions(tx: Connection, workspace: int) -> Mapping[tuple[str, int], int]:
    """Returns every position by name and version, of versions unknown to this process, too."""
    rows = tx.exec_driver_sql(_ALL_POSITIONS, (workspace,))
    return {(name, version): position for name, version, position in rows}


def last_recorded_at(tx: Connection, workspace: int, projection: Projection) -> datetime | None:
    """Returns when the last event applied by a read model was recorded; None if there is none."""
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
    """Returns the last position of the workspace that both read models have applied, 0 if none."""
    params = (workspace, first.name, first.version, second.name, second.version)
    applied = tx.exec_driver_sql(_TWO_POSITIONS, params).scalars().all()
    return min(applied) if len(applied) == len({first, second}) else 0


def advance(  # noqa: PLR0917 - the columns of a checkpoint
    tx: Connection,
    workspace: int,
    projections: Sequence[Projection],
    after: int,
    to: int,
    recorded_at: datetime,
) -> Collection[Projection]:
    """Advances checkpoints that are still at ``after`` and returns their read models, in order.

    Locks them until commit, so that of two workers one waits here and then applies nothing.
    """
    params = {
        "workspace": workspace,
        "names": [p.name for p in projections],
        "versions": [p.version for p in projections],
        "after": after,
        "to": to,
        "recorded_at": recorded_at,
    }
    advanced = set(map(tuple, tx.exec_driver_sql(_ADVANCE, params)))
    return [p for p in projections if (p.name, p.version) in advanced]


def lock_position(tx: Connection, workspace: int, projection: Projection) -> int:
    """Returns the position of a read model, and locks its checkpoint until commit."""
    query = (
        select(checkpoint.c.position).where(_is_projection(workspace, projection)).with_for_update()
    )
    return tx.execute(query).scalar() or 0


def mark_failed(tx: Connection, workspace: int, projection: Projection, failure: str) -> None:
    """Records why the read model does not advance.  The next advance clears it."""
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
