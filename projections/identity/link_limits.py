"""Limits the links of an identifier to its first claims, see `domain.identity.claims`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain, compress
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from domain.core.identifiers import Identifier
from domain.identity import claims
from domain.identity.claims import Claim, claim_holders
from projections.identity.store import LINK_COLUMNS, Links, StoredLink, StreamPair, links_in
from projections.identity.tables import link, member

_MARK_CAPPED = text(f"""
UPDATE {member} SET capped = true
WHERE workspace = :workspace AND stream = ANY(:streams) AND NOT capped
""")


class LimitedLinks(NamedTuple):
    """New links, and the stored ones that they cap."""

    links: Links
    """All of them as they are stored from now on, except that `inactive` is not decided yet."""

    capped_streams: Collection[UUID]
    """Streams with more claims than count."""


_COUNTS = text(f"""
SELECT input.id, (
    SELECT count(*) FROM {link} WHERE workspace = :workspace AND stream = input.id AND counts_for_stream
) + (
    SELECT count(*) FROM {link} WHERE workspace = :workspace AND other = input.id AND counts_for_other
) FROM unnest(CAST(:streams AS uuid[])) AS input (id)
""")

_CLAIMS = text(f"""
SELECT {LINK_COLUMNS} FROM {link} WHERE workspace = :workspace AND (
    stream = ANY(:streams) AND counts_for_stream OR other = ANY(:streams) AND counts_for_other
    OR (stream, other) IN (SELECT * FROM unnest(CAST(:left AS uuid[]), CAST(:right AS uuid[])))
)
""")

_LAST_CLAIMS = text(f"""
SELECT DISTINCT ON (holder) holder, at AT TIME ZONE 'UTC', lesser.kind, lesser.value,
    greater.kind, greater.value
FROM (
    SELECT stream AS holder, * FROM {link}
    WHERE workspace = :workspace AND stream = ANY(:streams) AND counts_for_stream
    UNION ALL SELECT other AS holder, * FROM {link}
    WHERE workspace = :workspace AND other = ANY(:streams) AND counts_for_other
) AS claim
    JOIN {member} AS lesser ON lesser.workspace = :workspace AND lesser.stream = claim.stream
    JOIN {member} AS greater ON greater.workspace = :workspace AND greater.stream = claim.other
ORDER BY holder, at DESC, lesser.kind COLLATE "C" DESC, lesser.value COLLATE "C" DESC,
    greater.kind COLLATE "C" DESC, greater.value COLLATE "C" DESC
""")

_IDENTIFIERS = text(
    f"SELECT stream, kind, value FROM {member} WHERE workspace = :workspace AND stream = ANY(:streams)"
)


def limit_links(
    tx: Connection,
    workspace: int,
    new: Mapping[StreamPair, datetime],
    streams: Mapping[Identifier, UUID],
) -> LimitedLinks:
    """Returns the new links, of which each identifier's first claims count, and those they cap.

    ``streams`` are the streams of the identifiers in them.
    """
    identifiers = {stream: identifier for identifier, stream in streams.items()}
    links = {pair: _uncapped(pair, linked_at, identifiers) for pair, linked_at in new.items()}
    added = Counter(holder for pair, stored in links.items() for holder in _holders(pair, stored))
    params = {"workspace": workspace, "streams": sorted(added)}
    counts = tx.execute(_COUNTS, params).all() if added else ()
    over = {holder for holder, count in counts if count + added[holder] > claims.MAX_CLAIMS}
    full = {holder for holder, count in counts if count >= claims.MAX_CLAIMS}
    if full:
        links = _beyond_last_claims(tx, workspace, full, links, identifiers)
        over &= {holder for pair, stored in links.items() for holder in _holders(pair, stored)}
    if over:
        stored_links = _load_claims(tx, workspace, over, links)
        identifiers |= _load_identifiers(tx, workspace, chain.from_iterable(stored_links))
        links = _limit(over, stored_links, links, identifiers)
    capped = {
        holder
        for pair, stored in links.items()
        for holder, counts_for in zip(pair, stored.counts_for, strict=True)
        if counts_for is False
    }
    if capped:
        tx.execute(_MARK_CAPPED, {"workspace": workspace, "streams": list(capped)})
    return LimitedLinks(links, capped)


def _uncapped(
    pair: StreamPair, linked_at: datetime, identifiers: Mapping[UUID, Identifier]
) -> StoredLink:
    left, right = (identifiers[stream] for stream in pair)
    holders = {*claim_holders((left, right))}
    counts = (True if identifier in holders else None for identifier in (left, right))
    return StoredLink(linked_at, False, *counts)


def _holders(pair: StreamPair, stored: StoredLink) -> Iterator[UUID]:
    """Yields the streams for which a link counts."""
    return compress(pair, stored.counts_for)


def _beyond_last_claims(
    tx: Connection,
    workspace: int,
    full: Collection[UUID],
    new: Links,
    identifiers: Mapping[UUID, Identifier],
) -> dict[StreamPair, StoredLink]:
    """Returns the new links, of which those do not count that are later than all that count.

    Of an identifier that has many more links than count, that spares loading those that do.
    """
    stored_links = _load_claims(tx, workspace, (), new)
    rows = tx.execute(_LAST_CLAIMS, {"workspace": workspace, "streams": list(full)})
    last = {
        holder: Claim(at.replace(tzinfo=UTC), (Identifier(*names[:2]), Identifier(*names[2:])))
        for holder, at, *names in rows
    }
    links = {**new}
    for pair, added in new.items():
        left, right = (identifiers[stream] for stream in pair)
        claim = Claim(min(added.at, stored_links.get(pair, added).at), (left, right))
        for holder in list(_holders(pair, added)):
            if holder in last and claim > last[holder]:
                links[pair] = links[pair].beyond_limit_of(pair.index(holder))
    return links


def _load_claims(
    tx: Connection, workspace: int, holders: Collection[UUID], new: Collection[StreamPair]
) -> Links:
    """Returns the stored links that count for the holders, and those of the new pairs."""
    left, right = zip(*new, strict=True)
    params = {"streams": list(holders), "left": list(left), "right": list(right)}
    return links_in(tx.execute(_CLAIMS, {"workspace": workspace, **params}))


def _load_identifiers(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, Identifier]:
    params = {"workspace": workspace, "streams": list(set(streams))}
    return {
        stream: Identifier(kind, value) for stream, kind, value in tx.execute(_IDENTIFIERS, params)
    }


def _limit(
    over: Collection[UUID],
    stored_links: Links,
    new: Links,
    identifiers: Mapping[UUID, Identifier],
) -> dict[StreamPair, StoredLink]:
    """Returns the new links, and the stored ones that no longer count for one of the holders."""
    links = {**stored_links}
    for pair, added in new.items():
        known = stored_links.get(pair, added)
        links[pair] = added._replace(at=min(added.at, known.at))
    claims_of: dict[UUID, list[StreamPair]] = defaultdict(list)
    for pair, stored in links.items():
        for holder in _holders(pair, stored):
            if holder in over:
                claims_of[holder].append(pair)
    for holder, pairs in claims_of.items():
        pairs.sort(key=lambda pair: (links[pair].at, *(identifiers[stream] for stream in pair)))
        for pair in pairs[claims.MAX_CLAIMS :]:
            links[pair] = links[pair].beyond_limit_of(pair.index(holder))
    return {
        pair: stored
        for pair, stored in links.items()
        if pair in new or stored != stored_links[pair]
    }


_HOLDERS = text(f"""
SELECT stream FROM {member} WHERE workspace = :workspace AND capped AND stream <> ALL(:erased)
AND stream IN (
    SELECT stream FROM {link}
        WHERE workspace = :workspace AND other = ANY(:erased) AND counts_for_stream IS NOT NULL
    UNION ALL SELECT other FROM {link}
        WHERE workspace = :workspace AND stream = ANY(:erased) AND counts_for_other IS NOT NULL
)
""")

_BEYOND = text(f"""
SELECT link.stream, link.other FROM {link} AS link
    JOIN {member} AS lesser ON lesser.workspace = :workspace AND lesser.stream = link.stream
    JOIN {member} AS greater ON greater.workspace = :workspace AND greater.stream = link.other
WHERE link.workspace = :workspace AND link.stream <> ALL(:erased) AND other <> ALL(:erased) AND (
    link.stream = :holder AND NOT counts_for_stream OR other = :holder AND NOT counts_for_other
)
ORDER BY at, lesser.kind COLLATE "C", lesser.value COLLATE "C", greater.kind COLLATE "C",
    greater.value COLLATE "C"
LIMIT :limit
""")

_COUNT_OF_OTHERS = text(f"""
SELECT count(*) FROM {link} WHERE workspace = :workspace AND (
    stream = :holder AND counts_for_stream AND other <> ALL(:erased)
    OR other = :holder AND counts_for_other AND stream <> ALL(:erased)
)
""")

_LET_COUNT = text(f"""
UPDATE {link} SET counts_for_stream = counts_for_stream OR stream = :holder,
    counts_for_other = counts_for_other OR other = :holder
WHERE workspace = :workspace
    AND (stream, other) IN (SELECT * FROM unnest(CAST(:left AS uuid[]), CAST(:right AS uuid[])))
""")


def refill_claims(tx: Connection, workspace: int, erased: Collection[UUID]) -> Mapping[UUID, bool]:
    """Lets the next claims of identifiers count in the place of those with erased ones.

    Returns by stream whether the identifier still has more claims than count.  Is called before the links of
    the erased ones are removed.
    """
    params = {"workspace": workspace, "erased": list(erased)}
    still_capped: dict[UUID, bool] = {}
    for holder in tx.execute(_HOLDERS, params).scalars().all():
        of_holder = params | {"holder": holder}
        free = claims.MAX_CLAIMS - int(tx.execute(_COUNT_OF_OTHERS, of_holder).scalar_one())
        beyond = [(*row,) for row in tx.execute(_BEYOND, of_holder | {"limit": free + 1})]
        still_capped[holder] = len(beyond) > free
        if beyond[:free]:
            left, right = zip(*beyond[:free], strict=True)
            tx.execute(_LET_COUNT, of_holder | {"left": list(left), "right": list(right)})
    return still_capped
