"""A computed attribute: a value worked out over what a person did, or a score; and what was decided about it.

Its definition is what stands in a condition, without what it is compared with: ``{"computed": {"fn": "count",
"event": "order", "within": {"last": "30d"}}}`` or ``{"score": [{"when": {"tag": "vip"}, "points": 10}]}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from domain import conditions
from domain.conditions import Condition, Value
from domain.conditions.computed import Computed, Score
from domain.conditions.named import ScoreByName
from domain.conditions.people import InSegment
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.core.naming import check_id, check_texts, decoded
from domain.events.events import NIL, AttributeArchived, AttributeDefined, Event
from domain.segments.segment import By

KIND = "computed attribute"
_COMPARED: Mapping[str, Mapping[str, object]] = {
    Computed.KEY: {"op": "exists"},
    Score.KEY: {"op": "gte", "value": 0},
}


class Definition(NamedTuple):
    """What somebody wants a computed attribute to be."""

    name: str
    description: str
    computation: bytes
    """As JSON."""


class ComputedAttribute(NamedTuple):
    """What was decided about one computed attribute so far."""

    id: str
    definition: Definition | None = None
    """None: it was never defined."""

    archived: bool = False
    version: int = 0
    """How many decisions that took."""

    def after(self, event: Event) -> Self:
        """Return it as it is after a decision."""
        match event:
            case AttributeDefined():
                said = Definition(event.name, event.description, event.computation)
                return self._replace(definition=said, archived=False, version=self.version + 1)
            case AttributeArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def is_there(self) -> bool:
        """Whether anybody can have a value."""
        return self.definition is not None and not self.archived

    @property
    def value(self) -> Value:
        """What it is, with the names that it asks about as they are; it must have been defined."""
        assert self.definition is not None
        return value_of(self.definition.computation)

    def define(
        self, wanted: Definition, others: Iterable[ComputedAttribute], by: By
    ) -> AttributeDefined | None:
        """Return the decision that makes it so; None if it is so already.

        Raises InvalidRequest for what cannot be, Conflict if a score would become something else or the
        other way round.
        """
        check_id(KIND, self.id, "orders_30d")
        check_texts(KIND, *wanted)
        value = value_of(wanted.computation)
        if self.definition is not None and type(self.value) is not type(value):
            raise Conflict(
                "a score stays one, and so does what is computed over events; make a new one",
                attribute=self.id,
            )
        there = {it.id: it.value for it in others if it.is_there}
        all_resolved(there | {self.id: value})
        if self.is_there and wanted == self.definition:
            return None
        return AttributeDefined(
            id=NIL,
            attribute=self.id,
            name=wanted.name,
            description=wanted.description,
            computation=wanted.computation,
            occurred_at=by.at,
            actor=by.actor,
            reason=by.reason,
        )

    def archive(self, used_by: Iterable[str], by: By) -> AttributeArchived:
        """Return the decision that nobody has a value from now on.

        ``used_by`` are the ids of what asks about it.  Raises NotFound if it is not there, Conflict if it
        is needed.
        """
        if not self.is_there:
            raise NotFound(f"there is no computed attribute {self.id!r}", attribute=self.id)
        if users := sorted(used_by):
            raise Conflict(
                f"others ask about {self.id!r}: {', '.join(users)}; change those first",
                attribute=self.id,
                used_by=users,
            )
        return AttributeArchived(
            id=NIL, attribute=self.id, occurred_at=by.at, actor=by.actor, reason=by.reason
        )


def value_of(computation: bytes) -> Value:
    """Return what a definition says.  Raises InvalidRequest with the place."""
    document = decoded(KIND, computation)
    if (
        not isinstance(document, dict)
        or len(document) != 1
        or not document.keys() <= _COMPARED.keys()
    ):
        raise InvalidRequest("give either `computed` or `score`, and nothing else", path="")
    [(key, said)] = document.items()
    if isinstance(said, str):
        raise InvalidRequest(f"write what {said!r} is, not its name", path=f"/{key}")
    value = conditions.read({**document, **_COMPARED[key]}, by_name=True)
    assert isinstance(value, Value)
    _check_parts(value, "")
    return value


def all_resolved(values: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return all with what the names in them stand for.  Raises InvalidRequest."""
    found: dict[str, Value] = {name: it for name, it in values.items() if isinstance(it, Computed)}
    for name, it in values.items():
        if isinstance(it, Score):
            score = conditions.resolved(it, found)
            assert isinstance(score, Score)
            found[name] = score
    return found


def _check_parts(condition: Condition, place: str) -> None:
    """Refuse what could lead a score back to itself."""
    if isinstance(condition, InSegment | ScoreByName):
        raise InvalidRequest(
            "a score that has a name asks neither about segments nor about other scores", path=place
        )
    for where, part in conditions.parts(condition, place):
        _check_parts(part, where)
