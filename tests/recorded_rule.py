"""A ledger with a rule of version 0.1 that has an action which this version does not know."""

from __future__ import annotations

from application.ledger.append.append import append_versioned
from application.ledger.append.evidence import commitment_of, new_salts
from application.ledger.append.prepared import EventRow
from application.ledger.ledger import Ledger

RULE = "texted"
KNOWN_ACTION = {"add_tag": {"tag": "buyer"}}
UNKNOWN_ACTION = {"send_sms": {"text": "Hello {{ customer.name }}"}}
WARNINGS = [
    {
        "path": "/actions/1",
        "message": "unknown action 'send_sms'; use one of webhook, send_event, set_attribute, add_tag,"
        " remove_tag",
    }
]

_DEFINED = (
    b"\x86\xa2id\xc4\x10" + bytes(15) + b"\x01\xa4rule\xa6texted\xa4name\xa6Texted\xa4plan\xc4\x80"
    b'{"trigger": {"event": "order"}, "actions": [{"add_tag": {"tag": "buyer"}},'
    b' {"send_sms": {"text": "Hello {{ customer.name }}"}}]}'
    b"\xaboccurred_at\xd6\xffk\x0bk\x00\xa5actor\xa5key-1"
)
_ENABLED = (
    b"\x84\xa2id\xc4\x10" + bytes(15) + b"\x02\xa4rule\xa6texted"
    b"\xaboccurred_at\xd6\xffk\x0bk\x00\xa5actor\xa5key-1"
)
_EVENTS = (("rule.defined.v1", _DEFINED), ("rule.enabled.v1", _ENABLED))
"""Topics and recorded states: MessagePack with the fields that version 0.1 records."""


def record_rule(ledger: Ledger, workspace: int) -> None:
    """Records the definition of the rule, enabled."""
    stream = ledger.rule_stream(workspace, RULE).bytes
    rows = []
    for version, (topic, state) in enumerate(_EVENTS, 1):
        salt = new_salts(1)
        row = EventRow(stream, topic.encode(), state, salt, commitment_of(salt, state))
        rows.append((row, version))
    with ledger.definition_transaction(workspace) as connection:
        append_versioned(connection, workspace, rows)
