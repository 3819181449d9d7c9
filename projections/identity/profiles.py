"""Profiles of streams, for the queries of every read model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select

from domain.core.identifiers import Identifier
from domain.identity.resolved_profile import ResolvedProfile, single_stream_profile, strongest_first
from projections.identity.tables import large_profile, member
from projections.kit import references
from projections.runtime.ports import LedgerPort, Reader

_MEMBERS = f"""
SELECT stream, kind, value, profile_id, guessed, demoted_at, capped FROM {member}
WHERE workspace = %s
    AND profile_id IN (SELECT profile_id FROM {member} WHERE workspace = %s AND stream = ANY(%s))
"""

_PROFILE_IDS = f"SELECT stream, profile_id FROM {member} WHERE workspace = %s AND stream = ANY(%s)"


def load_profile(tx: Connection, workspace: int, stream: UUID) -> ResolvedProfile:
    """Returns the profile of a stream; one without known identifiers is a profile by itself."""
    return load_profiles(tx, workspace, (stream,))[stream]


def load_profiles(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, ResolvedProfile]:
    """Returns the profile of each stream; one without known identifiers is a profile by itself."""
    stream_ids = set(streams)
    members: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for row in tx.exec_driver_sql(_MEMBERS, (workspace, workspace, sorted(stream_ids))):
        members[row.profile_id].append(row)
    profiles: dict[UUID, ResolvedProfile] = {}
    for rows in members.values():
        profiles.update(dict.fromkeys((row.stream for row in rows), _resolved_profile(rows)))
    return {stream: profiles.get(stream) or single_stream_profile(stream) for stream in stream_ids}


def _resolved_profile(members: Sequence[Row[Any]]) -> ResolvedProfile:
    canonical = members[0].profile_id
    return ResolvedProfile(
        canonical,
        strongest_first(Identifier(row.kind, row.value) for row in members if not row.guessed),
        (canonical, *sorted(row.stream for row in members if row.stream != canonical)),
        {row.stream: row.demoted_at for row in members if row.demoted_at is not None},
        any(row.capped for row in members),
    )


def load_profile_ids(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, UUID]:
    """Returns the id of each stream's profile."""
    stream_ids = sorted(set(streams))
    if not stream_ids:
        return {}
    rows = tx.exec_driver_sql(_PROFILE_IDS, (workspace, stream_ids)).all()
    return {stream: stream for stream in stream_ids} | {row.stream: row.profile_id for row in rows}


class IdentityReads:
    """Provides `IdentityPort`."""

    identity_members = member

    def profile(self: Reader, stream: UUID) -> ResolvedProfile:
        """Returns the profile of a stream."""
        return load_profile(self.tx, self.workspace, stream)

    def profiles(self: Reader, streams: Iterable[UUID]) -> Mapping[UUID, ResolvedProfile]:
        """Returns the profile of each stream."""
        return load_profiles(self.tx, self.workspace, streams)

    def profile_ids(self: Reader, streams: Iterable[UUID]) -> Mapping[UUID, UUID]:
        """Returns the profile id of each stream."""
        return load_profile_ids(self.tx, self.workspace, streams)

    def find_profile(self: LedgerPort, reference: str) -> ResolvedProfile:
        """Returns the profile of a reference.  Raises InvalidRequest as `parse_reference` does."""
        stream = references.resolve_stream(reference, self.stream_of)
        return load_profile(self.tx, self.workspace, stream)


def count_large_profiles(tx: Connection) -> int:
    """Returns how many profiles, in all workspaces, have unusually many identifiers."""
    return int(tx.exec_driver_sql(f"SELECT count(*) FROM {large_profile}").scalar_one())


def count_capped_profiles(tx: Connection, workspace: int) -> int:
    """Returns how many profiles of a workspace have an identifier with more links than count."""
    query = select(func.count(member.c.profile_id.distinct())).where(
        member.c.workspace == workspace, member.c.capped
    )
    return int(tx.execute(query).scalar_one())
