"""Whose a stream is, for every other read model's questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from domain.core.identifiers import Identifier
from domain.identity.resolved_profile import ResolvedProfile, single_stream_profile, strongest_first
from projections.identity.tables import large, member

_MEMBERS = f"""
SELECT stream, kind, value, person, guessed, demoted_at FROM {member}
WHERE workspace = %s
    AND person IN (SELECT person FROM {member} WHERE workspace = %s AND stream = ANY(%s))
"""

_PROFILE_IDS = f"SELECT stream, person FROM {member} WHERE workspace = %s AND stream = ANY(%s)"


def load_profile(tx: Connection, workspace: int, stream: UUID) -> ResolvedProfile:
    """Return the person whose stream it is; one of whom nothing is known is alone."""
    return load_profiles(tx, workspace, (stream,))[stream]


def load_profiles(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, ResolvedProfile]:
    """Return the person of each stream; one of whom nothing is known is alone."""
    asked = set(streams)
    members: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for row in tx.exec_driver_sql(_MEMBERS, (workspace, workspace, sorted(asked))):
        members[row.person].append(row)
    found: dict[UUID, ResolvedProfile] = {}
    for rows in members.values():
        found.update(dict.fromkeys((it.stream for it in rows), _resolved_profile(rows)))
    return {it: found.get(it) or single_stream_profile(it) for it in asked}


def _resolved_profile(members: Sequence[Row[Any]]) -> ResolvedProfile:
    canonical = members[0].person
    return ResolvedProfile(
        canonical,
        strongest_first(Identifier(it.kind, it.value) for it in members if not it.guessed),
        (canonical, *sorted(it.stream for it in members if it.stream != canonical)),
        {it.stream: it.demoted_at for it in members if it.demoted_at is not None},
    )


def load_profile_ids(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, UUID]:
    """Return the id of each stream's person."""
    asked = sorted(set(streams))
    if not asked:
        return {}
    found = tx.exec_driver_sql(_PROFILE_IDS, (workspace, asked)).all()
    return dict(zip(asked, asked, strict=True)) | {it.stream: it.person for it in found}


def count_large_profiles(tx: Connection) -> int:
    """Return how many persons, of all workspaces, have more names than anybody has."""
    return int(tx.exec_driver_sql(f"SELECT count(*) FROM {large}").scalar_one())
