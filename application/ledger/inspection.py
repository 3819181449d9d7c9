"""Read-only inspection of a database for `foldline doctor`, which judges the result.

Changes nothing, needs no migrated database, and works on servers that `require_safe_server` refuses.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection

from application.ledger import server_requirements
from application.ledger.migrate import pending_revisions
from application.ledger.session import SERVICE_ROLE
from domain.core.errors import LedgerUnavailable

GUARD_TRIGGERS = ("append_only", "never_truncated")
"""Triggers that table `event` must have."""

ALLOWED_PRIVILEGES = frozenset({"INSERT", "SELECT"})
"""The only privileges that the service's role may have on table `event`."""

_ROLE = """
SELECT rolsuper, pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = %s
"""

_TRIGGERS = """
SELECT tgname, tgenabled::text FROM pg_trigger
WHERE tgrelid = to_regclass('ledger.event') AND NOT tgisinternal
"""

# A privilege on any column counts like one on the whole table.
_PRIVILEGES = """
SELECT privilege
FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege
WHERE has_table_privilege(%(role)s, to_regclass('ledger.event'), privilege)
   OR (privilege = 'UPDATE'
       AND has_any_column_privilege(%(role)s, to_regclass('ledger.event'), privilege))
"""

_EVENTS_EXIST = "SELECT to_regclass('ledger.event') IS NOT NULL"


class ServiceRole(NamedTuple):
    """The service's role and its privileges on table `event`."""

    superuser: bool
    usable: bool
    """Whether the connecting user may switch to it."""

    privileges: frozenset[str]


class Inspection(NamedTuple):
    """Result of inspecting a database."""

    server: str
    """Version, such as ``18.0``."""

    server_supported: bool
    unmet_required: list[server_requirements.UnmetRequirement]
    """Settings with which an acknowledged event could be lost."""

    unmet_advised: list[server_requirements.UnmetRequirement]
    pending_revisions: tuple[str, ...]
    """Revisions that have not been applied."""

    role: ServiceRole | None
    triggers: dict[str, str] | None
    """Triggers on table `event` with PostgreSQL's letter for when they fire (A: always); None without the table."""

    clock_offset: timedelta
    """How far the server's clock is ahead of this machine's."""

    clock_uncertainty: timedelta
    """Largest error of `clock_offset`: half the round trip of the query."""


def inspect_database(dsn: str) -> Inspection:
    """Inspects a database.  Raises LedgerUnavailable if it cannot be reached."""
    try:
        with psycopg.connect(
            dsn, connect_timeout=5, autocommit=True, application_name="foldline doctor"
        ) as connection:
            connection.execute("SET statement_timeout = '10s'")
            return _inspect(connection, pending_revisions(dsn))
    except psycopg.Error as error:
        raise LedgerUnavailable(f"the database is unreachable: {str(error).strip()}") from error


def _inspect(connection: Connection[Any], pending: tuple[str, ...]) -> Inspection:
    clock_offset, clock_uncertainty = _compare_clocks(connection)
    has_events = _first_row(connection, _EVENTS_EXIST)[0]
    return Inspection(
        server=connection.info.parameter_status("server_version") or "unknown",
        server_supported=connection.info.server_version >= server_requirements.MIN_SERVER_VERSION,
        unmet_required=server_requirements.unmet_requirements(connection),
        unmet_advised=server_requirements.unmet_requirements(
            connection, server_requirements.ADVISED
        ),
        pending_revisions=pending,
        role=_service_role(connection) if has_events else None,
        triggers=dict(connection.execute(_TRIGGERS).fetchall()) if has_events else None,
        clock_offset=clock_offset,
        clock_uncertainty=clock_uncertainty,
    )


def _service_role(connection: Connection[Any]) -> ServiceRole | None:
    role = connection.execute(_ROLE, (SERVICE_ROLE,)).fetchone()
    if role is None:
        return None
    rows = connection.execute(_PRIVILEGES, {"role": SERVICE_ROLE}).fetchall()
    superuser, usable = role
    return ServiceRole(superuser, usable, frozenset(name for (name,) in rows))


def _compare_clocks(connection: Connection[Any]) -> tuple[timedelta, timedelta]:
    """Returns the server's clock offset and its uncertainty, from the fastest of three queries."""
    measurements = []
    for _ in range(3):
        sent_at = datetime.now(UTC)
        server_time = _first_row(connection, "SELECT clock_timestamp()")[0]
        half_round_trip = (datetime.now(UTC) - sent_at) / 2
        measurements.append((half_round_trip, server_time - sent_at - half_round_trip))
    uncertainty, offset = min(measurements)
    return offset, uncertainty


def _first_row(connection: Connection[Any], sql: str) -> tuple[Any, ...]:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return tuple(row)
