"""Deciding what funnels are kept.  No funnel asks about another, so each has only its own stream to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from application.definitions.store import Decision, Subject, free_id, id_by_key, sent_before
from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from domain.core.errors import Conflict
from domain.events.events import FunnelArchived, FunnelDefined
from domain.events.recorded import Recorded
from domain.funnels.saved_funnel import Definition, SavedFunnel
from domain.segments.segment import By

_AT_ONCE = 1_000
"""Decisions about one funnel that are held in memory at the same time."""

Decided = FunnelDefined | FunnelArchived


class Outcome(NamedTuple):
    """What a decision about a funnel comes to."""

    funnel: SavedFunnel
    changed: bool
    """False: it was so already, or was decided before under this key; nothing was recorded."""

    position: int
    """Of the decision that made it so."""


class Funnels:
    """Decides about saved funnels, one decision at a time in a workspace."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._now = ledger, now

    def create(
        self, workspace: int, id_: str | None, wanted: Definition, decision: Decision
    ) -> Outcome:
        """Keep a new funnel; without an id it is called by its name.

        Raises Conflict if the id was used before, InvalidRequest for what cannot be.
        """
        taken = _Taken(self, workspace, decision)
        if id_ is None:
            id_ = free_id("funnel", wanted.name, taken)
        elif id_ in taken:
            raise Conflict(
                f"there is or was a funnel {id_!r}; choose another id, or change that one",
                funnel=id_,
            )
        return self.define(workspace, id_, wanted, decision, version=0)

    def define(
        self,
        workspace: int,
        id_: str,
        wanted: Definition,
        decision: Decision,
        *,
        version: int | None = None,
    ) -> Outcome:
        """Make a funnel what is wanted, whether or not it is there.

        ``version`` is that of the funnel that was looked at before, 0 of one that is new.  Raises Conflict
        if somebody has decided since, InvalidRequest for what cannot be.
        """
        return self._decide(workspace, id_, wanted, decision, version)

    def archive(
        self, workspace: int, id_: str, decision: Decision, *, version: int | None = None
    ) -> Outcome:
        """Have a funnel be gone.  Raises NotFound if it is not there, Conflict if somebody decided since."""
        return self._decide(workspace, id_, None, decision, version)

    def funnel(self, workspace: int, id_: str) -> SavedFunnel:
        """Return a funnel as its own stream tells it; one that never was has version 0."""
        return _folded(id_, self.history(workspace, id_))

    def history(self, workspace: int, id_: str) -> Sequence[Recorded]:
        """Return all that was decided about a funnel, in order."""
        stream, found = self._ledger.funnel_stream(workspace, id_), list[Recorded]()
        while True:
            after = found[-1].position if found else 0
            page = self._ledger.history(
                workspace, [stream], after=after, until=LATEST, limit=_AT_ONCE
            )
            found += page
            if len(page) < _AT_ONCE:
                return found

    def _decide(
        self,
        workspace: int,
        id_: str,
        wanted: Definition | None,
        decision: Decision,
        version: int | None,
    ) -> Outcome:
        before = self.history(workspace, id_)
        funnel = _folded(id_, before)
        made = made_before(before, decision)
        if made is not None:
            if _said(made) != wanted:
                raise sent_before("funnel", id_, made.position)
            return Outcome(funnel, changed=False, position=made.position)
        subject = Subject("funnel", id_, self._ledger.funnel_stream(workspace, id_), len(before))
        by = By(decision.actor, self._now(), decision.reason)
        event = funnel.archive(by) if wanted is None else funnel.define(wanted, by)
        subject.check_version(version)
        if event is None:
            return Outcome(funnel, changed=False, position=before[-1].position)
        with self._ledger.deciding(workspace) as connection:
            position = subject.write(connection, workspace, event, decision.key)
        return Outcome(funnel.after(event), changed=True, position=position)


class _Taken:
    """Ids that are used, unless by the very decision that is being sent again."""

    def __init__(self, funnels: Funnels, workspace: int, decision: Decision) -> None:
        self._funnels, self._workspace, self._decision = funnels, workspace, decision

    def __contains__(self, id_: object) -> bool:
        before = self._funnels.history(self._workspace, str(id_))
        return bool(before) and made_before(before, self._decision) is None


def made_before(decisions: Sequence[Recorded], decision: Decision) -> Recorded | None:
    """Return what came of the same decision when it was first sent; None if it was not."""
    if decision.key is None:
        return None
    id_ = id_by_key(decision.key)
    return next((it for it in decisions if it.event is not None and it.event.id == id_), None)


def _folded(id_: str, decisions: Sequence[Recorded]) -> SavedFunnel:
    funnel = SavedFunnel(id_)
    for it in decisions:
        funnel = funnel.after(decided(it))
    return funnel


def decided(recorded: Recorded) -> Decided:
    """Return what was decided about a funnel: such events are never erased."""
    event = recorded.event
    assert isinstance(event, Decided)
    return event


def _said(recorded: Recorded) -> Definition | None:
    event = decided(recorded)
    if isinstance(event, FunnelArchived):
        return None
    return Definition(event.name, event.description, event.document)
