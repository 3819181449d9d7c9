"""The registry of conditions is complete, and each member does what `Condition` states."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import msgspec
import pytest

from domain import conditions
from domain.conditions import (
    CONDITIONS,
    Condition,
    EvaluationInput,
    EventView,
    ProfileFacts,
    parse_condition,
    referenced_segments,
    schema,
)
from domain.conditions.groups import AnyOf
from domain.conditions.profile_facts import ManualListCondition
from domain.conditions.references import referenced_names
from domain.core.errors import InvalidRequest
from projections.segments.backfill.bulk import compile_members_query
from projections.segments.backfill.sql import times_summary
from projections.segments.backfill.sql_compilers import SQL_COMPILERS, WITHOUT_SQL

CLOCK = 1_800_000_000_000_000
PROPERTIES = {"total": 500, "shop": "Split", "items": [{"sku": "A-1"}], "plan": "pro"}
IDENTIFIERS = frozenset(("user_id", "email", "phone", "external_id", "anonymous_id"))
TAGS = frozenset(("vip", "unsubscribed"))
DEFINITIONS = {
    "orders_30d": {"computed": {"fn": "count", "event": "order"}, "op": "exists"},
    "engagement": {"score": [{"when": {"tag": "vip"}, "points": 20}], "op": "gte", "value": 0},
}
"""What the examples refer to by name."""

EXAMPLES = [(kind, it) for kind in CONDITIONS for it in vars(kind).get("EXAMPLES", ())]
every_example = pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=repr)


class OwnSummaries(dict[str, Any]):
    """Summaries of a condition's accumulators; it must not read any other."""

    def __init__(self, condition: Condition, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.keys_allowed = {accumulator.key for accumulator in condition.accumulators()}

    def __getitem__(self, key: str) -> Any:
        assert key in self.keys_allowed
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        assert key in self.keys_allowed
        return super().get(key, default)


def concrete_conditions(kind: type[Condition] = Condition) -> set[type[Condition]]:
    """Returns the conditions of all modules of the package: the classes with a key."""
    for module in pkgutil.iter_modules(conditions.__path__, f"{conditions.__name__}."):
        import_module(module.name)
    is_own = "KEY" in vars(kind) and kind.__module__.startswith(conditions.__name__)
    return ({kind} if is_own else set()).union(*map(concrete_conditions, kind.__subclasses__()))


def resolved(example: Any) -> Condition:
    values = {name: parse_condition(definition) for name, definition in DEFINITIONS.items()}
    return parse_condition(example, allow_references=True).resolve(values)


def inputs_of(condition: Condition) -> list[EvaluationInput]:
    """Returns an input without summaries, and one with those of an event of each name."""
    summaries = {}
    for accumulator in condition.accumulators():
        for name in sorted(accumulator.names or {"Order"}):
            event = EventView(CLOCK - 1, b"1", name, {"properties": PROPERTIES}, CLOCK)
            value = accumulator.make_add()(None, event)
            if value is not None:
                stored = msgspec.msgpack.encode(accumulator.to_stored(value, CLOCK))
                merged = accumulator.merge([(accumulator.decode(stored), None)])
                summaries[accumulator.key] = merged
    return [EvaluationInput(OwnSummaries(condition, values)) for values in ({}, summaries)]


def test_no_condition_is_forgotten() -> None:
    assert concrete_conditions() == {*CONDITIONS, ManualListCondition}
    assert len(set(CONDITIONS)) == len(CONDITIONS)


def test_of_every_condition_it_is_decided_whether_sql_evaluates_it() -> None:
    assert not SQL_COMPILERS.keys() & {*WITHOUT_SQL}
    assert SQL_COMPILERS.keys() | {*WITHOUT_SQL} == {*CONDITIONS}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_every_condition_has_examples_and_a_schema(kind: type[Condition]) -> None:
    assert vars(kind).get("EXAMPLES")
    definitions = schema.schema_document(CONDITIONS)["$defs"]
    assert definitions[kind.__name__]["description"]
    assert {"$ref": f"#/$defs/{kind.__name__}"} in definitions["Condition"]["anyOf"]


@every_example
def test_an_example_is_validated_and_written_as_it_is_read(
    kind: type[Condition], example: dict[str, Any]
) -> None:
    condition = parse_condition(example, allow_references=True)
    assert type(condition) is kind
    written = json.loads(msgspec.json.encode(condition))
    assert parse_condition(written, allow_references=True) == condition
    for invalid in ({"no_such_member": 1}, {kind.KEY: None}):
        with pytest.raises(InvalidRequest):
            parse_condition({**example, **invalid}, allow_references=True)


@every_example
def test_an_example_accumulates_is_evaluated_and_explained(
    kind: type[Condition], example: dict[str, Any]
) -> None:
    condition = resolved(example)
    for inputs in inputs_of(condition):
        holds, changes_at = condition.compile()(inputs, CLOCK)
        assert holds == condition.holds(inputs, CLOCK)
        assert changes_at is None or changes_at > CLOCK
        assert changes_at is None or condition.flips_with_time
        explanation = json.loads(msgspec.json.encode(condition.explain(inputs, CLOCK)))
        assert explanation["holds"] == holds
        assert explanation["condition"][kind.KEY] is not None


@every_example
def test_an_example_states_what_its_result_depends_on(
    kind: type[Condition],
    example: dict[str, Any],
) -> None:
    condition = resolved(example)
    reads_facts = any(accumulator.is_profile_fact for accumulator in condition.accumulators())
    for inputs in inputs_of(condition):
        for changed, is_stated in (
            ({"load_facts": lambda: ProfileFacts(attributes=PROPERTIES)}, reads_facts),
            ({"load_facts": lambda: ProfileFacts(tags=TAGS)}, reads_facts),
            (
                {"load_facts": lambda: ProfileFacts(identifier_kinds=IDENTIFIERS)},
                condition.reads_identifiers,
            ),
            ({"in_segment": lambda _segment: True}, referenced_segments(condition)),
        ):
            same = condition.holds(inputs, CLOCK) == condition.holds(
                inputs._replace(**changed), CLOCK
            )
            assert same or is_stated
    for accumulator in condition.accumulators():
        assert any(condition.can_flip_to(result, accumulator.key, None) for result in (False, True))


def test_sql_evaluates_the_conditions_that_have_a_compiler_and_no_other() -> None:
    parts = {"all": [{"event": "a"}], "any": [{"event": "a"}], "none": [{"event": "a"}]}
    groups = [{key: value} for key, value in parts.items()]
    examples = [resolved(example) for example in (*groups, *(example for _, example in EXAMPLES))]
    compiled = {type(it) for it in examples if compile_members_query(it, CLOCK) is not None}
    assert compiled == SQL_COMPILERS.keys()
    without_sql = [it for it in examples if type(it) in WITHOUT_SQL and not it.parts]
    assert not any(times_summary(a) for it in without_sql for a in it.accumulators())


class MostOf(AnyOf, frozen=True):
    """A group that no compiler is registered for."""

    KEY: ClassVar[str] = "any"


def test_a_condition_without_a_compiler_is_never_evaluated_in_sql() -> None:
    parts = parse_condition({"any": [{"event": "a"}, {"event": "b"}]}).parts
    assert compile_members_query(AnyOf(tuple(parts)), CLOCK) is not None
    assert compile_members_query(MostOf(tuple(parts)), CLOCK) is None
    assert compile_members_query(AnyOf((parts[0], MostOf(tuple(parts)))), CLOCK) is None


@pytest.mark.parametrize("key", ["all", "any", "none", "score"])
def test_references_in_a_composite_are_found_at_their_pointer_and_replaced(key: str) -> None:
    reference = {"computed": "orders_30d", "op": "gte", "value": 3}
    parts = [{"when": reference, "points": 1} if key == "score" else reference]
    document: Any = {key: parts} | ({"op": "gte", "value": 1} if key == "score" else {})
    [pointer] = referenced_names(parse_condition(document, allow_references=True)).values()
    found = document
    for step in pointer.split("/")[1:]:
        found = found[int(step)] if isinstance(found, list) else found[step]
    assert found == reference
    assert not referenced_names(resolved(document))
