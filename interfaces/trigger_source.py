"""Lets triggers that a read model finds be fired by the write side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from application.automation.firing import DueFirings, FiringWorker
from application.ledger.ledger import Ledger
from domain.core.time import to_micros
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from projections import identity, profile, segments
from projections.runtime import checkpoint


class ReadModelTriggerSource:
    """Triggers and people, as the read models have them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def workspaces_due(self) -> Sequence[int]:
        """Return the workspaces in which something may be due."""
        with self._engine.connect() as tx:
            return segments.workspaces_with_due_firings(tx)

    def workspaces_with_rules(self) -> Sequence[int]:
        """Return the workspaces that have, or had, rules."""
        with self._engine.connect() as tx:
            return segments.workspaces_with_rules(tx)

    def due_firings(self, workspace: int, since: int, limit: int) -> DueFirings:
        """Return the first triggers that are due since an instant and that the ledger does not have."""
        with self._engine.connect() as tx:
            # In this order: what is known by the checkpoint is among what is then found.
            taken = checkpoint.last_recorded_at(tx, workspace, segments.projection)
            found = segments.load_due_firings(tx, workspace, since, limit)
        return DueFirings(found, 0 if taken is None else to_micros(taken))

    def profile_attributes(
        self, workspace: int, streams: Sequence[UUID]
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """Return what the person of each stream is like by now."""
        with self._engine.connect() as tx:
            persons = identity.load_profiles(tx, workspace, streams)
            whole = {stream for it in persons.values() for stream in it.streams}
            states = profile.load_states(tx, workspace, whole)
        return {
            stream: profile_view.attributes(profile_state.merge(states, person))
            for stream, person in persons.items()
        }


def create_firing_worker(ledger: Ledger, engine: Engine) -> FiringWorker:
    """Return what fires the triggers that the read models of an engine find."""
    return FiringWorker(ledger, ReadModelTriggerSource(engine))
