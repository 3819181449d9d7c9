"""Who is who: the person behind each stream, and all the names and streams of a person."""

from __future__ import annotations

from projections.identity import tables
from projections.identity.fold import apply, forget
from projections.identity.profiles import count_large, people, person, persons
from projections.identity.queries import large_profiles
from projections.identity.tables import member
from projections.runtime.projection import Projection

__all__ = ["count_large", "member", "people", "person", "persons", "projection"]

projection = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    apply=apply,
    weight=1,
    forget=forget,
    queries=(large_profiles,),
)
