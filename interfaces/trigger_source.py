"""Adapter that gives the firing worker the due firings of the read models."""

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
    """Reads due firings and profile attributes from the read models."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def workspaces_due(self) -> Sequence[int]:
        """Returns the workspaces in which firings may be due."""
        with self._engine.connect() as tx:
            return segments.workspaces_with_due_firings(tx)

    def workspaces_with_rules(self) -> Sequence[int]:
        """Returns the workspaces that have, or had, rules."""
        with self._engine.connect() as tx:
            return segments.workspaces_with_rules(tx)

    def due_firings(self, workspace: int, since: int, limit: int) -> DueFirings:
        """Returns the first firings that are due since an instant and not known to be recorded."""
        with self._engine.connect() as tx:
            # The checkpoint comes first: all firings up to it are among those that are then loaded.
            applied_until = checkpoint.last_recorded_at(tx, workspace, segments.projection)
            firings = segments.load_due_firings(tx, workspace, since, limit)
        return DueFirings(firings, 0 if applied_until is None else to_micros(applied_until))

    def profile_attributes(
        self, workspace: int, streams: Sequence[UUID]
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """Returns the current attributes of each stream's profile, by stream."""
        with self._engine.connect() as tx:
            profiles = identity.load_profiles(tx, workspace, streams)
            all_streams = {s for resolved in profiles.values() for s in resolved.streams}
            states = profile.load_states(tx, workspace, all_streams)
        return {
            stream: profile_view.attributes(profile_state.merge(states, resolved))
            for stream, resolved in profiles.items()
        }


def create_firing_worker(ledger: Ledger, engine: Engine) -> FiringWorker:
    """Returns a firing worker on the read models of an engine."""
    return FiringWorker(ledger, ReadModelTriggerSource(engine))
