"""Deciding what automation rules there are, and which of them act."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.definitions.segments import segments_of
from application.definitions.store import Decision, Subject, free_id, id_by_key, sent_before
from application.deliveries.template_validation import check
from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from application.ledger.tables import definitions
from domain.core.errors import Conflict
from domain.events.recorded import Recorded
from domain.events.rule_events import RuleArchived, RuleDecree, RuleDefined, RuleEnabled
from domain.rules.rule import Definition, Rule
from domain.segments.segment import By, Segment

MOST = 1_000
"""Rules of a workspace that are there at the same time."""

_AT_ONCE = 1_000
"""Decisions about one rule that are held in memory at the same time."""

Decided = RuleDefined | RuleDecree


class Outcome(NamedTuple):
    """What a decision about a rule comes to."""

    rule: Rule
    changed: bool
    """False: it was so already, or was decided before under this key; nothing was recorded."""

    position: int
    """Of the decision that made it so."""


class Rules:
    """Decides about rules, one decision at a time in a workspace."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self, workspace: int, id_: str | None, wanted: Definition, decision: Decision
    ) -> Outcome:
        """Make a new rule, which does nothing until it is enabled; without an id it is called by its name.

        Raises Conflict if the id was used before, InvalidRequest for what cannot be.
        """
        check(wanted)
        with self._ledger.deciding(workspace) as connection:
            book = _Book(connection, workspace, self._ledger)
            before = book.sent_before(decision, id_, wanted)
            if before is not None:
                return before
            if id_ is None:
                id_ = free_id("rule", wanted.name, book.rules)
            elif id_ in book.rules:
                raise Conflict(
                    f"there is or was a rule {id_!r}; choose another id, or change that one",
                    rule=id_,
                )
            return self._define(book, id_, wanted, decision)

    def define(
        self,
        workspace: int,
        id_: str,
        wanted: Definition,
        decision: Decision,
        *,
        version: int | None = None,
    ) -> Outcome:
        """Make a rule what is wanted, whether or not it is there; one that is enabled stays so.

        ``version`` is that of the rule that was looked at before, 0 of one that is new.  Raises Conflict if
        somebody has decided since, InvalidRequest for what cannot be.
        """
        check(wanted)
        with self._ledger.deciding(workspace) as connection:
            book = _Book(connection, workspace, self._ledger)
            before = book.sent_before(decision, id_, wanted)
            if before is not None:
                return before
            book.subject(id_).check_version(version)
            return self._define(book, id_, wanted, decision)

    def enable(
        self,
        workspace: int,
        id_: str,
        decision: Decision,
        *,
        enabled: bool,
        version: int | None = None,
    ) -> Outcome:
        """Have a rule act on what happens from now on, or do nothing.

        Raises NotFound if it is not there, Conflict if somebody decided since.
        """
        decide = partial(Rule.enable, enabled=enabled)
        return self._decree(workspace, id_, enabled, decide, decision, version)

    def archive(
        self, workspace: int, id_: str, decision: Decision, *, version: int | None = None
    ) -> Outcome:
        """Have a rule be gone.  Raises NotFound if it is not there, Conflict if somebody decided since."""
        return self._decree(workspace, id_, None, Rule.archive, decision, version)

    def rule(self, workspace: int, id_: str) -> Rule:
        """Return a rule as its own stream tells it; one that never was has version 0."""
        rule, after = Rule(id_), 0
        while page := self.history(workspace, id_, after=after, limit=_AT_ONCE):
            for it in page:
                rule = rule.after(decided(it))
            after = page[-1].position
        return rule

    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[Recorded]:
        """Return what was decided about a rule after a position, in order."""
        stream = self._ledger.rule_stream(workspace, id_)
        return self._ledger.history(workspace, [stream], after=after, until=LATEST, limit=limit)

    def _decree(  # noqa: PLR0917 - what a decision is made of
        self,
        workspace: int,
        id_: str,
        said: bool | None,
        decide: Callable[[Rule, By], RuleDecree | None],
        decision: Decision,
        version: int | None,
    ) -> Outcome:
        with self._ledger.deciding(workspace) as connection:
            book = _Book(connection, workspace, self._ledger)
            before = book.sent_before(decision, id_, said)
            if before is not None:
                return before
            event = decide(book.rule(id_), self._by(decision))
            book.subject(id_).check_version(version)
            return book.write(id_, event, decision.key)

    def _define(self, book: _Book, id_: str, wanted: Definition, decision: Decision) -> Outcome:
        rule = book.rule(id_)
        event = rule.define(wanted, book.is_segment, self._by(decision))
        if event is not None and not rule.is_there and book.number >= MOST:
            raise Conflict(
                f"a workspace has at most {MOST:,} rules; archive some first", limit=MOST
            )
        return book.write(id_, event, decision.key)

    def _by(self, decision: Decision) -> By:
        return By(decision.actor, self._now(), decision.reason)


class _Book:
    """All rules of a workspace, in the transaction that decides about one of them."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self._connection, self._workspace, self._ledger = connection, workspace, ledger
        self._decisions: dict[UUID, Recorded] = {}
        self.rules: dict[str, Rule] = {}
        self._positions: dict[str, int] = {}
        for it in definitions.rules(connection, workspace):
            event = decided(it)
            self._decisions[event.id] = it
            self.rules[event.rule] = self.rule(event.rule).after(event)
            self._positions[event.rule] = it.position

    @cached_property
    def _segments(self) -> Mapping[str, Segment]:
        return segments_of(self._connection, self._workspace)

    @property
    def number(self) -> int:
        """How many rules are there."""
        return sum(it.is_there for it in self.rules.values())

    def rule(self, id_: str) -> Rule:
        """Return a rule; one that never was has version 0."""
        return self.rules.get(id_) or Rule(id_)

    def is_segment(self, id_: str) -> bool:
        """Say whether there is such a segment."""
        found = self._segments.get(id_)
        return found is not None and found.is_there

    def subject(self, id_: str) -> Subject:
        """Return a rule as what is decided about."""
        stream = self._ledger.rule_stream(self._workspace, id_)
        return Subject("rule", id_, stream, self.rule(id_).version)

    def sent_before(
        self, decision: Decision, id_: str | None, wanted: Definition | bool | None
    ) -> Outcome | None:
        """Return what came of the same decision when it was first sent; None if it was not.

        Raises Conflict if its key was that of another decision.
        """
        made = self._decisions.get(id_by_key(decision.key)) if decision.key is not None else None
        if made is None:
            return None
        event = decided(made)
        if id_ not in {None, event.rule} or _said(event) != wanted:
            raise sent_before("rule", event.rule, made.position)
        return Outcome(self.rules[event.rule], changed=False, position=made.position)

    def write(self, id_: str, event: Decided | None, key: str | None) -> Outcome:
        """Append a decision as the next in the rule's stream, if there is one."""
        rule = self.rule(id_)
        if event is None:
            return Outcome(rule, changed=False, position=self._positions[id_])
        position = self.subject(id_).write(self._connection, self._workspace, event, key)
        return Outcome(rule.after(event), changed=True, position=position)


def decided(recorded: Recorded) -> Decided:
    """Return what was decided about a rule: such events are never erased."""
    event = recorded.event
    assert isinstance(event, RuleDefined | RuleDecree)
    return event


def _said(event: Decided) -> Definition | bool | None:
    """Return what a decision said: what the rule is, whether it acts, or that it is gone."""
    if isinstance(event, RuleDefined):
        return Definition(event.name, event.description, event.plan)
    return None if isinstance(event, RuleArchived) else isinstance(event, RuleEnabled)
