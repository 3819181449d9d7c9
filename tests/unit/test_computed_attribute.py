"""What may be decided about a computed attribute, and what its name then stands for."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from domain import conditions
from domain.conditions.computed import ComputedCondition
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.segments.computed_attribute import (
    ComputedAttribute,
    ComputedAttributeVersion,
    parse_computation,
    resolve_all,
)
from domain.segments.segment import Actor, Segment
from domain.segments.segment import SegmentVersion as Wanted

BY = Actor("key-1", datetime(2026, 1, 1, tzinfo=UTC), "a test")
ORDERS = {"computed": {"fn": "count", "event": "order", "within": {"last": "30d"}}}
KEEN = {"computed": "orders_30d", "op": "gte", "value": 3}
ENGAGED = {"score": [{"when": {"tag": "vip"}, "points": 5}, {"when": KEEN, "points": 10}]}


def wanted(computation: object, name: str = "It") -> ComputedAttributeVersion:
    return ComputedAttributeVersion(name, "", json.dumps(computation).encode())


def defined(id_: str, computation: object, *others: ComputedAttribute) -> ComputedAttribute:
    event = ComputedAttribute(id_).define(wanted(computation), others, BY)
    assert event is not None
    return ComputedAttribute(id_).apply(event)


def test_a_definition_is_kept_with_who_when_and_why() -> None:
    attribute = ComputedAttribute("orders_30d")
    event = attribute.define(wanted(ORDERS), (), BY)
    assert event is not None
    assert (event.actor, event.occurred_at, event.reason) == ("key-1", BY.at, "a test")
    attribute = attribute.apply(event)
    assert (attribute.exists, attribute.version) == (True, 1)
    assert isinstance(attribute.value, ComputedCondition)
    assert attribute.define(wanted(ORDERS), (), BY) is None
    gone = attribute.apply(attribute.archive((), BY))
    assert (gone.exists, gone.version) == (False, 2)
    with pytest.raises(NotFound):
        gone.archive((), BY)


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
def test_what_cannot_be_is_refused_with_its_place(computation, path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ComputedAttribute("it").define(wanted(computation), (), BY)
    assert refused.value.details.get("path") == path


def test_a_name_stands_for_what_is_in_effect() -> None:
    orders = defined("orders_30d", ORDERS)
    engaged = defined("engaged", ENGAGED, orders)
    values = resolve_all({it.id: it.value for it in (engaged, orders)})
    asked = {"any": [{"none": [KEEN]}, {"score": "engaged", "op": "gte", "value": 15}]}
    spelt_out = {
        "any": [
            {"none": [KEEN | ORDERS]},
            {"score": [ENGAGED["score"][0], {"when": KEEN | ORDERS, "points": 10}], "op": "gte", "value": 15},
        ]
    }  # fmt: skip
    found = conditions.resolve_references(
        conditions.parse_condition(asked, allow_references=True), values
    )
    assert found == conditions.parse_condition(spelt_out)


def test_names_are_for_segments_alone_and_of_the_right_kind() -> None:
    with pytest.raises(InvalidRequest, match="define 'orders_30d' inline") as refused:
        conditions.parse_condition({"all": [{"event": "x"}, KEEN]})
    assert refused.value.details["path"] == "/all/1"
    values = {"orders_30d": defined("orders_30d", ORDERS).value}
    for condition in ({"score": "orders_30d", "op": "eq", "value": 1}, KEEN | {"computed": "no"}):
        definition = Wanted("Asks", "", json.dumps({"any": [condition]}).encode())
        with pytest.raises(InvalidRequest, match="there is no") as refused:
            Segment("asks").define(definition, Segment, BY, values)
        assert refused.value.details["path"] == "/any/0"


def test_what_is_asked_about_stays_and_a_score_stays_a_score() -> None:
    orders = defined("orders_30d", ORDERS)
    with pytest.raises(Conflict, match="others ask about 'orders_30d': engaged, keen"):
        orders.archive({"keen", "engaged"}, BY)
    with pytest.raises(Conflict, match="a score stays one"):
        orders.define(wanted({"score": []}), (), BY)
    assert parse_computation(b'{"score": []}')
