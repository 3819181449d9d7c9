"""The published JSON schema accepts valid rules and refuses clearly invalid ones."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from domain.rules import schema
from interfaces.http.api.rules.schemas import RULE_EXAMPLES
from tests.unit.automation.given import TAG, WAIT, rule

VALIDATOR = Draft202012Validator(schema.document())


@pytest.mark.parametrize(
    "document",
    [
        rule(),
        rule(trigger={"event": {"matching": "a*"}}, where=[{"path": "a", "op": "exists"}]),
        rule(delay="24h", reentry={"once_per": "7d"}, cap={"times": 3, "per": "7d"}, priority=5),
        rule(wait=WAIT | {"match": "properties.order_id", "then": TAG}),
        rule(actions=[{"webhook": {"endpoint": "crm", "body": "x"}}]),
        rule(audience={"tag": {"$field": "properties.a"}}),
        *(
            {key: value for key, value in example.items() if key != "name"}
            for example in RULE_EXAMPLES
        ),
    ],
)
def test_the_schema_accepts_a_valid_rule(document) -> None:
    Draft202012Validator.check_schema(VALIDATOR.schema)
    VALIDATOR.validate(document)


@pytest.mark.parametrize(
    "document",
    [
        {"actions": TAG},
        rule(extra=1),
        rule(trigger={"event": 3}),
        rule(trigger={"profile": "erased"}),
        rule(delay="soon"),
        rule(cap={"times": 0, "per": "7d"}),
        rule(reentry="twice"),
        rule(priority=1_001),
        rule(wait={"event": "b"}),
        rule(actions=[{"add_tag": {"tag": "x"}, "remove_tag": {"tag": "x"}}]),
        rule(actions=TAG * 11),
    ],
)
def test_the_schema_refuses_an_invalid_rule(document) -> None:
    assert not VALIDATOR.is_valid(document)
