"""Identity: the profile of each stream, and the identifiers and streams of each profile."""

from __future__ import annotations

from projections.identity import tables
from projections.identity.fold import apply, erase
from projections.identity.profiles import (
    IdentityReads,
    count_capped_profiles,
    count_large_profiles,
    load_profile,
    load_profile_ids,
    load_profiles,
)
from projections.identity.queries import large_profiles
from projections.runtime.projection import Projection

__all__ = [
    "IdentityReads",
    "count_capped_profiles",
    "count_large_profiles",
    "load_profile",
    "load_profile_ids",
    "load_profiles",
    "projection",
]

projection = Projection(
    tables.NAME,
    tables.VERSION,
    tables.metadata,
    apply,
    weight=1,
    erase=erase,
    queries=(large_profiles,),
)
