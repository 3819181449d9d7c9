"""Profiles: what each person is like, and the search for them."""

from __future__ import annotations

from projections.profile import tables
from projections.profile.fold import apply
from projections.profile.queries import profile, profiles
from projections.profile.states import names, states
from projections.runtime import erasure
from projections.runtime.projection import Projection

__all__ = ["names", "projection", "states"]

projection = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    apply=apply,
    queries=(profiles, profile),
    forget=erasure.rows(tables.state, tables.search),
)
