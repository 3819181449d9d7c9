"""Refuses a PostgreSQL server that could lose what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from psycopg import Connection

from domain.core.errors import UnsafeServer

MIN_SERVER_VERSION = 150_000
"""PostgreSQL 15."""


class Requirement(NamedTuple):
    """One setting: what is safe, and why."""

    name: str
    is_met: Callable[[str], bool]
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
        "a forgotten prepared transaction would hold the head of the ledger",
    ),
    Requirement("server_encoding", "UTF8".__eq__, "names in other scripts could not be stored"),
    Requirement("transaction_read_only", "off".__eq__, "nothing could be recorded"),
)

ADVISED: tuple[Requirement, ...] = (
    Requirement("data_checksums", "on".__eq__, "damage on disk would go unnoticed until read"),
    Requirement("autovacuum", "on".__eq__, "the head of the ledger would grow slow"),
)


class UnmetRequirement(NamedTuple):
    """A setting that is not as it should be."""

    name: str
    value: str
    reason: str


def unmet_requirements(
    connection: Connection[Any], requirements: tuple[Requirement, ...] = REQUIRED
) -> list[UnmetRequirement]:
    """Return the settings of this session that do not hold."""
    names = [requirement.name for requirement in requirements]
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", (names,))
        values = {row[0]: row[1] for row in map(_values, cursor.fetchall())}
    return [
        UnmetRequirement(name, values.get(name, "missing"), because)
        for name, holds, because in requirements
        if not holds(values.get(name, "missing"))
    ]


def require_safe_server(connection: Connection[Any]) -> None:
    """Raise UnsafeServer, with every reason, if this session could lose an event."""
    version = connection.info.server_version
    if version < MIN_SERVER_VERSION:
        raise UnsafeServer(
            f"this server is PostgreSQL {version // 10_000}; Foldline needs 15 or newer",
            server_version=version,
        )
    wrong = unmet_requirements(connection)
    if wrong:
        told = "; ".join(f"{it.name} is {it.value}: {it.reason}" for it in wrong)
        raise UnsafeServer(
            f"this PostgreSQL server is not safe for a ledger: {told}."
            " Set them right in postgresql.conf and restart it.",
            settings={it.name: it.value for it in wrong},
        )


def _values(row: Any) -> tuple[Any, ...]:
    return tuple(row.values()) if isinstance(row, dict) else row
