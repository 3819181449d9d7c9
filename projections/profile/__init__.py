"""Profiles: attributes, identifiers and activity of each profile, and their search."""

from __future__ import annotations

from projections.profile import tables
from projections.profile.fold import apply
from projections.profile.queries import profile, profiles
from projections.profile.states import ProfileReads, load_states
from projections.runtime import erasure
from projections.runtime.projection import Projection

__all__ = ["ProfileReads", "load_states", "projection"]

projection = Projection(
    tables.NAME,
    tables.VERSION,
    tables.metadata,
    apply,
    queries=(profiles, profile),
    erase=erasure.erase_by_stream(tables.state, tables.search),
)
