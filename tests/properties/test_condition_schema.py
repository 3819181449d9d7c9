"""The published schema accepts what `parse_condition` accepts, and refuses usual mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from domain.conditions import CONDITIONS, parse_condition, schema
from domain.core.errors import InvalidRequest
from tests import examples
from tests.strategies.conditions import conditions

SCHEMA = schema.schema_document(CONDITIONS)
VALIDATOR = Draft202012Validator(SCHEMA)

E = {"event": "a"}
TAG = {"tag": "vip"}
MISTAKES: list[Any] = [
    None,
    [],
    "purchase",
    {},
    {"all": TAG},
    {"all": [TAG], "any": [TAG]},
    {"all": ["vip"]},
    {"event": 1},
    {"event": {"matching": ""}},
    {"event": {"like": "a*"}},
    {"events": "a"},
    E | {"count": 3},
    E | {"count": {}},
    E | {"count": {"at_least": 1, "at_most": 2}},
    E | {"count": {"at_least": -1}},
    E | {"count": {"at_least": 1.5}},
    E | {"count": {"between": [1]}},
    E | {"count": {"at_least": None}},
    E | {"within": "30d"},
    E | {"within": {}},
    E | {"within": {"last": "30 days"}},
    E | {"within": {"last": "30d", "from": "2026-01-01"}},
    E | {"where": {"path": "properties.a", "op": "exists"}},
    E | {"where": [{"path": "properties.a", "op": "="}]},
    E | {"where": [{"path": "properties.a", "op": "eq"}]},
    E | {"where": [{"path": "properties.a", "op": "exists", "value": 1}]},
    E | {"where": [{"path": "properties.a", "op": "in", "value": "x"}]},
    E | {"where": [{"path": "properties.a", "op": "gt", "value": None}]},
    E | {"where": [{"path": "properties.a", "op": "between", "value": [1, "2"]}]},
    E | {"where": [{"path": "properties.a", "op": "before", "value": {"ago": "7d"}}]},
    E | {"occurrence": "last"},
    E | {"occurrence": "any", "older_than": "1d"},
    E | {"occurrence": "last", "older_than": "1d", "newer_than": "2d"},
    E | {"aggregate": {"fn": "median", "path": "properties.a", "op": "eq", "value": 1}},
    E | {"aggregate": {"fn": "sum", "path": "properties.a", "op": "eq", "value": "1"}},
    E | {"aggregate": {"fn": "sum", "path": "properties.a", "op": "between", "value": 1}},
    {"computed": {"fn": "count", "event": "a", "path": "properties.a"}, "op": "eq", "value": 1},
    {"computed": {"fn": "sum", "event": "a"}, "op": "eq", "value": 1},
    {"computed": {"fn": "count", "event": "a"}, "value": 1},
    {"computed": "orders_30d", "value": 1},
    {"computed": "orders_30d", "op": "between", "value": 1},
    {"score": "engaged", "op": "gte", "value": "1"},
    {"score": [{"when": TAG}], "op": "gte", "value": 1},
    {"score": [{"when": TAG, "points": "1"}], "op": "gte", "value": 1},
    {"score": [TAG], "op": "gte", "value": 1},
    {"score": [], "op": "gte", "value": "1"},
    {"score": [], "op": "between", "value": 1},
    {"sequence": [E]},
    {"sequence": [E, "b"]},
    {"sequence": [E, E], "within": {"last": "1h"}},
    {"attribute": "plan", "op": "before", "value": {"ago": "7 days"}},
    {"attribute": "plan", "value": "pro"},
    {"tag": "vip", "present": "yes"},
    {"identifier": "e-mail"},
]


@examples.share(0.5)
@given(conditions)
def test_every_valid_condition_is_valid_by_the_schema(document) -> None:
    parse_condition(document)
    VALIDATOR.validate(document)


@pytest.mark.parametrize("document", MISTAKES, ids=repr)
def test_a_usual_mistake_is_refused_by_both(document) -> None:
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(InvalidRequest):
        parse_condition(document, allow_references=True)


def test_the_schema_is_valid_and_so_are_its_examples() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    examples_of_schema = SCHEMA["$defs"]["Condition"]["examples"]
    assert len(examples_of_schema) >= len(CONDITIONS)
    for example in examples_of_schema:
        VALIDATOR.validate(example)


def test_every_kind_has_a_description() -> None:
    assert {kind.__name__ for kind in CONDITIONS} < SCHEMA["$defs"].keys()
    assert all(definition["description"] for definition in SCHEMA["$defs"].values())
