"""Compiles a condition to SQL over all profiles: queries of leaves, and their combination."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from domain.conditions import Condition, EvaluationInput
from domain.conditions.groups import AllOf, AnyOf, NoneOf
from domain.conditions.summary import Summary

EMPTY_PROFILE = EvaluationInput({})
"""A profile without events and attributes."""


class TimesSummary(NamedTuple):
    """How a summary follows from the times of events, in microseconds."""

    name: str
    """Name of the events."""

    function: str
    """The aggregate function of SQL that is applied to the times."""

    of_aggregate: Callable[[Any], Summary]
    """Returns the summary of the function's result; None if no event counts."""

    of_time: Callable[[int], Summary]
    """Returns the summary of a single event."""


class SqlCompiler(NamedTuple):
    """What SQL does for one class of conditions."""

    compile: Callable[[Any, Compilation], str | None]
    """Returns the condition as a boolean SQL expression; None if SQL cannot evaluate it."""

    times_summary: Callable[[Any], TimesSummary | None] = lambda _leaf: None
    """Returns how its summaries follow from the times of events; None if they do not."""


class Compilation:
    """A condition in compilation: queries of its leaves by name, and bind parameters."""

    def __init__(self, clock: int, compilers: Mapping[type, SqlCompiler]) -> None:
        self.clock, self._compilers = clock, compilers
        self.leaves: dict[str, str] = {}
        self.params: dict[str, Any] = {}

    def compile(self, condition: Condition) -> str | None:
        """Returns a boolean SQL expression over the leaves; None if SQL cannot evaluate it."""
        compiler = self._compilers.get(type(condition))
        return None if compiler is None else compiler.compile(condition, self)

    def compile_parts(self, parts: Sequence[Condition]) -> list[str] | None:
        """Returns the expressions of all parts; None if SQL cannot evaluate one of them."""
        compiled = [sql for part in parts if (sql := self.compile(part)) is not None]
        return compiled if len(compiled) == len(parts) else None

    def add_leaf(self, condition: Condition, query: str) -> str:
        """Adds the query of a leaf; returns the expression that the leaf holds.

        The query returns ``profile, needs_recheck, holds, next_timer`` of the profiles that have events
        which count.
        """
        name = f"leaf_{len(self.leaves)}"
        self.leaves[name] = query
        return f"coalesce({name}.holds, {condition.holds(EMPTY_PROFILE, self.clock)})"

    def bind(self, value: Any) -> str:
        """Adds a bind parameter; returns its placeholder."""
        name = f"value_{len(self.params)}"
        self.params[name] = value
        return f"%({name})s"


def compile_all(group: AllOf, compilation: Compilation) -> str | None:
    """Compiles a group of which all conditions hold."""
    parts = compilation.compile_parts(group.parts)
    return None if parts is None else f"({' AND '.join(['TRUE', *parts])})"


def compile_any(group: AnyOf | NoneOf, compilation: Compilation) -> str | None:
    """Compiles a group of which any condition holds."""
    parts = compilation.compile_parts(group.parts)
    return None if parts is None else f"({' OR '.join(['FALSE', *parts])})"


def compile_none(group: NoneOf, compilation: Compilation) -> str | None:
    """Compiles a group of which no condition holds."""
    any_holds = compile_any(group, compilation)
    return None if any_holds is None else f"(NOT {any_holds})"
