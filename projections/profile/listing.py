"""Pages of persons.  Rows are kept by stream: a person is shown in the place of their first row."""

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
from projections.runtime.projection import Reader

NEWEST_ROWS = 10_000
"""Rows that a search looks through before it asks the index of grams: 5 ms.

What many people share is among them; what is not is so rare that the index leads to few rows.  The
index alone would have to gather all of a million rows to show the newest fifty.
"""

RAREST_TRIGRAMS = 4
"""Grams that the index is asked for.  The rarest say nearly all: with all of an id's, it takes 35 ms
for what it says in one, because most of them are in the ids of everybody.
"""


class RowPosition(NamedTuple):
    """Where a row stands in a list, newest first."""

    at: datetime
    stream: UUID


class ProfileEntry(NamedTuple):
    """A person in a list."""

    position: RowPosition
    profile: ResolvedProfile
    state: ProfileState


@dataclass(frozen=True, kw_only=True)
class ProfileListing:
    """A list of persons."""

    candidates: Callable[[Reader, RowPosition | None, int], Sequence[RowPosition]]
    """Return up to so many rows that follow a place."""

    position_of: Callable[[StateRow], RowPosition | None]
    """Return where a stream stands in the list; None if it is not in it."""

    includes: Callable[[ProfileState], bool]
    """Say whether a person belongs in it: what a stream said may have been overruled by another."""


def load_page(
    reader: Reader, listing: ProfileListing, after: RowPosition | None, limit: int
) -> tuple[list[ProfileEntry], bool]:
    """Return the persons of one page, and whether there are more."""
    found: list[ProfileEntry] = []
    while len(found) <= limit:
        places = listing.candidates(reader, after, limit + 1)
        found += _entries(reader, listing, places)
        if len(places) <= limit:
            break
        after = places[-1]
    return found[:limit], len(found) > limit


def _entries(
    reader: Reader, listing: ProfileListing, places: Sequence[RowPosition]
) -> Iterator[ProfileEntry]:
    persons = reader.profiles(it.stream for it in places)
    streams = {stream for person in persons.values() for stream in person.streams}
    stored = load_state_rows(reader.tx, reader.workspace, streams)
    for place in places:
        person = persons[place.stream]
        own = [stored[it] for it in person.streams if it in stored]
        first = max(
            (it for row in own if (it := listing.position_of(row)) is not None), default=None
        )
        if place != first:
            continue
        joined = profile_state.merge({it.stream: it.state for it in own}, person)
        if listing.includes(joined):
            yield ProfileEntry(place, person, joined)


_ALL_PROFILES = f"""
SELECT seen_at, stream FROM {state}
WHERE workspace = %(workspace)s AND seen_at IS NOT NULL {{beyond}}
ORDER BY seen_at DESC, stream DESC LIMIT {{limit}}
"""

_NEWEST_MATCHES = f"""
SELECT met_at, stream FROM (
    SELECT met_at, stream, words FROM {search} WHERE workspace = %(workspace)s {{beyond}}
    ORDER BY met_at DESC, stream DESC LIMIT {{newest}}
) AS newest
WHERE strpos(words, %(pattern)s) > 0 ORDER BY met_at DESC, stream DESC LIMIT {{limit}}
"""

_ALL_MATCHES = f"""
WITH common AS MATERIALIZED (
    SELECT unnest(most_common_elems::text::int[]) AS gram, unnest(most_common_elem_freqs) AS share
    FROM pg_stats
    WHERE (schemaname, tablename, attname) = ('{search.schema}', '{search.name}', 'grams')
), asked AS MATERIALIZED (
    SELECT gram FROM unnest(%(grams)s::int[]) AS of (gram) LEFT JOIN common USING (gram)
    ORDER BY share NULLS FIRST LIMIT {RAREST_TRIGRAMS}
), found AS MATERIALIZED (
    SELECT met_at, stream FROM {search}
    WHERE grams @> ARRAY (SELECT gram FROM asked) AND workspace = %(workspace)s
        AND strpos(words, %(pattern)s) > 0 {{beyond}}
)
SELECT met_at, stream FROM found ORDER BY met_at DESC, stream DESC LIMIT {{limit}}
"""


def all_profiles() -> ProfileListing:
    """Return all persons, those last seen first."""

    def candidates(reader: Reader, after: RowPosition | None, limit: int) -> Sequence[RowPosition]:
        return _select_positions(reader, _ALL_PROFILES, "seen_at", after, limit)

    def place(row: StateRow) -> RowPosition | None:
        return None if row.last_seen_at is None else RowPosition(row.last_seen_at, row.stream)

    return ProfileListing(candidates=candidates, position_of=place, includes=lambda _: True)


def profiles_matching(pattern: str) -> ProfileListing:
    """Return the persons who have the pattern in their words, those first seen last first."""

    def candidates(reader: Reader, after: RowPosition | None, limit: int) -> Sequence[RowPosition]:
        asked: dict[str, Any] = {"pattern": pattern}
        found = _select_positions(reader, _NEWEST_MATCHES, "met_at", after, limit, **asked)
        if len(found) >= limit:
            return found
        asked |= {"grams": trigrams(pattern, reader.workspace)}
        return _select_positions(reader, _ALL_MATCHES, "met_at", after, limit, **asked)

    def place(row: StateRow) -> RowPosition | None:
        if row.first_seen_at is None or row.words is None or pattern not in row.words:
            return None
        return RowPosition(row.first_seen_at, row.stream)

    return ProfileListing(
        candidates=candidates,
        position_of=place,
        includes=lambda person: pattern in search_text(person),
    )


def _select_positions(
    reader: Reader, sql: str, column: str, after: RowPosition | None, limit: int, **params: Any
) -> Sequence[RowPosition]:
    # The limit is spelt out: as a parameter it is unknown to the planner, which then may sort all.
    beyond = "" if after is None else f"AND ({column}, stream) < (%(at)s, %(stream)s)"
    if after is not None:
        params |= after._asdict()
    statement = sql.format(beyond=beyond, limit=limit, newest=NEWEST_ROWS)
    found = reader.tx.exec_driver_sql(statement, {"workspace": reader.workspace, **params})
    return [RowPosition(*row) for row in found]
