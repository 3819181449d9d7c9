"""Pages of persons.  Rows are kept by stream: a person is shown in the place of their first row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.identity.resolved_profile import Person
from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState
from projections.profile.search_terms import grams, words_of
from projections.profile.states import Stored, rows
from projections.profile.tables import search, state
from projections.runtime.projection import Reader

NEWEST = 10_000
"""Rows that a search looks through before it asks the index of grams: 5 ms.

What many people share is among them; what is not is so rare that the index leads to few rows.  The
index alone would have to gather all of a million rows to show the newest fifty.
"""

RAREST = 4
"""Grams that the index is asked for.  The rarest say nearly all: with all of an id's, it takes 35 ms
for what it says in one, because most of them are in the ids of everybody.
"""


class Place(NamedTuple):
    """Where a row stands in a list, newest first."""

    at: datetime
    stream: UUID


class Found(NamedTuple):
    """A person in a list."""

    place: Place
    person: Person
    state: ProfileState


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list of persons."""

    candidates: Callable[[Reader, Place | None, int], Sequence[Place]]
    """Return up to so many rows that follow a place."""

    place: Callable[[Stored], Place | None]
    """Return where a stream stands in the list; None if it is not in it."""

    shows: Callable[[ProfileState], bool]
    """Say whether a person belongs in it: what a stream said may have been overruled by another."""


def page(
    reader: Reader, listing: Listing, after: Place | None, limit: int
) -> tuple[list[Found], bool]:
    """Return the persons of one page, and whether there are more."""
    found: list[Found] = []
    while len(found) <= limit:
        places = listing.candidates(reader, after, limit + 1)
        found += _persons(reader, listing, places)
        if len(places) <= limit:
            break
        after = places[-1]
    return found[:limit], len(found) > limit


def _persons(reader: Reader, listing: Listing, places: Sequence[Place]) -> Iterator[Found]:
    persons = reader.persons(it.stream for it in places)
    streams = {stream for person in persons.values() for stream in person.streams}
    stored = rows(reader.tx, reader.workspace, streams)
    for place in places:
        person = persons[place.stream]
        own = [stored[it] for it in person.streams if it in stored]
        first = max((it for row in own if (it := listing.place(row)) is not None), default=None)
        if place != first:
            continue
        joined = profile_state.join({it.stream: it.state for it in own}, person)
        if listing.shows(joined):
            yield Found(place, person, joined)


_EVERYBODY = f"""
SELECT seen_at, stream FROM {state}
WHERE workspace = %(workspace)s AND seen_at IS NOT NULL {{beyond}}
ORDER BY seen_at DESC, stream DESC LIMIT {{limit}}
"""

_NEWEST = f"""
SELECT met_at, stream FROM (
    SELECT met_at, stream, words FROM {search} WHERE workspace = %(workspace)s {{beyond}}
    ORDER BY met_at DESC, stream DESC LIMIT {{newest}}
) AS newest
WHERE strpos(words, %(pattern)s) > 0 ORDER BY met_at DESC, stream DESC LIMIT {{limit}}
"""

_ALL = f"""
WITH common AS MATERIALIZED (
    SELECT unnest(most_common_elems::text::int[]) AS gram, unnest(most_common_elem_freqs) AS share
    FROM pg_stats
    WHERE (schemaname, tablename, attname) = ('{search.schema}', '{search.name}', 'grams')
), asked AS MATERIALIZED (
    SELECT gram FROM unnest(%(grams)s::int[]) AS of (gram) LEFT JOIN common USING (gram)
    ORDER BY share NULLS FIRST LIMIT {RAREST}
), found AS MATERIALIZED (
    SELECT met_at, stream FROM {search}
    WHERE grams @> ARRAY (SELECT gram FROM asked) AND workspace = %(workspace)s
        AND strpos(words, %(pattern)s) > 0 {{beyond}}
)
SELECT met_at, stream FROM found ORDER BY met_at DESC, stream DESC LIMIT {{limit}}
"""


def everybody() -> Listing:
    """Return all persons, those last seen first."""

    def candidates(reader: Reader, after: Place | None, limit: int) -> Sequence[Place]:
        return _ask(reader, _EVERYBODY, "seen_at", after, limit)

    def place(row: Stored) -> Place | None:
        return None if row.seen_at is None else Place(row.seen_at, row.stream)

    return Listing(candidates=candidates, place=place, shows=lambda _: True)


def matching(pattern: str) -> Listing:
    """Return the persons who have the pattern in their words, those first seen last first."""

    def candidates(reader: Reader, after: Place | None, limit: int) -> Sequence[Place]:
        asked: dict[str, Any] = {"pattern": pattern}
        found = _ask(reader, _NEWEST, "met_at", after, limit, **asked)
        if len(found) >= limit:
            return found
        asked |= {"grams": grams(pattern, reader.workspace)}
        return _ask(reader, _ALL, "met_at", after, limit, **asked)

    def place(row: Stored) -> Place | None:
        if row.met_at is None or row.words is None or pattern not in row.words:
            return None
        return Place(row.met_at, row.stream)

    return Listing(
        candidates=candidates, place=place, shows=lambda person: pattern in words_of(person)
    )


def _ask(
    reader: Reader, sql: str, column: str, after: Place | None, limit: int, **asked: Any
) -> Sequence[Place]:
    # The limit is spelt out: as a parameter it is unknown to the planner, which then may sort all.
    beyond = "" if after is None else f"AND ({column}, stream) < (%(at)s, %(stream)s)"
    if after is not None:
        asked |= after._asdict()
    statement = sql.format(beyond=beyond, limit=limit, newest=NEWEST)
    found = reader.tx.exec_driver_sql(statement, {"workspace": reader.workspace, **asked})
    return [Place(*row) for row in found]
