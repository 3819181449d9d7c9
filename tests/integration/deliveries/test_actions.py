"""What actions say, filled with what set them off: sent, or recorded as if somebody had sent it."""

from __future__ import annotations

import json
from uuid import UUID

import msgspec
import pytest

from application.deliveries.commands import MAX_RULE_DEPTH
from domain.events.events import AttributesChanged, EventTracked, SystemEventOccurred
from tests.builders import tracked, user
from tests.integration.deliveries.conftest import Out
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


def action(**said) -> bytes:
    return msgspec.json.encode(said)


def send(out: Out, number: int = 1, **webhook) -> None:
    out.enqueue(number, action=action(webhook={"endpoint": "crm", **webhook}), context=CONTEXT)


def test_a_text_is_one_template(out: Out) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
        body = '{"n": {{ event.total }}, "s": {{ event.note | json }}, "p": "{{ client.eventContext.page }}"}'
        send(out, body=body, headers={"X-Plan": "{{ customer.plan }}", "Host": "elsewhere"})
        out.run()
        port = receiver.port
    [request] = receiver.received
    assert json.loads(request.body) == {"n": 7, "s": 'say "hi"', "p": "/p"}
    assert request.headers["x-plan"] == "pro"
    assert request.headers["host"] == f"127.0.0.1:{port}"
    request.verify(out.secrets["crm"])


def test_json_has_templates_in_its_texts_and_keeps_types(out: Out) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
        body = {
            "total": "{{ event.total }}",
            "key": '{{ event["a b"] }}',
            "tags": "{{ customer.tags }}",
            "text": "plan: {{ customer.plan }}",
            "missing": "{{ event.nothing }}",
            "plain": 5,
        }
        send(out, body=body)
        out.run()
    assert json.loads(receiver.received[0].body) == {
        "total": 7,
        "key": "x",
        "tags": ["a", "b"],
        "text": "plan: pro",
        "missing": None,
        "plain": 5,
    }


def test_what_people_sent_is_never_read_as_a_template(out: Out) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
        send(out, 1)
        send(out, 2, body={"to": "{{ event.recipient }}"})
        out.run()
    bodies = {it.id: json.loads(it.body) for it in receiver.received}
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
def test_a_template_that_is_wrong_fails_at_once_with_the_reason(out: Out, body, why) -> None:
    with Receiver() as receiver:
        out.endpoint(receiver)
        send(out, body=body)
        out.run()
    row, _ = out.outgoing.get(out.workspace, UUID(int=1))
    assert row.state == "failed"
    assert why in (row.reason or "")
    assert receiver.received == []


def test_a_template_that_takes_too_much_is_killed_and_the_next_one_is_rendered(out: Out) -> None:
    bomb = "{% assign a = '" + "a" * 60 + "' %}{{ a" + " | replace: 'a', a" * 6 + " }}"
    with Receiver() as receiver:
        out.endpoint(receiver)
        send(out, 1, body=bomb)
        send(out, 2, body="{{ customer.plan }}")
        out.run()
    assert out.state(1)[0] in {"waiting", "failed"}  # too slow, or too large: whichever came first
    assert [it.body for it in receiver.received] == [b"pro"]


@pytest.mark.parametrize("broken", [b"no JSON", b"{}", b'{"webhook": {}}', b'{"add_tag": 5}', b""])
def test_an_action_that_cannot_be_read_fails_with_the_reason(out: Out, broken: bytes) -> None:
    out.enqueue(action=broken)
    out.run()
    row, _ = out.outgoing.get(out.workspace, UUID(int=1))
    assert row.state == "failed"
    assert row.reason


def test_commands_are_recorded_of_the_person(out: Out) -> None:
    out.bench.record(tracked("Signed Up", user("ann")))
    person = out.bench.ledger.stream_of(out.workspace, user("ann"))
    wanted = [
        action(send_event={"name": "Welcomed {{ customer.plan }}", "properties": {"n": "{{ event.total }}"}}),
        action(set_attribute={"name": "stage", "value": {"of": "{{ customer.plan }}"}}),
        action(add_tag={"tag": "vip-{{ customer.plan }}"}),
        action(remove_tag={"tag": "cold"}),
    ]  # fmt: skip
    for number, each in enumerate(wanted):
        out.enqueue(number, person=person, action=each, context=CONTEXT)
    out.run()
    assert [out.state(it) for it in range(4)] == [("delivered", 1)] * 4
    events = [it.event for it in out.bench.all()][1:]
    said = {it.name: json.loads(it.payload) for it in events}
    assert {type(it) for it in events} == {EventTracked, AttributesChanged}
    assert {it.subject for it in events} == {user("ann")}
    assert said["Welcomed pro"]["properties"] == {"n": 7}
    assert said["identify"]["traits"] == {"stage": {"of": "pro"}}
    assert said["Tag Added"]["properties"] == {"tag": "vip-pro"}
    assert said["Tag Removed"]["properties"] == {"tag": "cold"}
    assert said["Tag Added"]["context"]["foldline"] == {"rule": "welcome", "version": 1, "depth": 1}


def test_a_command_that_is_done_twice_is_recorded_once(out: Out) -> None:
    out.enqueue(action=action(send_event={"name": "Opened"}), context=CONTEXT)
    out.run()
    out.outgoing.replay(out.workspace, UUID(int=1))
    out.run()
    [one] = out.bench.all()
    assert isinstance(one.event, SystemEventOccurred)
    assert out.state() == ("delivered", 2)
    assert out.bench.ledger.list_rejected(out.workspace) == []


def test_rules_that_set_off_one_another_come_to_an_end(out: Out) -> None:
    for depth in (MAX_RULE_DEPTH - 1, MAX_RULE_DEPTH):
        context = msgspec.json.encode({"event": {}, "depth": depth})
        out.enqueue(depth, action=action(send_event={"name": "Again"}), context=context)
    out.run()
    assert out.state(MAX_RULE_DEPTH - 1) == ("delivered", 1)
    row, _ = out.outgoing.get(out.workspace, UUID(int=MAX_RULE_DEPTH))
    assert row.state == "failed"
    assert "rules have set off one another" in (row.reason or "")


def test_what_is_said_of_nobody_known_fails_with_the_reason(out: Out) -> None:
    out.enqueue(1, action=action(set_attribute={"name": "a", "value": 1}))
    out.enqueue(2, action=action(add_tag={"tag": "a"}), person=UUID(int=77))
    out.run()
    assert [out.state(it)[0] for it in (1, 2)] == ["failed", "failed"]
    assert out.bench.all() == []
