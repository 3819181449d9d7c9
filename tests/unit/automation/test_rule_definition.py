"""Which rules are valid, and the JSON pointer at which others are refused."""

from __future__ import annotations

import pytest

from domain.conditions import EvaluationInput, ProfileFacts
from domain.core.errors import InvalidRequest
from domain.rules.definition import parse_definition
from tests.unit.automation.given import EVENT, TAG, WAIT, rule


@pytest.mark.parametrize(
    "document",
    [
        rule(),
        rule(trigger={"event": {"matching": "a*"}}),
        rule(trigger={"system_event": "x"}, audience={"all": []}),
        rule(trigger={"entered": "vips"}),
        rule(trigger={"left": "vips"}),
        rule(trigger={"attribute_changed": "address.city"}),
        rule(trigger={"profile": "created"}),
        rule(trigger={"profile": "merged"}),
        rule(where=[{"path": "properties.n", "op": "gt", "value": 1}]),
        rule(delay="24h", reentry="once", cap={"times": 3, "per": "7d"}, priority=-5),
        rule(reentry={"once_per": "7d"}, max_age="30d", on_merge="always"),
        {"trigger": EVENT, "wait": WAIT | {"match": "properties.order_id", "then": TAG}},
        rule(actions=[{"webhook": {"endpoint": "crm", "body": {"a": [1]}}}]),
        rule(actions=[{"send_event": {"name": "x", "properties": {"a": 1}}}]),
        rule(
            actions=[{"set_attribute": {"name": "x", "value": None}}, {"remove_tag": {"tag": "t"}}]
        ),
        rule(audience={"attribute": "a", "op": "in", "value": {"$field": "properties.a[].b"}}),
        rule(audience={"any": [{"tag": {"$field": "properties.a"}}, {"event": "z"}]}),
        rule(
            audience={
                "attribute": "a",
                "op": "between",
                "value": [{"$field": "properties.a"}, {"$field": "properties.b"}],
            }
        ),
    ],
)
def test_a_valid_rule_is_parsed(document) -> None:
    assert parse_definition(document)


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], ""),
        (rule(extra=1), "/extra"),
        ({"actions": TAG}, "/trigger"),
        (rule(trigger={"event": 3}), "/trigger"),
        (rule(trigger={"event": "a", "left": "b"}), "/trigger"),
        (rule(trigger={"attribute_changed": ""}), "/trigger"),
        (rule(trigger={"profile": "erased"}), "/trigger"),
        (rule(trigger={"system_event": "x"}), "/audience"),
        (rule(where=[{"path": "a b", "op": "eq", "value": 1}]), ""),
        (rule(delay="soon"), ""),
        (rule(cap={"times": 0, "per": "7d"}), ""),
        (rule(cap={"times": 101, "per": "7d"}), ""),
        (rule(reentry="twice"), ""),
        (rule(priority=1_001), ""),
        (rule(on_merge="maybe"), ""),
        ({"trigger": EVENT}, ""),
        ({"trigger": EVENT, "wait": {"event": "b", "timeout": "1h"}}, "/wait"),
        ({"trigger": EVENT, "wait": 3}, "/wait"),
        ({"trigger": EVENT, "wait": {"timeout": "1h", "else": TAG}}, "/wait"),
        ({"trigger": EVENT, "wait": WAIT, "actions": TAG}, "/actions"),
        ({"trigger": {"entered": "s"}, "wait": WAIT | {"match": "properties.a"}}, "/wait/match"),
        (rule(actions=[{"add_tag": {"tag": "x"}, "remove_tag": {"tag": "x"}}]), "/actions/0"),
        (rule(actions=[*TAG, {"add_tag": {"tag": " "}}]), "/actions/1"),
        (rule(actions=TAG * 11), "/actions"),
        (rule(actions={}), "/actions"),
        (rule(audience={"any": [{"event": "x", "where": [{"$field": "a"}]}]}), "/audience/any/0/where/0"),
        (rule(audience={"all": [{"attribute": "a", "op": "eq", "value": {"$field": 1}}]}), "/audience/all/0/value"),
        (rule(audience={"attribute": "a", "op": "eq", "value": {"$field": "a b"}}), ""),
        (rule(audience={"evnt": "x"}), "/audience"),
    ],
)  # fmt: skip
def test_an_invalid_rule_is_refused_with_a_pointer(document, pointer) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_definition(document)
    assert refused.value.details.get("path", "") == pointer


def test_actions_are_encoded_as_they_were_parsed() -> None:
    documents = [
        {"webhook": {"endpoint": "crm"}},
        {"send_event": {"name": "x"}},
        {"set_attribute": {"name": "x", "value": None}},
    ]
    actions = parse_definition(rule(actions=documents)).immediate
    assert [action.encode() for action in actions] == [
        b'{"webhook":{"endpoint":"crm"}}',
        b'{"send_event":{"name":"x"}}',
        b'{"set_attribute":{"name":"x","value":null}}',
    ]


@pytest.mark.parametrize(
    ("comparison", "context", "attributes", "holds"),
    [
        ({"op": "eq", "value": {"$field": "properties.a"}}, {"a": 1}, {"x": 1}, True),
        ({"op": "eq", "value": {"$field": "properties.a"}}, {"a": "1"}, {"x": 1}, False),
        ({"op": "eq", "value": {"$field": "properties.a"}}, {}, {"x": 1}, False),
        ({"op": "ne", "value": {"$field": "properties.a"}}, {}, {"x": 1}, False),
        ({"op": "gt", "value": {"$field": "properties.a"}}, {"a": [1]}, {"x": 1}, False),
        ({"op": "in", "value": {"$field": "properties.a"}}, {"a": [1, 2]}, {"x": 1}, True),
        ({"op": "in", "value": {"$field": "properties.a[].b"}}, {"a": [{"b": 1}]}, {"x": 1}, True),
        ({"op": "in", "value": {"$field": "properties.a"}}, {}, {"x": 1}, False),
    ],
)
def test_a_field_is_read_from_the_trigger_event(comparison, context, attributes, holds) -> None:
    audience = parse_definition(rule(audience={"attribute": "x"} | comparison)).audience
    assert audience is not None
    assert (
        audience.holds(
            EvaluationInput({}, lambda: ProfileFacts(attributes)), 0, {"properties": context}
        )
        is holds
    )
