"""The registry of actions is complete; an action that it does not know spoils nothing."""

from __future__ import annotations

import json
import pkgutil
import re
from contextlib import nullcontext
from importlib import import_module
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.deliveries.executor import DeliveryExecutor
from application.ledger.tables.outbox import COMMAND_QUEUE, queue_of
from domain.core.errors import InvalidRequest
from domain.definitions.definition import DefinitionVersion
from domain.rules import actions, schema
from domain.rules.actions import ACTIONS, decode_action
from domain.rules.actions.action import RenderedAction, RuleAction, UnsupportedAction
from domain.rules.definition import parse_definition
from domain.rules.rule import Rule, decode_definition, definition_warnings
from tests.strategies.histories import values
from tests.unit.automation.given import rule

UNKNOWN = {"send_sms": {"text": "Hello {{ customer.name }}", "n": [1, 1.5, None]}}
CHOICES = [kind.KEY for kind in ACTIONS]


def concrete_actions(kind: type[RuleAction] = RuleAction) -> set[type[RuleAction]]:
    """Returns the actions of all modules of the package: the classes with a key."""
    for module in pkgutil.iter_modules(actions.__path__, f"{actions.__name__}."):
        import_module(module.name)
    own = {kind} if "KEY" in vars(kind) else set()
    return own.union(*map(concrete_actions, kind.__subclasses__()))


def test_no_action_is_forgotten() -> None:
    assert concrete_actions() == set(ACTIONS)
    assert len({kind.KEY for kind in ACTIONS}) == len(ACTIONS)


def test_whatever_an_action_is_rendered_to_has_an_executor() -> None:
    assert set(DeliveryExecutor.EXECUTORS) == set(get_args(RenderedAction))


@pytest.mark.parametrize("kind", ACTIONS)
def test_every_action_is_validated_rendered_and_in_the_schema(kind: type[RuleAction]) -> None:
    assert kind.EXAMPLES
    for fields in kind.EXAMPLES:
        [action] = parse_definition(rule(actions=[{kind.KEY: fields}])).immediate
        assert type(action) is kind
        assert decode_action(action.encode()) == action
        rendered = action.render(lambda texts, document: (texts, document))
        assert type(rendered) in DeliveryExecutor.EXECUTORS
        with pytest.raises(InvalidRequest, match="unknown field"):
            parse_definition(rule(actions=[{kind.KEY: {**fields, "no_such_field": 1}}]))
    definitions = schema.document()["$defs"]
    assert kind.__name__ in definitions
    assert kind.KEY in json.dumps(definitions["Actions"])


@pytest.mark.parametrize(
    ("document", "choices"),
    [
        (UNKNOWN, CHOICES),
        ({}, CHOICES),
        ([], CHOICES),
        ({"add_tag": {"tag": "x"}, "remove_tag": {"tag": "x"}}, CHOICES),
        ({"add_tag": {"tag": " "}}, None),
    ],
)
def test_an_action_that_is_not_valid_is_refused_but_a_recorded_one_is_kept(
    document, choices
) -> None:
    wait = {"event": "b", "timeout": "1h", "then": [{"add_tag": {"tag": "x"}}, document]}
    plan = json.dumps({"trigger": {"event": "a"}, "wait": wait}).encode()
    with pytest.raises(InvalidRequest) as refused:
        parse_definition(json.loads(plan))
    assert refused.value.details["path"] == "/wait/then/1"
    assert refused.value.details.get("choices") == choices
    kept = decode_definition(plan).actions("then")[1]
    assert isinstance(kept, UnsupportedAction)
    assert json.loads(kept.encode()) == document
    assert definition_warnings(plan) == [{"path": "/wait/then/1", "message": str(refused.value)}]
    assert Rule("r", DefinitionVersion("R", "", plan)).referenced_segments == frozenset()


@given(values | st.dictionaries(st.sampled_from([*CHOICES, "send_sms"]), values, max_size=2))
def test_whatever_is_recorded_is_decoded_and_keeps_its_document(document) -> None:
    recorded = json.dumps(document).encode()
    action = decode_action(recorded)
    if isinstance(action, UnsupportedAction):
        assert json.loads(action.encode()) == document
        assert queue_of(recorded) == COMMAND_QUEUE
        with pytest.raises(InvalidRequest):
            action.render(lambda texts, document: (texts, document))
    else:
        assert decode_action(action.encode()) == action


header_texts = st.text(st.sampled_from("aZ9-_ {}:é\n"), max_size=4)


@given(header_texts, header_texts, header_texts)
def test_a_header_that_no_request_can_have_is_refused_in_a_rule(
    name: str, value: str, rendered: str
) -> None:
    """Only the value of a template, known when it is rendered, may fail in a delivery."""
    webhook = {"endpoint": "crm", "headers": {name: value}}
    document = rule(actions=[{"webhook": webhook}])
    is_template = "{" in value
    if not (is_valid_header(name, value) or (is_template and is_valid_header(name, ""))):
        with pytest.raises(InvalidRequest, match="invalid header") as refused:
            parse_definition(document)
        assert refused.value.details["path"] == "/actions/0"
        return
    [action] = parse_definition(document).immediate
    text = rendered if is_template else value
    refusal = pytest.raises(InvalidRequest, match="invalid header")
    with nullcontext() if is_valid_header(name, text) else refusal:
        action.render(lambda texts, body: (dict.fromkeys(texts, text), body))


def is_valid_header(name: str, value: str) -> bool:
    return bool(re.fullmatch(r"[\w-]*[^\W_][\w-]*", name, re.ASCII)) and not {*value} & {*"é\n"}


def test_a_supported_rule_has_no_warnings() -> None:
    assert definition_warnings(json.dumps(rule()).encode()) == []
