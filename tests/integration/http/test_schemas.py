"""The published schemas."""

from __future__ import annotations

import json

from domain.conditions import CONDITIONS, schema
from domain.rules import schema as rules


def test_the_schema_of_conditions_is_served_without_a_key(shared):
    answer = shared.client.get("/v1/schemas/condition")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json() == json.loads(json.dumps(schema.schema_document(CONDITIONS)))


def test_the_schema_of_rules_is_served_without_a_key(shared):
    answer = shared.client.get("/v1/schemas/rule")
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(rules.document()))
