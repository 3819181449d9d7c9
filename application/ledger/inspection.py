"""Looks at a database from outside and says what it is like: for `foldline doctor`, which decides what it means.

Changes nothing, needs no migrated database, and works on servers that the gate refuses.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection

from application.ledger import server_requirements
from application.ledger.migrate import pending_revisions
from application.ledger.store import SERVICE_ROLE
from domain.core.errors import LedgerUnavailable

GUARD_TRIGGERS = ("append_only", "never_truncated")
"""Triggers that must stand on the events."""

ALLOWED_PRIVILEGES = frozenset({"INSERT", "SELECT"})
"""All that the service's role may do with the events."""

_ROLE = """
SELECT rolsuper, pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = %s
"""

_TRIGGERS = """
SELECT tgname, tgenabled::text FROM pg_trigger
WHERE tgrelid = to_regclass('ledger.event') AND NOT tgisinternal
"""

# What any of its columns may be used for counts as much as the table.
_PRIVILEGES = """
SELECT wanted FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS wanted
WHERE has_table_privilege(%(role)s, to_regclass('ledger.event'), wanted)
   OR (wanted = 'UPDATE' AND has_any_column_privilege(%(role)s, to_regclass('ledger.event'), wanted))
"""

_EVENTS_EXIST = "SELECT to_regclass('ledger.event') IS NOT NULL"


class ServiceRole(NamedTuple):
    """What the service's role is and may do with the events."""

    superuser: bool
    usable: bool
    """Whether the connecting user may step down to it."""

    privileges: frozenset[str]


class Inspection(NamedTuple):
    """What was found."""

    server: str
    """Version, such as ``18.0``."""

    server_supported: bool
    unmet_required: list[server_requirements.UnmetRequirement]
    """Settings with which an acknowledged event could be lost."""

    unmet_advised: list[server_requirements.UnmetRequirement]
    pending_revisions: tuple[str, ...]
    """Migrations that have not been applied."""

    role: ServiceRole | None
    triggers: dict[str, str] | None
    """Guards that exist, with PostgreSQL's letter for when they fire: A is always.  None: no events yet."""

    clock_offset: timedelta
    """How far the server's clock is ahead of ours."""

    clock_uncertainty: timedelta
    """The most by which that may be wrong: half the time that the question took."""


def inspect_database(dsn: str) -> Inspection:
    """Look at a database.  Raises LedgerUnavailable if it does not answer."""
    try:
        with psycopg.connect(
            dsn, connect_timeout=5, autocommit=True, application_name="foldline doctor"
        ) as connection:
            connection.execute("SET statement_timeout = '10s'")
            return _inspect(connection, pending_revisions(dsn))
    except psycopg.Error as error:
        raise LedgerUnavailable(f"the database does not answer: {str(error).strip()}") from error


def _inspect(connection: Connection[Any], waiting: tuple[str, ...]) -> Inspection:
    ahead, unsure = _clock(connection)
    has_events = _first(connection, _EVENTS_EXIST)[0]
    return Inspection(
        server=connection.info.parameter_status("server_version") or "unknown",
        server_supported=connection.info.server_version >= server_requirements.MIN_SERVER_VERSION,
        unmet_required=server_requirements.unmet_requirements(connection),
        unmet_advised=server_requirements.unmet_requirements(
            connection, server_requirements.ADVISED
        ),
        pending_revisions=waiting,
        role=_role(connection) if has_events else None,
        triggers=dict(connection.execute(_TRIGGERS).fetchall()) if has_events else None,
        clock_offset=ahead,
        clock_uncertainty=unsure,
    )


def _role(connection: Connection[Any]) -> ServiceRole | None:
    found = connection.execute(_ROLE, (SERVICE_ROLE,)).fetchone()
    if found is None:
        return None
    rows = connection.execute(_PRIVILEGES, {"role": SERVICE_ROLE}).fetchall()
    return ServiceRole(found[0], found[1], frozenset(name for (name,) in rows))


def _clock(connection: Connection[Any]) -> tuple[timedelta, timedelta]:
    """Compare clocks; of three questions the quickest says most."""
    answers = []
    for _ in range(3):
        asked = datetime.now(UTC)
        theirs = _first(connection, "SELECT clock_timestamp()")[0]
        half = (datetime.now(UTC) - asked) / 2
        answers.append((half, theirs - asked - half))
    unsure, ahead = min(answers)
    return ahead, unsure


def _first(connection: Connection[Any], sql: str) -> tuple[Any, ...]:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return tuple(row)
