"""Recorded events of definitions: those of 0.1 and 0.2 decode to the same facts."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from application.ledger.erasure.erasure import NEVER_BLANKED
from application.ledger.mapper import decode_event, encode_state
from domain.events.events import NIL, DefinitionEvent
from domain.events.registry import EVENT_CLASSES
from interfaces.http.kit.event_json import cause_fields

_ID = "a26964c41000000000000000000000000000000007"
_WHEN_AND_WHO = (
    "ab6f636375727265645f6174d7ff00005dc0695735a5a56163746f72a36b2d31a6726561736f6ea6737072696e67"
)

RECORDED = {
    "segment.defined.v1": (
        "88", ("a77365676d656e74a476697073a46e616d65a456495073ab6465736372697074696f6ea164"
        "a9636f6e646974696f6ec40d7b22746167223a22766970227d"),
        {"segment": "vips", "name": "VIPs", "description": "d", "condition": b'{"tag":"vip"}'},
    ),
    "segment.archived.v1": ("85", "a77365676d656e74a476697073", {"segment": "vips"}),
    "funnel.defined.v1": (
        "87", "a666756e6e656ca474696c6ca46e616d65a454696c6ca8646f63756d656e74c40c7b227374657073223a5b5d7d",
        {"funnel": "till", "name": "Till", "description": "", "document": b'{"steps":[]}'},
    ),
    "funnel.archived.v1": ("85", "a666756e6e656ca474696c6c", {"funnel": "till"}),
    "computed_attribute.defined.v1": (
        "87", ("a9617474726962757465a66f7264657273a46e616d65a64f7264657273"
        "ab636f6d7075746174696f6ec40c7b2273636f7265223a5b5d7d"),
        {"attribute": "orders", "name": "Orders", "description": "", "computation": b'{"score":[]}'},
    ),
    "computed_attribute.archived.v1": (
        "85", "a9617474726962757465a66f7264657273", {"attribute": "orders"},
    ),
    "rule.defined.v1": (
        "87", "a472756c65a172a46e616d65a152a4706c616ec4027b7d",
        {"rule": "r", "name": "R", "description": "", "plan": b"{}"},
    ),
    "rule.enabled.v1": ("85", "a472756c65a172", {"rule": "r"}),
    "rule.disabled.v1": ("85", "a472756c65a172", {"rule": "r"}),
    "rule.archived.v1": ("85", "a472756c65a172", {"rule": "r"}),
}  # fmt: skip
"""States as 0.2.0 wrote them, without the id, time, actor and reason that all have; and their fields."""


@pytest.mark.parametrize("topic", RECORDED)
def test_a_recorded_definition_decodes_to_the_same_facts(topic: str) -> None:
    length, own, fields = RECORDED[topic]
    state = bytes.fromhex(length + _ID + own + _WHEN_AND_WHO)
    event = decode_event(NIL, 0, topic, state)
    assert isinstance(event, DefinitionEvent)
    assert topic == event.TOPIC
    decoded = {name: getattr(event, name) for name in event.__struct_fields__}
    assert decoded == {
        "originator_id": NIL,
        "originator_version": 0,
        "id": UUID(int=7),
        "occurred_at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        "actor": "k-1",
        "reason": "spring",
        **fields,
    }
    assert decode_event(NIL, 0, topic, encode_state(event)) == event
    assert len(encode_state(event)) == len(state)
    assert cause_fields(event) == {"actor": "k-1", "reason": "spring"}


def test_every_definition_event_is_fixed_here_and_never_blanked() -> None:
    topics = {event.TOPIC for event in EVENT_CLASSES if issubclass(event, DefinitionEvent)}
    assert topics == RECORDED.keys()
    assert topics < set(NEVER_BLANKED)
