"""The JSON schema of rules, made from their classes.

An audience is a condition whose values may be fields, which the schema of conditions does not know: what
it may be is left open here.  Nor can a schema say that a path can be read, or a pattern.
"""

from __future__ import annotations

from typing import Any

import msgspec

from domain.rules.actions import ACTIONS, MAX_ACTIONS
from domain.rules.audience import FIELD
from domain.rules.definition import MAX_CAP_TIMES, MAX_PRIORITY, Cap, OncePer, RuleOptions, Wait
from domain.rules.triggers import TRIGGERS

_DURATION = {"type": "string", "pattern": "^[1-9][0-9]{0,8}[smhd]$"}
_REF = "#/$defs/{name}"


def document() -> dict[str, Any]:
    """Return the schema of what a rule does as a document by itself."""
    kinds = (*TRIGGERS, *ACTIONS, RuleOptions, Wait)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    for kind, name in ((Wait, "timeout"), (Cap, "per"), (OncePer, "once_per")):
        schemas[kind.__name__]["properties"][name] |= _DURATION
    schemas["Cap"]["properties"]["times"] |= {"minimum": 1, "maximum": MAX_CAP_TIMES}
    plain = schemas.pop("RuleOptions")["properties"]
    plain["delay"] = {"anyOf": [_DURATION, {"type": "null"}], "default": None}
    plain["max_age"] |= _DURATION
    plain["priority"] |= {"minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY}
    schemas["Actions"] = {
        "type": "array",
        "maxItems": MAX_ACTIONS,
        "items": {"anyOf": [_only(it.KEY, it.__name__) for it in ACTIONS]},
    }
    schemas["Audience"] = {
        "type": "object",
        "description": f'A condition, in which a value may be {{"{FIELD}": "properties.item_id"}}.',
    }
    schemas["Wait"]["properties"] |= {"then": _ref("Actions"), "else": _ref("Actions")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rule",
        "type": "object",
        "properties": {
            "trigger": {"anyOf": [_ref(it.__name__) for it in TRIGGERS]},
            "audience": {"anyOf": [_ref("Audience"), {"type": "null"}]},
            "wait": {"anyOf": [_ref("Wait"), {"type": "null"}]},
            "actions": _ref("Actions"),
            **plain,
        },
        "required": ["trigger"],
        "additionalProperties": False,
        "$defs": schemas,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(name=name)}


def _only(key: str, name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: _ref(name)},
        "required": [key],
        "additionalProperties": False,
    }
