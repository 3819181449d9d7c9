"""The JSON schema of rules, generated from their classes.

It accepts more than the parser: an audience is any object here, because the schema of conditions does not
know values that are fields; and it cannot check the syntax of paths and name patterns.
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
    """Returns the schema as a complete document."""
    kinds = (*TRIGGERS, *ACTIONS, RuleOptions, Wait)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    for kind, name in ((Wait, "timeout"), (Cap, "per"), (OncePer, "once_per")):
        schemas[kind.__name__]["properties"][name] |= _DURATION
    schemas["Cap"]["properties"]["times"] |= {"minimum": 1, "maximum": MAX_CAP_TIMES}
    options = schemas.pop("RuleOptions")["properties"]
    options["delay"] = {"anyOf": [_DURATION, {"type": "null"}], "default": None}
    options["max_age"] |= _DURATION
    options["priority"] |= {"minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY}
    schemas["Actions"] = {
        "type": "array",
        "maxItems": MAX_ACTIONS,
        "items": {"anyOf": [_object_with(kind.KEY, kind.__name__) for kind in ACTIONS]},
    }
    schemas["Audience"] = {
        "type": "object",
        "description": f'A condition; a value may be {{"{FIELD}": "properties.item_id"}}.',
    }
    schemas["Wait"]["properties"] |= {"then": _ref("Actions"), "else": _ref("Actions")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rule",
        "type": "object",
        "properties": {
            "trigger": {"anyOf": [_ref(kind.__name__) for kind in TRIGGERS]},
            "audience": {"anyOf": [_ref("Audience"), {"type": "null"}]},
            "wait": {"anyOf": [_ref("Wait"), {"type": "null"}]},
            "actions": _ref("Actions"),
            **options,
        },
        "required": ["trigger"],
        "additionalProperties": False,
        "$defs": schemas,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(name=name)}


def _object_with(key: str, name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: _ref(name)},
        "required": [key],
        "additionalProperties": False,
    }
