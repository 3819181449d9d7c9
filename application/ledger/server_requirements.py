"""Settings that a PostgreSQL server must have so that no acknowledged event is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection

from domain.core.errors import LedgerUnavailable, UnsafeServer

MIN_SERVER_VERSION = 150_000
"""PostgreSQL 15, in the form of ``server_version_num``."""


class Requirement(NamedTuple):
    """One setting: which values are safe, and what another value would cause."""

    name: str
    is_safe: Callable[[str], bool]
    reason: str


REQUIRED: tuple[Requirement, ...] = (
    Requirement("fsync", "on".__eq__, "a crash of the machine would lose acknowledged events"),
    Requirement("full_page_writes", "on".__eq__, "a crash could leave half-written pages"),
    Requirement(
        "synchronous_commit",
        {"on", "remote_apply"}.__contains__,
        "a commit would be acknowledged before it is on disk",
    ),
    Requirement(
        "max_prepared_transactions",
        "0".__eq__,
        "a forgotten prepared transaction would lock the ledger head",
    ),
    Requirement("server_encoding", "UTF8".__eq__, "text in other scripts could not be stored"),
    Requirement("transaction_read_only", "off".__eq__, "nothing could be recorded"),
)

ADVISED: tuple[Requirement, ...] = (
    Requirement("data_checksums", "on".__eq__, "damage on disk would go unnoticed until read"),
    Requirement("autovacuum", "on".__eq__, "the ledger head would become slow"),
)


class UnmetRequirement(NamedTuple):
    """A setting whose value is not safe, with the reason."""

    name: str
    value: str
    reason: str


def unmet_requirements(
    connection: Connection[Any], requirements: tuple[Requirement, ...] = REQUIRED
) -> list[UnmetRequirement]:
    """Returns the requirements that this session's settings do not meet."""
    names = [requirement.name for requirement in requirements]
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", (names,))
        values = {row[0]: row[1] for row in map(_values, cursor.fetchall())}
    return [
        UnmetRequirement(name, values.get(name, "missing"), reason)
        for name, is_safe, reason in requirements
        if not is_safe(values.get(name, "missing"))
    ]


def require_safe_server(connection: Connection[Any]) -> None:
    """Raises UnsafeServer, with every reason, if this server could lose an acknowledged event."""
    version = connection.info.server_version
    if version < MIN_SERVER_VERSION:
        raise UnsafeServer(
            f"this server is PostgreSQL {version // 10_000}; upgrade it: Foldline needs 15 or newer",
            server_version=version,
        )
    unmet = unmet_requirements(connection)
    if unmet:
        reasons = "; ".join(
            f"{setting.name} is {setting.value}: {setting.reason}" for setting in unmet
        )
        raise UnsafeServer(
            f"this PostgreSQL server is not safe for a ledger: {reasons}."
            " Correct these settings in postgresql.conf and restart the server.",
            settings={setting.name: setting.value for setting in unmet},
        )


def check_server(dsn: str) -> None:
    """Raises UnsafeServer or LedgerUnavailable, with what to do, unless the server is usable."""
    try:
        with psycopg.connect(dsn, connect_timeout=3, autocommit=True) as connection:
            require_safe_server(connection)
    except psycopg.Error as error:
        raise LedgerUnavailable(
            f"the database does not answer: {str(error).strip()}. Check that the server of FOLDLINE_DSN"
            " is running"
        ) from error


def _values(row: Any) -> tuple[Any, ...]:
    return tuple(row.values()) if isinstance(row, dict) else row
