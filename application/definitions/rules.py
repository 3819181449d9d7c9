"""Commands about automation rules: create, define, enable, disable and archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.definitions.segment_store import load_segments
from application.definitions.store import (
    CommandContext,
    DefinitionStream,
    event_id_for_key,
    free_id,
    idempotency_key_conflict,
)
from application.deliveries.template_validation import validate_templates
from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from application.ledger.tables import definitions
from domain.core.actor import Actor
from domain.core.errors import Conflict
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleArchived, RuleDefined, RuleEnabled, RuleStatusChanged
from domain.rules.rule import Rule, RuleVersion
from domain.segments.segment import Segment

MAX_RULES = 1_000
"""Maximum number of rules of a workspace, archived ones not counted."""

_PAGE_SIZE = 1_000
"""Events of one rule that are read in one query."""

RecordedRuleEvent = RuleDefined | RuleStatusChanged


class RuleResult(NamedTuple):
    """Result of a command about a rule."""

    rule: Rule
    changed: bool
    """False: nothing was recorded, because nothing changed or the command was sent again."""

    position: int
    """Position of the event that led to this state."""


class RuleService:
    """Records commands about rules, one at a time in a workspace."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self, workspace: int, id_: str | None, definition: RuleVersion, context: CommandContext
    ) -> RuleResult:
        """Creates a disabled rule; without ``id_`` the id is derived from its name.

        Raises Conflict if the id was used before, InvalidRequest for an invalid definition.
        """
        validate_templates(definition)
        with self._ledger.definition_transaction(workspace) as connection:
            store = _RuleStore(connection, workspace, self._ledger)
            earlier = store.replayed(context, id_, definition)
            if earlier is not None:
                return earlier
            if id_ is None:
                id_ = free_id("rule", definition.name, store.rules)
            elif id_ in store.rules:
                raise Conflict(
                    f"rule id {id_!r} is or was in use; choose another id or update that rule",
                    rule=id_,
                )
            return self._define(store, id_, definition, context)

    def define(
        self,
        workspace: int,
        id_: str,
        definition: RuleVersion,
        context: CommandContext,
        *,
        version: int | None = None,
    ) -> RuleResult:
        """Creates or replaces a rule; an enabled rule stays enabled.

        ``version`` is the expected version, 0 for a new rule; None: any.  Raises Conflict for another
        version, InvalidRequest for an invalid definition.
        """
        validate_templates(definition)
        with self._ledger.definition_transaction(workspace) as connection:
            store = _RuleStore(connection, workspace, self._ledger)
            earlier = store.replayed(context, id_, definition)
            if earlier is not None:
                return earlier
            store.stream(id_).check_version(version)
            return self._define(store, id_, definition, context)

    def set_enabled(
        self,
        workspace: int,
        id_: str,
        context: CommandContext,
        *,
        enabled: bool,
        version: int | None = None,
    ) -> RuleResult:
        """Enables or disables a rule; an enabled rule is triggered by later events.

        Raises NotFound if it does not exist, Conflict for another version than the expected one.
        """
        command = partial(Rule.enable, enabled=enabled)
        return self._change_status(workspace, id_, enabled, command, context, version)

    def archive(
        self, workspace: int, id_: str, context: CommandContext, *, version: int | None = None
    ) -> RuleResult:
        """Archives a rule.

        Raises NotFound if it does not exist, Conflict for another version than the expected one.
        """
        return self._change_status(workspace, id_, None, Rule.archive, context, version)

    def rule(self, workspace: int, id_: str) -> Rule:
        """Returns a rule, replayed from its stream; one that was never defined has version 0."""
        rule, after = Rule(id_), 0
        while page := self.history(workspace, id_, after=after, limit=_PAGE_SIZE):
            for recorded in page:
                rule = rule.apply(rule_event(recorded))
            after = page[-1].position
        return rule

    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[RecordedEvent]:
        """Returns the events of a rule after a position, in order."""
        stream = self._ledger.rule_stream(workspace, id_)
        return self._ledger.stream_events(
            workspace, [stream], after=after, until=LATEST, limit=limit
        )

    def _change_status(  # noqa: PLR0917 - the parts of one command
        self,
        workspace: int,
        id_: str,
        content: bool | None,
        command: Callable[[Rule, Actor], RuleStatusChanged | None],
        context: CommandContext,
        version: int | None,
    ) -> RuleResult:
        with self._ledger.definition_transaction(workspace) as connection:
            store = _RuleStore(connection, workspace, self._ledger)
            earlier = store.replayed(context, id_, content)
            if earlier is not None:
                return earlier
            event = command(store.rule(id_), self._actor(context))
            store.stream(id_).check_version(version)
            return store.append(id_, event, context.idempotency_key)

    def _define(
        self, store: _RuleStore, id_: str, definition: RuleVersion, context: CommandContext
    ) -> RuleResult:
        rule = store.rule(id_)
        event = rule.define(definition, store.segment_exists, self._actor(context))
        if event is not None and not rule.exists and store.active_count >= MAX_RULES:
            raise Conflict(
                f"a workspace has at most {MAX_RULES:,} rules; archive some first", limit=MAX_RULES
            )
        return store.append(id_, event, context.idempotency_key)

    def _actor(self, context: CommandContext) -> Actor:
        return Actor(context.actor, self._now(), context.reason)


class _RuleStore:
    """All rules of a workspace, loaded in the transaction of a command."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self._connection, self._workspace, self._ledger = connection, workspace, ledger
        self._events_by_id: dict[UUID, RecordedEvent] = {}
        self.rules: dict[str, Rule] = {}
        self._positions: dict[str, int] = {}
        for recorded in definitions.load_rule_events(connection, workspace):
            event = rule_event(recorded)
            self._events_by_id[event.id] = recorded
            self.rules[event.rule] = self.rule(event.rule).apply(event)
            self._positions[event.rule] = recorded.position

    @cached_property
    def _segments(self) -> Mapping[str, Segment]:
        return load_segments(self._connection, self._workspace)

    @property
    def active_count(self) -> int:
        """How many rules exist, archived ones not counted."""
        return sum(rule.exists for rule in self.rules.values())

    def rule(self, id_: str) -> Rule:
        """Returns a rule; one that was never defined has version 0."""
        return self.rules.get(id_) or Rule(id_)

    def segment_exists(self, id_: str) -> bool:
        """Returns whether a segment exists and is not archived."""
        segment = self._segments.get(id_)
        return segment is not None and segment.exists

    def stream(self, id_: str) -> DefinitionStream:
        """Returns the stream of a rule, at its current version."""
        stream = self._ledger.rule_stream(self._workspace, id_)
        return DefinitionStream("rule", id_, stream, self.rule(id_).version)

    def replayed(
        self, context: CommandContext, id_: str | None, content: RuleVersion | bool | None
    ) -> RuleResult | None:
        """Returns the result of a command that was sent before with this key; None if it is new.

        Raises Conflict if the key was used for another command.
        """
        recorded = (
            self._events_by_id.get(event_id_for_key(context.idempotency_key))
            if context.idempotency_key is not None
            else None
        )
        if recorded is None:
            return None
        event = rule_event(recorded)
        if id_ not in {None, event.rule} or _content_of(event) != content:
            raise idempotency_key_conflict("rule", event.rule, recorded.position)
        return RuleResult(self.rules[event.rule], changed=False, position=recorded.position)

    def append(
        self, id_: str, event: RecordedRuleEvent | None, idempotency_key: str | None
    ) -> RuleResult:
        """Appends an event to the rule's stream; without one, nothing changes."""
        rule = self.rule(id_)
        if event is None:
            return RuleResult(rule, changed=False, position=self._positions[id_])
        position = self.stream(id_).append(
            self._connection, self._workspace, event, idempotency_key
        )
        return RuleResult(rule.apply(event), changed=True, position=position)


def rule_event(recorded: RecordedEvent) -> RecordedRuleEvent:
    """Returns the event of a rule; such events are never erased."""
    event = recorded.event
    assert isinstance(event, RuleDefined | RuleStatusChanged)
    return event


def _content_of(event: RecordedRuleEvent) -> RuleVersion | bool | None:
    """Returns the content of a command: a definition, whether to enable, or None to archive."""
    if isinstance(event, RuleDefined):
        return RuleVersion(event.name, event.description, event.plan)
    return None if isinstance(event, RuleArchived) else isinstance(event, RuleEnabled)
