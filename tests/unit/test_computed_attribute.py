"""Which definitions of computed attributes are allowed, and how references to them resolve."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from domain import conditions
from domain.conditions.computed import ComputedCondition
from domain.core.actor import Actor
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.definitions.definition import DefinitionVersion
from domain.segments.computed_attribute import (
    ComputedAttribute,
    parse_computation,
    resolve_all,
)
from domain.segments.segment import Segment

ACTOR = Actor("key-1", datetime(2026, 1, 1, tzinfo=UTC), "a test")
ORDERS = {"computed": {"fn": "count", "event": "order", "within": {"last": "30d"}}}
KEEN = {"computed": "orders_30d", "op": "gte", "value": 3}
ENGAGED = {"score": [{"when": {"tag": "vip"}, "points": 5}, {"when": KEEN, "points": 10}]}


def version(computation: object, name: str = "Attribute") -> DefinitionVersion:
    return DefinitionVersion(name, "", json.dumps(computation).encode())


class Others:
    """The computed attributes that a command sees."""

    def __init__(self, *attributes: ComputedAttribute) -> None:
        self.computed_attributes = resolve_all({each.id: each.value for each in attributes})

    def segment(self, id_: str) -> Segment:
        return Segment(id_)


def defined(id_: str, computation: object, *others: ComputedAttribute) -> ComputedAttribute:
    event = ComputedAttribute(id_).define(version(computation), Others(*others), ACTOR)
    assert event is not None
    return ComputedAttribute(id_).apply(event)


def test_a_definition_records_its_actor_time_and_reason() -> None:
    attribute = ComputedAttribute("orders_30d")
    event = attribute.define(version(ORDERS), Others(), ACTOR)
    assert event is not None
    assert (event.actor, event.occurred_at, event.reason) == ("key-1", ACTOR.at, "a test")
    attribute = attribute.apply(event)
    assert (attribute.exists, attribute.version) == (True, 1)
    assert isinstance(attribute.value, ComputedCondition)
    assert attribute.define(version(ORDERS), Others(), ACTOR) is None
    archived = attribute.apply(attribute.archive((), ACTOR))
    assert (archived.exists, archived.version) == (False, 2)
    with pytest.raises(NotFound):
        archived.archive((), ACTOR)


@pytest.mark.parametrize(
    ("computation", "path"),
    [
        ([], ""),
        ({}, ""),
        ({"computed": ORDERS["computed"], "op": "exists"}, ""),
        ({"computed": "orders_30d"}, "/computed"),
        ({"computed": {"fn": "sum", "event": "order"}}, ""),
        ({"score": [{"when": {"segment": "vips"}, "points": 1}]}, "/score/0/when"),
        ({"score": [{"when": {"all": [{"score": "x", "op": "gt", "value": 1}]}, "points": 1}]}, "/score/0/when/all/0"),
        ({"score": [{"when": {"none": [KEEN]}, "points": 1}]}, "/score/0/when/none/0"),
    ],
)  # fmt: skip
def test_an_invalid_definition_is_refused_with_a_pointer(computation, path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ComputedAttribute("attribute").define(version(computation), Others(), ACTOR)
    assert refused.value.details.get("path") == path


def test_a_reference_resolves_to_the_current_definition() -> None:
    orders = defined("orders_30d", ORDERS)
    engaged = defined("engaged", ENGAGED, orders)
    values = resolve_all({attribute.id: attribute.value for attribute in (engaged, orders)})
    condition = {"any": [{"none": [KEEN]}, {"score": "engaged", "op": "gte", "value": 15}]}
    expected = {
        "any": [
            {"none": [KEEN | ORDERS]},
            {"score": [ENGAGED["score"][0], {"when": KEEN | ORDERS, "points": 10}], "op": "gte", "value": 15},
        ]
    }  # fmt: skip
    resolved = conditions.parse_condition(condition, allow_references=True).resolve(values)
    assert resolved == conditions.parse_condition(expected)


def test_only_segments_may_use_references_and_their_kind_must_match() -> None:
    with pytest.raises(InvalidRequest, match="define 'orders_30d' inline") as refused:
        conditions.parse_condition({"all": [{"event": "x"}, KEEN]})
    assert refused.value.details["path"] == "/all/1"
    others = Others(defined("orders_30d", ORDERS))
    for condition in ({"score": "orders_30d", "op": "eq", "value": 1}, KEEN | {"computed": "no"}):
        definition = DefinitionVersion("Refers", "", json.dumps({"any": [condition]}).encode())
        with pytest.raises(InvalidRequest, match="there is no") as refused:
            Segment("refers").define(definition, others, ACTOR)
        assert refused.value.details["path"] == "/any/0"


def test_an_attribute_in_use_cannot_be_archived_and_a_score_stays_a_score() -> None:
    orders = defined("orders_30d", ORDERS)
    with pytest.raises(Conflict, match="'orders_30d' is used by: engaged, keen"):
        orders.archive({"keen", "engaged"}, ACTOR)
    with pytest.raises(Conflict, match="a score cannot become"):
        orders.define(version({"score": []}), Others(), ACTOR)
    assert parse_computation(b'{"score": []}')
