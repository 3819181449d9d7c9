"""Changes that one step of the evaluator makes: what rules are triggered by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from domain.core.ledger_time import Cause
from domain.evaluation.inputs import EventInput, IdentityChange
from domain.evaluation.rule_index import AttributeValues


class MembershipChange(NamedTuple):
    """A profile entered a segment or left it."""

    profile_id: UUID
    segment: str
    entered: bool


class EventChanges(NamedTuple):
    """What an event changed."""

    event_input: EventInput
    profile_id: UUID
    created: bool
    """Whether it is the profile's first event."""

    previous_values: AttributeValues
    """Observed attributes before the event, if it is of a kind that may change them."""

    memberships: Sequence[MembershipChange]


class TimerChanges(NamedTuple):
    """What time alone changed for a profile."""

    profile_id: UUID
    cause: Cause
    memberships: Sequence[MembershipChange]


class CommandChanges(NamedTuple):
    """What a command changed: a definition, or an entry of a manual list."""

    cause: Cause
    memberships: Sequence[MembershipChange]
    by_definition: bool = False


class IdentitySnapshot(NamedTuple):
    """State before an identity change, of the profiles that it involves."""

    profile_of_stream: Mapping[UUID, UUID]
    """Owners of the streams of profiles that existed."""

    attribute_values: Mapping[UUID, AttributeValues]
    segments: Mapping[UUID, frozenset[str]]


class MergeChanges(NamedTuple):
    """What a merge, an unmerge or a link changed."""

    identity_change: IdentityChange
    profile_ids: Sequence[UUID]
    """Old and new owners of the streams that moved, sorted."""

    before: IdentitySnapshot
    memberships: Sequence[MembershipChange]


Changes = EventChanges | TimerChanges | CommandChanges | MergeChanges
