"""Actions: rendered with their context, then sent as a webhook or recorded as a message."""

from __future__ import annotations

import json
from uuid import UUID

import msgspec
import pytest

from domain.events.events import AttributesChanged, EventTracked, SystemEventOccurred
from domain.rules import actions
from domain.rules.actions import ACTIONS
from domain.rules.actions.action import RuleAction
from domain.rules.definition import MAX_RULE_DEPTH
from tests.builders import tracked, user
from tests.integration.deliveries.outbound import Outbound
from tests.receiver import Receiver

pytestmark = pytest.mark.storage

CONTEXT = json.dumps(
    {
        "event": {"total": 7, "a b": "x", "note": 'say "hi"', "recipient": "{{ customer.plan }}"},
        "customer": {"plan": "pro", "tags": ["a", "b"]},
        "client": {"eventContext": {"page": "/p"}},
        "depth": 0,
    }
).encode()


def action(**fields) -> bytes:
    return msgspec.json.encode(fields)


def send(outbound: Outbound, number: int = 1, **webhook) -> None:
    outbound.enqueue(number, action=action(webhook={"endpoint": "crm", **webhook}), context=CONTEXT)


@pytest.mark.parametrize("kind", ACTIONS)
def test_every_action_is_executed(outbound: Outbound, kind: type[RuleAction]) -> None:
    outbound.bench.record(tracked("Signed Up", user("ann")))
    stream = outbound.bench.ledger.stream_of(outbound.workspace, user("ann"))
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        for number, fields in enumerate(kind.EXAMPLES):
            outbound.enqueue(
                number, profile_stream=stream, action=action(**{kind.KEY: fields}), context=CONTEXT
            )
        outbound.run()
    count = len(kind.EXAMPLES)
    assert [outbound.state(number) for number in range(count)] == [("delivered", 1)] * count
    assert len(receiver.received) + len(outbound.bench.all()) == 1 + count


def test_an_unknown_action_fails_at_once_with_the_reason(outbound: Outbound) -> None:
    outbound.enqueue(action=action(send_sms={"text": "Hello"}))
    outbound.run()
    assert outbound.state() == ("failed", 1)
    row, _ = outbound.deliveries.get(outbound.workspace, UUID(int=1))
    assert row.reason == (
        "the action is not valid: unknown action 'send_sms'; use one of webhook, send_event,"
        " set_attribute, add_tag, remove_tag; change the rule for its later firings"
    )


def test_an_action_that_a_later_version_knows_is_redelivered_to_its_endpoint(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        with monkeypatch.context() as earlier_version:
            earlier_version.setattr(actions, "_ACTION_BY_KEY", {})
            send(outbound)
            outbound.run()
        assert (outbound.state(), receiver.received) == (("failed", 1), [])
        outbound.deliveries.replay(outbound.workspace, UUID(int=1))
        outbound.run()
    assert outbound.state() == ("delivered", 2)
    assert len(receiver.received) == 1


def test_a_body_that_is_a_string_is_one_template(outbound: Outbound) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        body = '{"n": {{ event.total }}, "s": {{ event.note | json }}, "p": "{{ client.eventContext.page }}"}'
        send(outbound, body=body, headers={"X-Plan": "{{ customer.plan }}", "Host": "elsewhere"})
        outbound.run()
        port = receiver.port
    [request] = receiver.received
    assert json.loads(request.body) == {"n": 7, "s": 'say "hi"', "p": "/p"}
    assert request.headers["x-plan"] == "pro"
    assert request.headers["host"] == f"127.0.0.1:{port}"
    request.verify(outbound.secrets["crm"])


def test_a_json_body_has_templates_in_its_strings_and_keeps_types(outbound: Outbound) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        body = {
            "total": "{{ event.total }}",
            "key": '{{ event["a b"] }}',
            "tags": "{{ customer.tags }}",
            "text": "plan: {{ customer.plan }}",
            "missing": "{{ event.nothing }}",
            "plain": 5,
        }
        send(outbound, body=body)
        outbound.run()
    assert json.loads(receiver.received[0].body) == {
        "total": 7,
        "key": "x",
        "tags": ["a", "b"],
        "text": "plan: pro",
        "missing": None,
        "plain": 5,
    }


def test_event_data_is_never_read_as_a_template(outbound: Outbound) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        send(outbound, 1)
        send(outbound, 2, body={"to": "{{ event.recipient }}"})
        outbound.run()
    bodies = {request.id: json.loads(request.body) for request in receiver.received}
    assert bodies[str(UUID(int=1))]["data"]["event"]["recipient"] == "{{ customer.plan }}"
    assert bodies[str(UUID(int=2))] == {"to": "{{ customer.plan }}"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{% include 'x' %}", "unexpected tag 'include'"),
        ("{% render 'x' %}", "unexpected tag 'render'"),
        ("{{ event.total", "expected '}}'"),
        ("{{ 'a' | shell }}", "unknown filter"),
        ("{{ (1..100000) | join: ',' }}", "a range has at most"),
        ("{% for i in (1..999) %}{% for j in (1..999) %}x{% endfor %}{% endfor %}", "iteration"),
        ("{{ 'x' }}" + " " * 11_000, "10,240 bytes"),
    ],
)
def test_an_invalid_template_fails_at_once_with_the_reason(outbound: Outbound, body, why) -> None:
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        send(outbound, body=body)
        outbound.run()
    row, _ = outbound.deliveries.get(outbound.workspace, UUID(int=1))
    assert row.state == "failed"
    assert why in (row.reason or "")
    assert receiver.received == []


def test_a_template_that_needs_too_much_is_killed_and_the_next_one_is_rendered(
    outbound: Outbound,
) -> None:
    bomb = "{% assign a = '" + "a" * 60 + "' %}{{ a" + " | replace: 'a', a" * 6 + " }}"
    with Receiver() as receiver:
        outbound.endpoint(receiver)
        send(outbound, 1, body=bomb)
        send(outbound, 2, body="{{ customer.plan }}")
        outbound.run()
    assert outbound.state(1)[0] in {
        "waiting",
        "failed",
    }  # too slow or too large, whichever comes first
    assert [request.body for request in receiver.received] == [b"pro"]


@pytest.mark.parametrize("broken", [b"no JSON", b"{}", b'{"webhook": {}}', b'{"add_tag": 5}', b""])
def test_an_invalid_action_fails_with_the_reason(outbound: Outbound, broken: bytes) -> None:
    outbound.enqueue(action=broken)
    outbound.run()
    row, _ = outbound.deliveries.get(outbound.workspace, UUID(int=1))
    assert row.state == "failed"
    assert row.reason


def test_commands_are_recorded_as_events_of_the_profile(outbound: Outbound) -> None:
    outbound.bench.record(tracked("Signed Up", user("ann")))
    stream = outbound.bench.ledger.stream_of(outbound.workspace, user("ann"))
    actions = [
        action(send_event={"name": "Welcomed {{ customer.plan }}", "properties": {"n": "{{ event.total }}"}}),
        action(set_attribute={"name": "stage", "value": {"of": "{{ customer.plan }}"}}),
        action(add_tag={"tag": "vip-{{ customer.plan }}"}),
        action(remove_tag={"tag": "cold"}),
    ]  # fmt: skip
    for number, body in enumerate(actions):
        outbound.enqueue(number, profile_stream=stream, action=body, context=CONTEXT)
    outbound.run()
    assert [outbound.state(number) for number in range(4)] == [("delivered", 1)] * 4
    events = [recorded.event for recorded in outbound.bench.all()][1:]
    payloads = {event.name: json.loads(event.payload) for event in events}
    assert {type(event) for event in events} == {EventTracked, AttributesChanged}
    assert {event.subject for event in events} == {user("ann")}
    assert payloads["Welcomed pro"]["properties"] == {"n": 7}
    assert payloads["identify"]["traits"] == {"stage": {"of": "pro"}}
    assert payloads["Tag Added"]["properties"] == {"tag": "vip-pro"}
    assert payloads["Tag Removed"]["properties"] == {"tag": "cold"}
    assert payloads["Tag Added"]["context"]["foldline"] == {
        "rule": "welcome",
        "version": 1,
        "depth": 1,
    }


def test_a_command_that_is_executed_twice_is_recorded_once(outbound: Outbound) -> None:
    outbound.enqueue(action=action(send_event={"name": "Opened"}), context=CONTEXT)
    outbound.run()
    outbound.deliveries.replay(outbound.workspace, UUID(int=1))
    outbound.run()
    [recorded] = outbound.bench.all()
    assert isinstance(recorded.event, SystemEventOccurred)
    assert outbound.state() == ("delivered", 2)
    assert outbound.bench.ledger.list_rejected(outbound.workspace) == []


def test_rules_that_trigger_each_other_come_to_an_end(outbound: Outbound) -> None:
    for depth in (MAX_RULE_DEPTH - 1, MAX_RULE_DEPTH):
        context = msgspec.json.encode({"event": {}, "depth": depth})
        outbound.enqueue(depth, action=action(send_event={"name": "Again"}), context=context)
    outbound.run()
    assert outbound.state(MAX_RULE_DEPTH - 1) == ("delivered", 1)
    row, _ = outbound.deliveries.get(outbound.workspace, UUID(int=MAX_RULE_DEPTH))
    assert row.state == "failed"
    assert "rules triggered each other" in (row.reason or "")


def test_a_command_without_a_known_profile_fails(outbound: Outbound) -> None:
    outbound.enqueue(1, action=action(set_attribute={"name": "a", "value": 1}))
    outbound.enqueue(2, action=action(add_tag={"tag": "a"}), profile_stream=UUID(int=77))
    outbound.run()
    assert [outbound.state(number)[0] for number in (1, 2)] == ["failed", "failed"]
    assert outbound.bench.all() == []
