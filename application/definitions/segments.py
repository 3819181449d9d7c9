"""Deciding what segments there are, and who is on the lists that are kept by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.definitions import manual_lists
from application.definitions.computed_attribute_store import ComputedBook
from application.definitions.manual_lists import Listing, Wanted
from application.definitions.store import Decision, Subject, free_id, id_by_key, sent_before
from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from application.ledger.tables import definitions
from domain.conditions import Value
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.events.events import SegmentArchived, SegmentDefined
from domain.events.recorded import Recorded
from domain.events.rule_events import RuleDecree, RuleDefined
from domain.rules.rule import Rule
from domain.segments.segment import By, Definition, Segment

MOST = 1_000
"""Segments of a workspace that are there at the same time."""

LONGEST_LIST = 1_000
"""People that are put on a list or taken off in one decision."""

_AT_ONCE = 1_000
"""Decisions about one segment that are held in memory at the same time."""

Decided = SegmentDefined | SegmentArchived


class Outcome(NamedTuple):
    """What a decision about a segment comes to."""

    segment: Segment
    changed: bool
    """False: it was so already, or was decided before under this key; nothing was recorded."""

    position: int
    """Of the decision that made it so."""


class Segments:
    """Decides about segments, one decision at a time in a workspace."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self, workspace: int, id_: str | None, wanted: Definition, decision: Decision
    ) -> Outcome:
        """Make a new segment; without an id it is called by its name.

        Raises Conflict if the id was used before, InvalidRequest for what cannot be.
        """
        with self._ledger.deciding(workspace) as connection:
            book = _Book(connection, workspace, self._ledger)
            before = book.sent_before(decision, id_, wanted)
            if before is not None:
                return before
            if id_ is None:
                id_ = free_id("segment", wanted.name, book.segments)
            elif id_ in book.segments:
                raise Conflict(
                    f"there is or was a segment {id_!r}; choose another id, or change that one",
                    segment=id_,
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
        """Make a segment what is wanted, whether or not it is there.

        ``version`` is that of the segment that was looked at before, 0 of one that is new.  Raises
        Conflict if somebody has decided since, or if a list kept by hand would become a condition or the
        other way round, and InvalidRequest for what cannot be.
        """
        with self._ledger.deciding(workspace) as connection:
            book = _Book(connection, workspace, self._ledger)
            before = book.sent_before(decision, id_, wanted)
            if before is not None:
                return before
            book.subject(id_).check_version(version)
            return self._define(book, id_, wanted, decision)

    def archive(
        self, workspace: int, id_: str, decision: Decision, *, version: int | None = None
    ) -> Outcome:
        """Have nobody in a segment from now on.

        Raises NotFound if it is not there, Conflict if others ask about it, or somebody decided since.
        """
        with self._ledger.deciding(workspace) as connection:
            book = _Book(connection, workspace, self._ledger)
            before = book.sent_before(decision, id_, None)
            if before is not None:
                return before
            segment = book.segment(id_)
            event = segment.archive(book.used_by(id_), self._by(decision))
            book.subject(id_).check_version(version)
            return book.write(segment, event, decision.key)

    def list_people(
        self, workspace: int, id_: str, wanted: Sequence[Wanted], decision: Decision
    ) -> Listing:
        """Put people on a list that is kept by hand, or take them off, each for themselves.

        Raises NotFound if the segment is not there, Conflict if it is a condition.
        """
        if len(wanted) > LONGEST_LIST:
            raise InvalidRequest(
                f"at most {LONGEST_LIST:,} people at once; send the others in another request",
                limit=LONGEST_LIST,
                given=len(wanted),
            )

        def check(connection: Connection[Any]) -> None:
            _check_list(_Book(connection, workspace, self._ledger).segment(id_))

        by = self._by(decision)
        return manual_lists.put(self._ledger, workspace, id_, wanted, by, decision.key, check)

    def segment(self, workspace: int, id_: str) -> Segment:
        """Return a segment as its own stream tells it; one that never was has version 0."""
        segment, after = Segment(id_), 0
        while page := self.history(workspace, id_, after=after, limit=_AT_ONCE):
            for it in page:
                segment = segment.after(decided(it))
            after = page[-1].position
        return segment

    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[Recorded]:
        """Return what was decided about a segment after a position, in order."""
        stream = self._ledger.segment_stream(workspace, id_)
        return self._ledger.history(workspace, [stream], after=after, until=LATEST, limit=limit)

    def _define(self, book: _Book, id_: str, wanted: Definition, decision: Decision) -> Outcome:
        segment = book.segment(id_)
        values = book.values if wanted.condition else {}
        event = segment.define(wanted, book.segment, self._by(decision), values)
        if event is None:
            return Outcome(segment, changed=False, position=book.positions[id_])
        if not segment.is_there and book.number >= MOST:
            raise Conflict(
                f"a workspace has at most {MOST:,} segments; archive some first", limit=MOST
            )
        return book.write(segment, event, decision.key)

    def _by(self, decision: Decision) -> By:
        return By(decision.actor, self._now(), decision.reason)


class _Book:
    """All segments of a workspace, in the transaction that decides about one of them."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self._connection, self._workspace, self._ledger = connection, workspace, ledger
        self._decisions: dict[UUID, Recorded] = {}
        self.segments: dict[str, Segment] = {}
        self.positions: dict[str, int] = {}
        """Of the last decision about each."""
        for it in definitions.decisions(connection, workspace):
            event = decided(it)
            self._decisions[event.id] = it
            self.segments[event.segment] = self.segment(event.segment).after(event)
            self.positions[event.segment] = it.position

    @property
    def number(self) -> int:
        """How many segments are there."""
        return sum(it.is_there for it in self.segments.values())

    def segment(self, id_: str) -> Segment:
        """Return a segment; one that never was has version 0."""
        return self.segments.get(id_) or Segment(id_)

    @property
    def values(self) -> Mapping[str, Value]:
        """What the names of computed attributes stand for."""
        return ComputedBook(self._connection, self._workspace, self._ledger).values

    def subject(self, id_: str) -> Subject:
        """Return a segment as what is decided about."""
        stream = self._ledger.segment_stream(self._workspace, id_)
        return Subject("segment", id_, stream, self.segment(id_).version)

    def used_by(self, id_: str) -> Mapping[str, str]:
        """Return the names of the segments and rules that ask who is in this one, by their ids."""
        rules = rules_of(self._connection, self._workspace).values()
        users: list[Segment | Rule] = [*self.segments.values(), *rules]
        return {
            it.id: it.definition.name
            for it in users
            if it.is_there and it.definition is not None and id_ in it.asks_about
        }

    def sent_before(
        self, decision: Decision, id_: str | None, wanted: Definition | None
    ) -> Outcome | None:
        """Return what came of the same decision when it was first sent; None if it was not.

        Raises Conflict if its key was that of another decision.
        """
        made = self._decisions.get(id_by_key(decision.key)) if decision.key is not None else None
        if made is None:
            return None
        event = decided(made)
        if id_ not in {None, event.segment} or _definition(event) != wanted:
            raise sent_before("segment", event.segment, made.position)
        return Outcome(self.segments[event.segment], changed=False, position=made.position)

    def write(self, segment: Segment, event: Decided, key: str | None) -> Outcome:
        """Append a decision as the next in the segment's stream."""
        subject = self.subject(segment.id)
        position = subject.write(self._connection, self._workspace, event, key)
        return Outcome(segment.after(event), changed=True, position=position)


def computing(
    connection: Connection[Any], workspace: int, ledger: Ledger, attribute: str
) -> set[str]:
    """Return the ids of the segments that ask about a computed attribute by name."""
    there = (it for it in _Book(connection, workspace, ledger).segments.values() if it.is_there)
    return {it.id for it in there if attribute in it.computes}


def rules_of(connection: Connection[Any], workspace: int) -> Mapping[str, Rule]:
    """Return the workspace's rules, by their ids."""
    found: dict[str, Rule] = {}
    for it in definitions.rules(connection, workspace):
        assert isinstance(it.event, RuleDefined | RuleDecree)
        found[it.event.rule] = found.get(it.event.rule, Rule(it.event.rule)).after(it.event)
    return found


def segments_of(connection: Connection[Any], workspace: int) -> Mapping[str, Segment]:
    """Return the workspace's segments, by their ids."""
    found: dict[str, Segment] = {}
    for it in definitions.decisions(connection, workspace):
        event = decided(it)
        found[event.segment] = found.get(event.segment, Segment(event.segment)).after(event)
    return found


def decided(recorded: Recorded) -> Decided:
    """Return what was decided about a segment: such events are never erased."""
    event = recorded.event
    assert isinstance(event, SegmentDefined | SegmentArchived)
    return event


def _definition(event: Decided) -> Definition | None:
    if isinstance(event, SegmentArchived):
        return None
    return Definition(event.name, event.description, event.condition)


def _check_list(segment: Segment) -> None:
    if not segment.is_there:
        raise NotFound(f"there is no segment {segment.id!r}", segment=segment.id)
    if not segment.is_manual:
        raise Conflict(
            f"who is in {segment.id!r} is up to its condition; only lists kept by hand take people",
            segment=segment.id,
        )
