"""A computed attribute (an aggregate over events, or a score) and its allowed changes.

Its definition is a condition without the comparison: ``{"computed": {"fn": "count", "event": "order",
"within": {"last": "30d"}}}`` or ``{"score": [{"when": {"tag": "vip"}, "points": 10}]}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from domain import conditions
from domain.conditions import Condition, ReferencedValue
from domain.conditions.computed import ComputedCondition, ScoreCondition
from domain.conditions.profile_facts import SegmentCondition
from domain.conditions.references import ScoreReference
from domain.core.actor import Actor
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.core.naming import check_id, check_texts, decode_json
from domain.events.events import NIL, ComputedAttributeArchived, ComputedAttributeDefined, Event

KIND = "computed attribute"
"""How error messages name what this module defines."""

_PLACEHOLDER_COMPARISON: Mapping[str, Mapping[str, object]] = {
    ComputedCondition.KEY: {"op": "exists"},
    ScoreCondition.KEY: {"op": "gte", "value": 0},
}
"""By key, a comparison that makes a complete condition of a definition, so that it can be parsed as one."""


class ComputedAttributeVersion(NamedTuple):
    """One version of a computed attribute's definition."""

    name: str
    description: str
    computation: bytes
    """JSON."""


class ComputedAttribute(NamedTuple):
    """The current state of one computed attribute's definition, folded from its events."""

    id: str
    definition: ComputedAttributeVersion | None = None
    """None if the attribute was never defined."""

    archived: bool = False
    version: int = 0
    """Number of events about the definition so far."""

    def apply(self, event: Event) -> Self:
        """Returns the state after an event; other events change nothing."""
        match event:
            case ComputedAttributeDefined():
                definition = ComputedAttributeVersion(
                    event.name, event.description, event.computation
                )
                return self._replace(
                    definition=definition, archived=False, version=self.version + 1
                )
            case ComputedAttributeArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def exists(self) -> bool:
        """Whether the attribute is defined and not archived."""
        return self.definition is not None and not self.archived

    @property
    def value(self) -> ReferencedValue:
        """The parsed definition, with its references unresolved; the attribute must be defined."""
        assert self.definition is not None
        return parse_computation(self.definition.computation)

    def define(
        self,
        definition: ComputedAttributeVersion,
        others: Iterable[ComputedAttribute],
        actor: Actor,
    ) -> ComputedAttributeDefined | None:
        """Returns the event that puts a definition into effect; None if it is in effect already.

        ``others`` are the workspace's computed attributes.  Raises InvalidRequest for an invalid definition,
        Conflict if a score would become a computation or the reverse.
        """
        check_id(KIND, self.id, "orders_30d")
        check_texts(KIND, *definition)
        value = parse_computation(definition.computation)
        if self.definition is not None and type(self.value) is not type(value):
            raise Conflict(
                "a score cannot become a computation, or the reverse; create a new attribute",
                attribute=self.id,
            )
        active_values = {other.id: other.value for other in others if other.exists}
        resolve_all(active_values | {self.id: value})
        if self.exists and definition == self.definition:
            return None
        return ComputedAttributeDefined(
            id=NIL,
            attribute=self.id,
            name=definition.name,
            description=definition.description,
            computation=definition.computation,
            occurred_at=actor.at,
            actor=actor.name,
            reason=actor.reason,
        )

    def archive(self, used_by: Iterable[str], actor: Actor) -> ComputedAttributeArchived:
        """Returns the event that archives the attribute: from then on no profile has a value.

        ``used_by`` are the ids of the definitions that refer to it.  Raises NotFound if the attribute does
        not exist, Conflict if anything refers to it.
        """
        if not self.exists:
            raise NotFound(f"there is no computed attribute {self.id!r}", attribute=self.id)
        if dependents := sorted(used_by):
            raise Conflict(
                f"computed attribute {self.id!r} is used by: {', '.join(dependents)};"
                " change those first",
                attribute=self.id,
                used_by=dependents,
            )
        return ComputedAttributeArchived(
            id=NIL, attribute=self.id, occurred_at=actor.at, actor=actor.name, reason=actor.reason
        )


def parse_computation(computation: bytes) -> ReferencedValue:
    """Parses a definition from JSON.  Raises InvalidRequest with a JSON pointer in `path`."""
    document = decode_json(KIND, computation)
    if (
        not isinstance(document, dict)
        or len(document) != 1
        or not document.keys() <= _PLACEHOLDER_COMPARISON.keys()
    ):
        raise InvalidRequest("give either `computed` or `score`, and nothing else", path="")
    [(key, definition)] = document.items()
    if isinstance(definition, str):
        raise InvalidRequest(f"expected a definition, not the name {definition!r}", path=f"/{key}")
    value = conditions.parse_condition(
        {**document, **_PLACEHOLDER_COMPARISON[key]}, allow_references=True
    )
    assert isinstance(value, ReferencedValue)
    _refuse_cycles(value, "")
    return value


def resolve_all(values: Mapping[str, ReferencedValue]) -> Mapping[str, ReferencedValue]:
    """Resolves the references of scores to computations, by name.

    Raises InvalidRequest for a reference to a computation that is not among the values.
    """
    resolved_values: dict[str, ReferencedValue] = {
        name: value for name, value in values.items() if isinstance(value, ComputedCondition)
    }
    for name, value in values.items():
        if isinstance(value, ScoreCondition):
            score = conditions.resolve_references(value, resolved_values)
            assert isinstance(score, ScoreCondition)
            resolved_values[name] = score
    return resolved_values


def _refuse_cycles(condition: Condition, pointer: str) -> None:
    """Raises InvalidRequest for a reference that could lead a score back to itself."""
    if isinstance(condition, SegmentCondition | ScoreReference):
        raise InvalidRequest(
            "a named score cannot refer to segments or to other scores; write their conditions here",
            path=pointer,
        )
    for part_pointer, part in conditions.located_parts(condition, pointer):
        _refuse_cycles(part, part_pointer)
