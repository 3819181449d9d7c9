"""Merging people and taking a name out of one again: decisions, recorded like any other message."""

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
from domain.events.events import Merged, Unmerged
from domain.events.message import Message, MessageKind, Policy
from domain.identity import merge_commands
from domain.identity.resolution import Component, Fact, resolve
from domain.identity.resolved_profile import Person, person_of
from domain.profiles import state as profile_state
from domain.profiles.diff import Change, difference
from domain.profiles.state import ProfileState

SOURCE = "foldline"


class Decision(NamedTuple):
    """Who decided, why, and the id by which the same decision is recognised if it is sent again."""

    actor: str
    reason: str
    message_id: str


class Outcome(NamedTuple):
    """What a decision comes to."""

    changed: bool
    """False: it was so already, or was decided before under this id; nothing was recorded."""

    position: int | None
    """The ledger's last position after it; None if nothing was ever recorded."""

    before: tuple[Person, ...]
    """Of a merge, the primary first."""

    after: tuple[Person, ...]
    """Of an unmerge, the one with the name that was taken out last."""

    changes: Mapping[str, Sequence[Change]]
    """From the first of those before to the first of those after."""


class _Named(NamedTuple):
    """A profile that was referred to, by the name whose stream it is."""

    name: Identifier
    facts: Collection[Fact]


class Merging:
    """Decides who is who where nobody but a person can."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def merge(
        self,
        workspace: int,
        primary: UUID,
        secondary: UUID,
        decision: Decision,
        *,
        policy: Policy = "latest",
        dry_run: bool = False,
    ) -> Outcome:
        """Make one person of two, or say what that would come to.

        Raises NotFound for a stream that nothing is known of, InvalidRequest for one of nobody, and
        Conflict if one of them is suppressed or the decision's id was used for something else.
        """
        one, other = self._named(workspace, primary), self._named(workspace, secondary)
        facts = {*one.facts, *other.facts}
        before = [merge_commands.component(facts, it.name) for it in (one, other)]
        fact = merge_commands.merge(facts, one.name, other.name, policy, self._now())
        if fact is None:
            return self._unchanged(workspace, before[0])
        after = [merge_commands.component([*facts, fact], one.name)]
        said = _message(
            decision,
            "merge",
            fact.at,
            fact.primary,
            {"secondary": str(fact.secondary), "policy": policy},
            absorbs=(fact.secondary,),
            policy=policy,
        )
        return self._outcome(workspace, before, after, None if dry_run else said)

    def unmerge(
        self, workspace: int, stream: UUID, decision: Decision, *, dry_run: bool = False
    ) -> Outcome:
        """Take the name whose stream it is out of its person, or say what that would come to.

        Raises NotFound for a stream that nothing is known of, and Conflict as a merge does.
        """
        name, facts = self._named(workspace, stream)
        whole = merge_commands.component(facts, name)
        fact = merge_commands.unmerge(facts, name, self._now())
        if fact is None:
            return self._unchanged(workspace, whole)
        others = tuple(sorted(fact.apart_from))
        said = _message(
            decision,
            "unmerge",
            fact.at,
            name,
            {"apart_from": [str(it) for it in others]},
            apart_from=others,
        )
        after = merge_commands.parts([*facts, fact], whole, name)
        return self._outcome(workspace, [whole], after, None if dry_run else said)

    def _named(self, workspace: int, stream: UUID) -> _Named:
        facts = self._ledger.facts(workspace, stream)
        for name, component in resolve(facts).items():
            if self._ledger.stream_of(workspace, name) == stream and name not in component.guessed:
                return _Named(name, facts)
        state = self._ledger.states(workspace, [stream]).get(stream)
        if state is None or not state.identifiers:
            raise NotFound("no such profile is known in this workspace", id=str(stream))
        return _Named(state.identifiers[0], facts)

    def _unchanged(
        self, workspace: int, *components: Component, position: int | None = None
    ) -> Outcome:
        they, _ = self._people(workspace, components)
        return Outcome(changed=False, position=position, before=they, after=they, changes={})

    def _outcome(
        self,
        workspace: int,
        before: Sequence[Component],
        after: Sequence[Component],
        said: Message | None,
    ) -> Outcome:
        olds, were = self._people(workspace, before)
        news, are = self._people(workspace, after)
        changes = difference(were[0], are[0])
        if said is None:
            return Outcome(changed=True, position=None, before=olds, after=news, changes=changes)
        receipt = self._ledger.record(workspace, [said]).result()
        if receipt.suppressed:
            raise Conflict("nothing is recorded about a suppressed person; unsuppress them first")
        if not receipt.recorded:
            position = self._decided_before(workspace, said)
            return self._unchanged(workspace, *before, position=position)
        return Outcome(True, receipt.position, olds, news, changes)

    def _decided_before(self, workspace: int, said: Message) -> int:
        """Return where the same was recorded under the same id.  Raises Conflict if it was another."""
        stream = self._ledger.stream_of(workspace, said.identifiers[0])
        for position, event in self._ledger.attested(workspace, [stream]).items():
            if isinstance(event, Merged | Unmerged) and event.message_id == said.message_id:
                told = event.kind, event.subject, event.absorbed
                if told == (said.kind, *said.identifiers, said.absorbs):
                    return position
        raise Conflict(
            "this key was used before, for something else; send another, or none",
            key=said.message_id,
        )

    def _people(
        self, workspace: int, components: Sequence[Component]
    ) -> tuple[tuple[Person, ...], tuple[ProfileState, ...]]:
        """Return the persons that these are, with all names that there are, and their states."""
        stream_of = partial(self._ledger.stream_of, workspace)
        persons = [person_of(it, stream_of) for it in components]
        kept = self._ledger.states(workspace, [it for one in persons for it in one.streams])
        states = tuple(profile_state.join(kept, it) for it in persons)
        named = zip(persons, states, strict=True)
        return tuple(it._replace(identifiers=state.identifiers) for it, state in named), states


def _message(
    decision: Decision,
    kind: MessageKind,
    at: datetime,
    subject: Identifier,
    properties: Mapping[str, Any],
    **facts: Any,
) -> Message:
    said = {
        "subject": str(subject),
        **properties,
        "reason": decision.reason,
        "actor": decision.actor,
    }
    document = {"type": kind, "messageId": decision.message_id, "timestamp": at, "properties": said}
    content = blake2b(msgspec.json.encode([kind, said]), digest_size=8).digest()
    return Message(
        kind=kind,
        name=kind,
        message_id=decision.message_id,
        identifiers=(subject,),
        actor=decision.actor,
        reason=decision.reason,
        occurred_at=at,
        received_at=at,
        source=SOURCE,
        payload=msgspec.json.encode(document),
        content=int.from_bytes(content, signed=True),
        **facts,
    )
