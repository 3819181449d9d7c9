"""Lets triggers that a read model finds be fired by the write side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from application.automation.firing import Firing, Found
from application.ledger.ledger import Ledger
from domain.core.time import to_micros
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from projections import identity, profile, segments
from projections.runtime import checkpoint


class Triggers:
    """Triggers and people, as the read models have them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def workspaces(self) -> Sequence[int]:
        """Return the workspaces in which something may be due."""
        with self._engine.connect() as tx:
            return segments.workspaces_to_fire(tx)

    def with_rules(self) -> Sequence[int]:
        """Return the workspaces that have, or had, rules."""
        with self._engine.connect() as tx:
            return segments.workspaces_with_rules(tx)

    def due(self, workspace: int, since: int, limit: int) -> Found:
        """Return the first triggers that are due since an instant and that the ledger does not have."""
        with self._engine.connect() as tx:
            # In this order: what is known by the checkpoint is among what is then found.
            taken = checkpoint.recorded_at(tx, workspace, segments.projection)
            found = segments.to_fire(tx, workspace, since, limit)
        return Found(found, 0 if taken is None else to_micros(taken))

    def attributes(
        self, workspace: int, streams: Sequence[UUID]
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """Return what the person of each stream is like by now."""
        with self._engine.connect() as tx:
            persons = identity.persons(tx, workspace, streams)
            whole = {stream for it in persons.values() for stream in it.streams}
            states = profile.states(tx, workspace, whole)
        return {
            stream: profile_view.attributes(profile_state.join(states, person))
            for stream, person in persons.items()
        }


def firing(ledger: Ledger, engine: Engine) -> Firing:
    """Return what fires the triggers that the read models of an engine find."""
    return Firing(ledger, Triggers(engine))
