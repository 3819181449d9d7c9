"""Pages of profiles, each listed at the position of the first row of its streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState
from projections.profile.search_terms import search_text, trigrams
from projections.profile.states import StateRow, load_state_rows
from projections.profile.tables import search, state
from projections.runtime.ports import IdentityPort

NEWEST_ROWS = 10_000
"""Newest rows that a search scans before it uses the index of trigrams: 5 ms.

A term that many profiles share is among them; one that is not is so rare that the index leads to few rows.
The index alone would have to collect all of a million rows to show the newest fifty.
"""

RAREST_TRIGRAMS = 4
"""Trigrams that the index is searched for.  The rarest are nearly as selective as all together: with all
trigrams of an id, most of which are in every id, the search takes 35 ms instead of 1 ms.
"""


class RowPosition(NamedTuple):
    """Sort key of a row in a list, newest first."""

    at: datetime
    stream: UUID


class ProfileEntry(NamedTuple):
    """A profile in a list."""

    position: RowPosition
    profile: ResolvedProfile
    state: ProfileState


@dataclass(frozen=True, kw_only=True)
class ProfileListing:
    """An order and a selection of profiles."""

    candidates: Callable[[IdentityPort, RowPosition | None, int], Sequence[RowPosition]]
    """Returns up to so many row positions that follow a position; after None, the first."""

    position_of: Callable[[StateRow], RowPosition | None]
    """Returns the position of a stream in the list; None if it is not in it."""

    includes: Callable[[ProfileState], bool]
    """Returns whether a profile is in the list: another of its streams may overrule the row's."""


def load_page(
    reader: IdentityPort, listing: ProfileListing, after: RowPosition | None, limit: int
) -> tuple[list[ProfileEntry], bool]:
    """Returns the profiles of one page, and whether there are more."""
    entries: list[ProfileEntry] = []
    while len(entries) <= limit:
        positions = listing.candidates(reader, after, limit + 1)
        entries += _entries(reader, listing, positions)
        if len(positions) <= limit:
            break
        after = positions[-1]
    return entries[:limit], len(entries) > limit


def _entries(
    reader: IdentityPort, listing: ProfileListing, positions: Sequence[RowPosition]
) -> Iterator[ProfileEntry]:
    profiles = reader.profiles(position.stream for position in positions)
    streams = {stream for profile in profiles.values() for stream in profile.streams}
    stored = load_state_rows(reader.tx, reader.workspace, streams)
    for position in positions:
        profile = profiles[position.stream]
        rows = [stored[stream] for stream in profile.streams if stream in stored]
        first = max(
            (p for row in rows if (p := listing.position_of(row)) is not None), default=None
        )
        if position != first:
            continue
        merged = profile_state.merge({row.stream: row.state for row in rows}, profile)
        if listing.includes(merged):
            yield ProfileEntry(position, profile, merged)


_ALL_PROFILES = f"""
SELECT last_seen_at, stream FROM {state}
WHERE workspace = %(workspace)s AND last_seen_at IS NOT NULL {{after}}
ORDER BY last_seen_at DESC, stream DESC LIMIT {{limit}}
"""

_NEWEST_MATCHES = f"""
SELECT first_seen_at, stream FROM (
    SELECT first_seen_at, stream, terms FROM {search} WHERE workspace = %(workspace)s {{after}}
    ORDER BY first_seen_at DESC, stream DESC LIMIT {{newest}}
) AS newest
WHERE strpos(terms, %(pattern)s) > 0 ORDER BY first_seen_at DESC, stream DESC LIMIT {{limit}}
"""

_ALL_MATCHES = f"""
WITH common AS MATERIALIZED (
    SELECT unnest(most_common_elems::text::int[]) AS trigram, unnest(most_common_elem_freqs) AS share
    FROM pg_stats
    WHERE (schemaname, tablename, attname) = ('{search.schema}', '{search.name}', 'trigrams')
), rarest AS MATERIALIZED (
    SELECT trigram FROM unnest(%(trigrams)s::int[]) AS input (trigram) LEFT JOIN common USING (trigram)
    ORDER BY share NULLS FIRST LIMIT {RAREST_TRIGRAMS}
), matches AS MATERIALIZED (
    SELECT first_seen_at, stream FROM {search}
    WHERE trigrams @> ARRAY (SELECT trigram FROM rarest) AND workspace = %(workspace)s
        AND strpos(terms, %(pattern)s) > 0 {{after}}
)
SELECT first_seen_at, stream FROM matches ORDER BY first_seen_at DESC, stream DESC LIMIT {{limit}}
"""


def all_profiles() -> ProfileListing:
    """Returns the list of all profiles, those seen last first."""

    def candidates(
        reader: IdentityPort, after: RowPosition | None, limit: int
    ) -> Sequence[RowPosition]:
        return _select_positions(reader, _ALL_PROFILES, "last_seen_at", after, limit)

    def position_of(row: StateRow) -> RowPosition | None:
        return None if row.last_seen_at is None else RowPosition(row.last_seen_at, row.stream)

    return ProfileListing(candidates=candidates, position_of=position_of, includes=lambda _: True)


def profiles_matching(pattern: str) -> ProfileListing:
    """Returns the list of profiles whose search text contains the pattern, newest first."""

    def candidates(
        reader: IdentityPort, after: RowPosition | None, limit: int
    ) -> Sequence[RowPosition]:
        params: dict[str, Any] = {"pattern": pattern}
        positions = _select_positions(
            reader, _NEWEST_MATCHES, "first_seen_at", after, limit, **params
        )
        if len(positions) >= limit:
            return positions
        params |= {"trigrams": trigrams(pattern, reader.workspace)}
        return _select_positions(reader, _ALL_MATCHES, "first_seen_at", after, limit, **params)

    def position_of(row: StateRow) -> RowPosition | None:
        if row.first_seen_at is None or row.terms is None or pattern not in row.terms:
            return None
        return RowPosition(row.first_seen_at, row.stream)

    return ProfileListing(
        candidates=candidates,
        position_of=position_of,
        includes=lambda state: pattern in search_text(state),
    )


def _select_positions(
    reader: IdentityPort,
    sql: str,
    column: str,
    after: RowPosition | None,
    limit: int,
    **params: Any,
) -> Sequence[RowPosition]:
    # The limit is spelt out: as a parameter it is unknown to the planner, which then may sort all.
    after_sql = "" if after is None else f"AND ({column}, stream) < (%(at)s, %(stream)s)"
    if after is not None:
        params |= after._asdict()
    statement = sql.format(after=after_sql, limit=limit, newest=NEWEST_ROWS)
    rows = reader.tx.exec_driver_sql(statement, {"workspace": reader.workspace, **params})
    return [RowPosition(*row) for row in rows]
