"""A computed attribute: a value worked out over what a person did, or a score; and what was decided about it.

Its definition is what stands in a condition, without what it is compared with: ``{"computed": {"fn": "count",
"event": "order", "within": {"last": "30d"}}}`` or ``{"score": [{"when": {"tag": "vip"}, "points": 10}]}``.
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
_PLACEHOLDER_COMPARISON: Mapping[str, Mapping[str, object]] = {
    ComputedCondition.KEY: {"op": "exists"},
    ScoreCondition.KEY: {"op": "gte", "value": 0},
}


class ComputedAttributeVersion(NamedTuple):
    """What somebody wants a computed attribute to be."""

    name: str
    description: str
    computation: bytes
    """As JSON."""


class ComputedAttribute(NamedTuple):
    """What was decided about one computed attribute so far."""

    id: str
    definition: ComputedAttributeVersion | None = None
    """None: it was never defined."""

    archived: bool = False
    version: int = 0
    """How many decisions that took."""

    def apply(self, event: Event) -> Self:
        """Return it as it is after a decision."""
        match event:
            case ComputedAttributeDefined():
                said = ComputedAttributeVersion(event.name, event.description, event.computation)
                return self._replace(definition=said, archived=False, version=self.version + 1)
            case ComputedAttributeArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def exists(self) -> bool:
        """Whether anybody can have a value."""
        return self.definition is not None and not self.archived

    @property
    def value(self) -> ReferencedValue:
        """What it is, with the names that it asks about as they are; it must have been defined."""
        assert self.definition is not None
        return parse_computation(self.definition.computation)

    def define(
        self,
        definition: ComputedAttributeVersion,
        others: Iterable[ComputedAttribute],
        actor: Actor,
    ) -> ComputedAttributeDefined | None:
        """Return the decision that makes it so; None if it is so already.

        Raises InvalidRequest for what cannot be, Conflict if a score would become something else or the
        other way round.
        """
        check_id(KIND, self.id, "orders_30d")
        check_texts(KIND, *definition)
        value = parse_computation(definition.computation)
        if self.definition is not None and type(self.value) is not type(value):
            raise Conflict(
                "a score stays one, and so does what is computed over events; make a new one",
                attribute=self.id,
            )
        active_values = {it.id: it.value for it in others if it.exists}
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
        """Return the decision that nobody has a value from now on.

        ``used_by`` are the ids of what asks about it.  Raises NotFound if it is not there, Conflict if it
        is needed.
        """
        if not self.exists:
            raise NotFound(f"there is no computed attribute {self.id!r}", attribute=self.id)
        if dependents := sorted(used_by):
            raise Conflict(
                f"others ask about {self.id!r}: {', '.join(dependents)}; change those first",
                attribute=self.id,
                used_by=dependents,
            )
        return ComputedAttributeArchived(
            id=NIL, attribute=self.id, occurred_at=actor.at, actor=actor.name, reason=actor.reason
        )


def parse_computation(computation: bytes) -> ReferencedValue:
    """Return what a definition says.  Raises InvalidRequest with the place."""
    document = decode_json(KIND, computation)
    if (
        not isinstance(document, dict)
        or len(document) != 1
        or not document.keys() <= _PLACEHOLDER_COMPARISON.keys()
    ):
        raise InvalidRequest("give either `computed` or `score`, and nothing else", path="")
    [(key, definition)] = document.items()
    if isinstance(definition, str):
        raise InvalidRequest(f"write what {definition!r} is, not its name", path=f"/{key}")
    value = conditions.parse_condition(
        {**document, **_PLACEHOLDER_COMPARISON[key]}, allow_references=True
    )
    assert isinstance(value, ReferencedValue)
    _refuse_cycles(value, "")
    return value


def resolve_all(values: Mapping[str, ReferencedValue]) -> Mapping[str, ReferencedValue]:
    """Return all with what the names in them stand for.  Raises InvalidRequest."""
    resolved_values: dict[str, ReferencedValue] = {
        name: it for name, it in values.items() if isinstance(it, ComputedCondition)
    }
    for name, it in values.items():
        if isinstance(it, ScoreCondition):
            score = conditions.resolve_references(it, resolved_values)
            assert isinstance(score, ScoreCondition)
            resolved_values[name] = score
    return resolved_values


def _refuse_cycles(condition: Condition, pointer: str) -> None:
    """Refuse what could lead a score back to itself."""
    if isinstance(condition, SegmentCondition | ScoreReference):
        raise InvalidRequest(
            "a score that has a name asks neither about segments nor about other scores",
            path=pointer,
        )
    for part_pointer, part in conditions.located_parts(condition, pointer):
        _refuse_cycles(part, part_pointer)
