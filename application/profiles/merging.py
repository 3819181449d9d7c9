"""Commands to merge profiles and to unmerge an identifier, recorded like any other message."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from application.ledger.ledger import Ledger
from domain.core.errors import Conflict, NotFound
from domain.core.identifiers import Identifier
from domain.events.events import ProfilesMerged, ProfilesUnmerged
from domain.events.message import MergePolicy, Message, MessageKind
from domain.identity import merge_commands
from domain.identity.facts import IdentityFact
from domain.identity.resolution import Component, resolve_components
from domain.identity.resolved_profile import ResolvedProfile, profile_of_component
from domain.profiles import state as profile_state
from domain.profiles.diff import ProfileChange, diff_states
from domain.profiles.state import ProfileState

SOURCE = "foldline"


class MergeContext(NamedTuple):
    """Actor and reason of a merge command, and the id that identifies it if it is sent again."""

    actor: str
    reason: str
    message_id: str


class MergeResult(NamedTuple):
    """Result of a merge or unmerge: the profiles before and after it."""

    changed: bool
    """False: nothing was recorded, because nothing changed or the command was sent again."""

    position: int | None
    """The ledger head after the command; None for a dry run, or if nothing was ever recorded."""

    before: tuple[ResolvedProfile, ...]
    """Of a merge: the primary profile comes first."""

    after: tuple[ResolvedProfile, ...]
    """Of an unmerge: the profile with the separated identifier comes last."""

    changes: Mapping[str, Sequence[ProfileChange]]
    """Changes of attributes and tags from the first profile before to the first one after."""


class _IdentifiedProfile(NamedTuple):
    """The identifier of a stream, and the identity facts of its profile."""

    identifier: Identifier
    facts: Collection[IdentityFact]


class MergeService:
    """Merges and unmerges profiles explicitly, where resolution cannot decide by itself."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def merge(
        self,
        workspace: int,
        primary: UUID,
        secondary: UUID,
        context: MergeContext,
        *,
        policy: MergePolicy = "latest",
        dry_run: bool = False,
    ) -> MergeResult:
        """Merges two profiles; with ``dry_run`` it only returns the result.

        Raises NotFound for an unknown stream, InvalidRequest for profiles that cannot be merged, and
        Conflict if a profile is suppressed or the message id was used for another command.
        """
        primary_profile = self._identified(workspace, primary)
        secondary_profile = self._identified(workspace, secondary)
        facts = {*primary_profile.facts, *secondary_profile.facts}
        before = [
            merge_commands.component_of(facts, profile.identifier)
            for profile in (primary_profile, secondary_profile)
        ]
        fact = merge_commands.plan_merge(
            facts, primary_profile.identifier, secondary_profile.identifier, policy, self._now()
        )
        if fact is None:
            return self._unchanged(workspace, before[0])
        after = [merge_commands.component_of([*facts, fact], primary_profile.identifier)]
        message = _message(
            context,
            "merge",
            fact.at,
            fact.primary,
            {"secondary": str(fact.secondary), "policy": policy},
            absorbs=(fact.secondary,),
            policy=policy,
        )
        return self._result(workspace, before, after, None if dry_run else message)

    def unmerge(
        self, workspace: int, stream: UUID, context: MergeContext, *, dry_run: bool = False
    ) -> MergeResult:
        """Separates a stream's identifier from its profile; ``dry_run`` only returns the result.

        Raises NotFound for an unknown stream, and Conflict like `merge`.
        """
        identifier, facts = self._identified(workspace, stream)
        component = merge_commands.component_of(facts, identifier)
        fact = merge_commands.plan_unmerge(facts, identifier, self._now())
        if fact is None:
            return self._unchanged(workspace, component)
        others = tuple(sorted(fact.apart_from))
        message = _message(
            context,
            "unmerge",
            fact.at,
            identifier,
            {"apart_from": [str(identifier) for identifier in others]},
            apart_from=others,
        )
        after = merge_commands.split_components([*facts, fact], component, identifier)
        return self._result(workspace, [component], after, None if dry_run else message)

    def _identified(self, workspace: int, stream: UUID) -> _IdentifiedProfile:
        facts = self._ledger.identity_facts_for(workspace, stream)
        for identifier, component in resolve_components(facts).items():
            if (
                self._ledger.stream_of(workspace, identifier) == stream
                and identifier not in component.guessed
            ):
                return _IdentifiedProfile(identifier, facts)
        state = self._ledger.stream_states(workspace, [stream]).get(stream)
        if state is None or not state.identifiers:
            raise NotFound("this profile is unknown in the workspace", id=str(stream))
        return _IdentifiedProfile(state.identifiers[0], facts)

    def _unchanged(
        self, workspace: int, *components: Component, position: int | None = None
    ) -> MergeResult:
        profiles, _ = self._profiles(workspace, components)
        return MergeResult(
            changed=False, position=position, before=profiles, after=profiles, changes={}
        )

    def _result(
        self,
        workspace: int,
        before: Sequence[Component],
        after: Sequence[Component],
        message: Message | None,
    ) -> MergeResult:
        profiles_before, states_before = self._profiles(workspace, before)
        profiles_after, states_after = self._profiles(workspace, after)
        changes = diff_states(states_before[0], states_after[0])
        if message is None:
            return MergeResult(
                changed=True,
                position=None,
                before=profiles_before,
                after=profiles_after,
                changes=changes,
            )
        receipt = self._ledger.record(workspace, [message]).result()
        if receipt.suppressed:
            raise Conflict("the profile is suppressed; lift the suppression first")
        if not receipt.recorded:
            position = self._replayed_position(workspace, message)
            return self._unchanged(workspace, *before, position=position)
        return MergeResult(True, receipt.position, profiles_before, profiles_after, changes)

    def _replayed_position(self, workspace: int, message: Message) -> int:
        """Returns the position of the same command, recorded before under this message id.

        Raises Conflict if the id was used for another command.
        """
        stream = self._ledger.stream_of(workspace, message.identifiers[0])
        for position, event in self._ledger.identity_events_for(workspace, [stream]).items():
            if (
                isinstance(event, ProfilesMerged | ProfilesUnmerged)
                and event.message_id == message.message_id
            ):
                recorded_merge = event.kind, event.subject, event.absorbed
                if recorded_merge == (message.kind, *message.identifiers, message.absorbs):
                    return position
        raise Conflict(
            "this key was used for a different request; use a new key, or none",
            key=message.message_id,
        )

    def _profiles(
        self, workspace: int, components: Sequence[Component]
    ) -> tuple[tuple[ResolvedProfile, ...], tuple[ProfileState, ...]]:
        """Returns the profiles of components, with all their identifiers, and their states."""
        stream_of = partial(self._ledger.stream_of, workspace)
        profiles = [profile_of_component(component, stream_of) for component in components]
        states_by_stream = self._ledger.stream_states(
            workspace, [stream for profile in profiles for stream in profile.streams]
        )
        states = tuple(profile_state.merge(states_by_stream, profile) for profile in profiles)
        return tuple(
            profile._replace(identifiers=state.identifiers)
            for profile, state in zip(profiles, states, strict=True)
        ), states


def _message(
    context: MergeContext,
    kind: MessageKind,
    occurred_at: datetime,
    subject: Identifier,
    properties: Mapping[str, Any],
    **facts: Any,
) -> Message:
    recorded_properties = {
        "subject": str(subject),
        **properties,
        "reason": context.reason,
        "actor": context.actor,
    }
    document = {
        "type": kind,
        "messageId": context.message_id,
        "timestamp": occurred_at,
        "properties": recorded_properties,
    }
    content = blake2b(msgspec.json.encode([kind, recorded_properties]), digest_size=8).digest()
    return Message(
        kind=kind,
        name=kind,
        message_id=context.message_id,
        identifiers=(subject,),
        actor=context.actor,
        reason=context.reason,
        occurred_at=occurred_at,
        received_at=occurred_at,
        source=SOURCE,
        payload=msgspec.json.encode(document),
        fingerprint=int.from_bytes(content, signed=True),
        **facts,
    )
