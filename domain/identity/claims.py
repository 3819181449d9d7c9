"""Claims: the automatic links of an identifier, of which only the first ones count."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from domain.core.identifiers import Identifier
from domain.identity.facts import IdentityFact, LinkPair, link_pair

MAX_CLAIMS = 1_000
"""Number of links that count for one identifier, see `capped_links`.

A customer has dozens of devices.  Without a limit, a holder of a write key, which may be public, could
make one profile so large that each of its events delays all read models.
"""


def claim_holders(pair: LinkPair) -> Iterator[Identifier]:
    """Yields the identifiers whose number of claims a link counts towards.

    A ``user_id`` is no claim: an identifier joins only the first one that it is linked with.
    """
    left, right = pair
    if right.kind != "user_id":
        yield left
    if left.kind != "user_id":
        yield right


class Claim(NamedTuple):
    """A link, in the order in which links count."""

    at: datetime
    pair: LinkPair


class CappedLinks(NamedTuple):
    """Links beyond the first claims of either of their identifiers."""

    pairs: AbstractSet[LinkPair]
    holders: AbstractSet[Identifier]
    """Identifiers with more claims than count."""


def capped_links(facts: Iterable[IdentityFact], max_claims: int | None = None) -> CappedLinks:
    """Returns the links beyond the first ``max_claims`` of an identifier.

    By default `MAX_CLAIMS`.  The first are those by time, then by pair.  Neither separations nor other links matter, so that a link can only
    cap links of its own two identifiers.
    """
    limit = MAX_CLAIMS if max_claims is None else max_claims
    linked_at: dict[LinkPair, datetime] = {}
    for fact in facts:
        pair = link_pair(fact)
        if pair is not None:
            linked_at[pair] = min(fact.at, linked_at.get(pair, fact.at))
    counts = Counter(holder for pair in linked_at for holder in claim_holders(pair))
    holders = {holder for holder, count in counts.items() if count > limit}
    capped, taken = set[LinkPair](), Counter[Identifier]()
    for pair in sorted(linked_at, key=lambda pair: (linked_at[pair], pair)) if holders else ():
        for holder in holders.intersection(claim_holders(pair)):
            taken[holder] += 1
            if taken[holder] > limit:
                capped.add(pair)
    return CappedLinks(capped, holders)


class Claims:
    """The first claims of each identifier, as links arrive: incremental `capped_links`."""

    def __init__(self, limit: int | None = None) -> None:
        """Without a ``limit`` it is `MAX_CLAIMS`."""
        self._limit = MAX_CLAIMS if limit is None else limit
        self._linked_at: dict[LinkPair, datetime] = {}
        self._first: dict[Identifier, list[Claim]] = defaultdict(list)
        self._refusals = Counter[LinkPair]()
        """Number of its two identifiers beyond whose limit a pair is."""

    def add(self, pair: LinkPair, at: datetime) -> Sequence[LinkPair]:
        """Adds a link, or an earlier time of one; returns the pairs that are capped by it.

        One of them may be the pair itself.
        """
        known = self._linked_at.get(pair)
        if known is not None and known <= at:
            return ()
        self._linked_at[pair] = at
        evicted = []
        for holder in claim_holders(pair):
            first = self._first[holder]
            if known is not None:
                self._withdraw(first, known, pair)
            insort(first, Claim(at, pair))
            if len(first) > self._limit:
                _, last = first.pop()
                if not self._refusals[last]:
                    evicted.append(last)
                self._refusals[last] += 1
        return evicted

    def limits(self) -> Mapping[Identifier, Claim]:
        """Returns the last counting claim of each identifier that has as many as count.

        A later claim of that identifier is capped.
        """
        return {
            holder: first[-1] for holder, first in self._first.items() if len(first) == self._limit
        }

    def is_capped(self, pair: LinkPair) -> bool:
        """Returns whether a pair is beyond the limit of one of its identifiers."""
        return self._refusals[pair] > 0

    def _withdraw(self, first: list[Claim], at: datetime, pair: LinkPair) -> None:
        index = bisect_left(first, Claim(at, pair))
        if index < len(first) and first[index] == (at, pair):
            del first[index]
        else:
            self._refusals[pair] -= 1
