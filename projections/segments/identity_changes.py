"""Finds what the identity facts of a batch change, loading as few earlier facts as possible."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from itertools import chain
from uuid import UUID

from sqlalchemy import Connection

from domain.core.identifiers import Identifier
from domain.core.ledger_time import Cause
from domain.core.time import to_micros
from domain.evaluation.inputs import IdentityChange
from domain.evaluation.profile_context import StreamOwner, StreamState
from domain.events.recorded import RecordedEvent
from domain.identity.claims import Claim, claim_holders
from domain.identity.facts import LinkFact, link_pair
from projections.runtime.batch import Batch
from projections.segments.inputs import (
    IdentityChanges,
    RecordedIdentityFact,
    derive_identity_changes,
    facts_in_records,
    read_identity_facts,
)
from projections.segments.tables import claim_limit

_LOAD_LIMITS = f"""
SELECT stream, at, left_kind, left_value, right_kind, right_value
FROM {claim_limit} WHERE workspace = %s AND stream = ANY(%s)
"""

_SAVE_LIMITS = f"""
INSERT INTO {claim_limit} AS stored VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (workspace, stream) DO UPDATE SET at = excluded.at, left_kind = excluded.left_kind,
    left_value = excluded.left_value, right_kind = excluded.right_kind, right_value = excluded.right_value
WHERE stored IS DISTINCT FROM excluded
"""


class PlannedIdentity:
    """The identity facts of records: which of them join something, and what they change."""

    def __init__(self, tx: Connection, batch: Batch, records: Sequence[RecordedEvent]) -> None:
        self._stream_of = batch.stream_of
        self._recorded_times = {
            record.position: to_micros(record.recorded_at) for record in records
        }
        facts = facts_in_records(records, batch.stream_of)
        capped = set(_capped_facts(tx, batch, facts))
        resolved = self._resolve(batch, [fact for fact in facts if fact not in capped])
        self.claim_limits = resolved.claim_limits
        """To be saved with the batch."""

        self._changes = resolved.changes
        changed = {stream for change in self._changes for stream in change.owners}
        self._unjoined = [fact for fact in facts if fact in capped and not fact.streams <= changed]
        self.streams = {
            stream
            for change in self._changes
            for id_, owner in change.owners.items()
            for stream in (id_, owner.profile_id)
        }.union(*(fact.streams for fact in self._unjoined))
        """Streams that they concern."""

    def changes(self, known: Mapping[UUID, StreamState]) -> Sequence[IdentityChange]:
        """Returns the changes in the order of the ledger, given the known ones of the streams."""
        changes = [*self._changes, *self._new_identifiers(known)]
        return sorted(changes, key=lambda change: change.cause.position)

    def _new_identifiers(self, known: Mapping[UUID, StreamState]) -> Iterator[IdentityChange]:
        """Yields identifiers that appear for the first time, with links that join nothing."""
        seen = {stream for change in self._changes for stream in change.owners}
        for position, fact, _ in self._unjoined:
            owners = {
                stream: StreamOwner(stream, identifier.kind)
                for identifier in link_pair(fact) or ()
                if (stream := self._stream_of(identifier)) not in known and stream not in seen
            }
            if owners:
                seen.update(owners)
                cause = Cause(self._recorded_times[position], position)
                yield IdentityChange(cause, owners, to_micros(fact.at))

    def _resolve(self, batch: Batch, facts: Sequence[RecordedIdentityFact]) -> IdentityChanges:
        streams = frozenset[UUID]().union(*(fact.streams for fact in facts))
        if not streams:
            return IdentityChanges((), {})
        last = max(self._recorded_times)
        events = {
            position: event
            for position, event in batch.identity_events_for(streams).items()
            if position <= last
        }
        all_facts = list(read_identity_facts(events, batch.stream_of))
        return derive_identity_changes(all_facts, self._recorded_times, batch.stream_of)


def _capped_facts(
    tx: Connection, batch: Batch, facts: Iterable[RecordedIdentityFact]
) -> Iterator[RecordedIdentityFact]:
    """Yields links that are later than all claims that count for their identifiers.

    All of these: the first claims of one are found even where the other has enough.
    """
    claims = {
        fact: Claim(fact.fact.at, pair)
        for fact in facts
        if isinstance(fact.fact, LinkFact) and (pair := link_pair(fact.fact)) is not None
    }
    holders = {
        fact: [batch.stream_of(holder) for holder in claim_holders(claim.pair)]
        for fact, claim in claims.items()
    }
    limits = _load_limits(tx, batch.workspace, set(chain.from_iterable(holders.values())))
    for fact, claim in claims.items():
        streams = holders[fact]
        if streams and all(stream in limits and claim > limits[stream] for stream in streams):
            yield fact


def _load_limits(tx: Connection, workspace: int, streams: Collection[UUID]) -> Mapping[UUID, Claim]:
    if not streams:
        return {}
    rows = tx.exec_driver_sql(_LOAD_LIMITS, (workspace, sorted(streams)))
    return {
        stream: Claim(at.astimezone(UTC), (Identifier(*names[:2]), Identifier(*names[2:])))
        for stream, at, *names in rows
    }


def save_claim_limits(tx: Connection, workspace: int, limits: Mapping[UUID, Claim]) -> None:
    """Saves the last counting claims, by stream, that later batches compare links with."""
    rows = [
        (workspace, stream, claim.at, *chain.from_iterable(claim.pair))
        for stream, claim in sorted(limits.items())
    ]
    if rows:
        tx.exec_driver_sql(_SAVE_LIMITS, rows)
