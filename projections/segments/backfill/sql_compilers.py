"""Which conditions SQL evaluates for all profiles at once, and how."""

from __future__ import annotations

from collections.abc import Mapping

from domain.conditions import Condition
from domain.conditions.aggregate_condition import AggregateCondition
from domain.conditions.computed import ComputedCondition, ScoreCondition
from domain.conditions.events import EventCountCondition, OccurrenceCondition
from domain.conditions.groups import AllOf, AnyOf, NoneOf
from domain.conditions.profile_facts import (
    AttributeCondition,
    IdentifierCondition,
    SegmentCondition,
    TagCondition,
)
from domain.conditions.references import ComputedReference, ScoreReference
from domain.conditions.sequences import SequenceCondition
from projections.segments.backfill.compilation import (
    SqlCompiler,
    compile_all,
    compile_any,
    compile_none,
)
from projections.segments.backfill.condition_sql import (
    compile_aggregate,
    compile_count,
    compile_occurrence,
    summarise_counted,
    summarise_occurrence,
)

SQL_COMPILERS: Mapping[type, SqlCompiler] = {
    AllOf: SqlCompiler(compile_all),
    AnyOf: SqlCompiler(compile_any),
    NoneOf: SqlCompiler(compile_none),
    EventCountCondition: SqlCompiler(compile_count, summarise_counted),
    OccurrenceCondition: SqlCompiler(compile_occurrence, summarise_occurrence),
    AggregateCondition: SqlCompiler(compile_aggregate),
}
"""By class.  A condition of any other class is evaluated profile by profile, with the same result."""

WITHOUT_SQL: tuple[type[Condition], ...] = (
    SequenceCondition,
    ComputedReference,
    ComputedCondition,
    ScoreReference,
    ScoreCondition,
    AttributeCondition,
    TagCondition,
    IdentifierCondition,
    SegmentCondition,
)
"""The other classes: a test asks for a decision about each."""
