"""Whose a stream is, for every other read model's questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import Connection

from domain.identifiers import Identifier
from domain.person import Person, alone, strongest_first
from projections.identity.tables import large, member

_PERSON = f"""
SELECT stream, kind, value, person, guessed, demoted_at FROM {member}
WHERE workspace = %s
    AND person = (SELECT person FROM {member} WHERE workspace = %s AND stream = %s)
"""

_PEOPLE = f"SELECT stream, person FROM {member} WHERE workspace = %s AND stream = ANY(%s)"


def person(tx: Connection, workspace: int, stream: UUID) -> Person:
    """Return the person whose stream it is; one of whom nothing is known is alone."""
    rows = tx.exec_driver_sql(_PERSON, (workspace, workspace, stream)).all()
    if not rows:
        return alone(stream)
    canonical = rows[0].person
    return Person(
        canonical,
        strongest_first(Identifier(it.kind, it.value) for it in rows if not it.guessed),
        (canonical, *sorted(it.stream for it in rows if it.stream != canonical)),
        {it.stream: it.demoted_at for it in rows if it.demoted_at is not None},
    )


def people(tx: Connection, workspace: int, streams: Iterable[UUID]) -> Mapping[UUID, UUID]:
    """Return the id of each stream's person."""
    asked = sorted(set(streams))
    if not asked:
        return {}
    found = tx.exec_driver_sql(_PEOPLE, (workspace, asked)).all()
    return dict(zip(asked, asked, strict=True)) | {it.stream: it.person for it in found}


def count_large(tx: Connection) -> int:
    """Return how many persons, of all workspaces, have more names than anybody has."""
    return int(tx.exec_driver_sql(f"SELECT count(*) FROM {large}").scalar_one())
