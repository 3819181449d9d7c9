"""Parsing of payloads: properties, channel and session, also of broken payloads."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.events import payload
from domain.identity.routing import route_message
from tests.builders import tracked


def read(document: Any, kind: str = "track", name: str = "Viewed") -> payload.ParsedMessage:
    encoded = document if isinstance(document, bytes) else msgspec.json.encode(document)
    message = tracked(name, kind=kind, payload=encoded)
    return payload.parse(route_message(message, UUID(int=1)).event)


def test_numbers_in_properties_keep_their_digits():
    document = b'{"properties": {"total": 10.50, "rate": 1e2, "id": 900719925474099}}'
    assert read(document).properties_json == b'{"total": 10.50, "rate": 1e2, "id": 900719925474099}'


@pytest.mark.parametrize(
    "document",
    [
        b"{}",
        b'{"properties":null}',
        b'{"properties":[1]}',
        b'{"properties":"x"}',
        b"[]",
        b"7",
        b"",
        b"{",
    ],
)
def test_properties_that_are_no_object_are_empty(document):
    assert read(document).properties == {}
    assert read(document).properties_json == b"{}"


@pytest.mark.parametrize(
    ("document", "kind", "properties"),
    [
        ({"name": "Home", "category": "Shop"}, "page", {"name": "Home", "category": "Shop"}),
        ({"name": "Home", "properties": {"url": "/"}}, "screen", {"url": "/", "name": "Home"}),
        ({"name": "Home", "properties": {"name": "Own"}}, "page", {"name": "Own"}),
        ({"name": "Home", "properties": {"name": None}}, "page", {"name": "Home"}),
        ({"name": "Home", "properties": {"a": 1}}, "track", {"a": 1}),
        ({"traits": {"plan": "pro"}}, "identify", {"plan": "pro"}),
        ({"traits": {}, "context": {"traits": {"plan": "pro"}}}, "identify", {"plan": "pro"}),
        ({"context": {"traits": {"plan": "pro"}}}, "identify", {"plan": "pro"}),
        ({"groupId": "g-1", "traits": {"size": 3}}, "group", {"size": 3, "group_id": "g-1"}),
        ({"groupId": 7}, "group", {"group_id": 7}),
        ({"previousId": "a-1", "userId": "u-1"}, "alias", {"previous_id": "a-1"}),
    ],
)
def test_each_kind_of_call_has_its_own_properties(document, kind, properties):
    parsed = read(document, kind)
    assert parsed.properties == properties
    assert msgspec.json.decode(parsed.properties_json) == properties


@pytest.mark.parametrize(
    ("document", "channel"),
    [
        ({"channel": "sms", "properties": {"channel": "email"}}, "sms"),
        (
            {"properties": {"channel": "email"}, "context": {"library": {"name": "analytics.js"}}},
            "email",
        ),
        ({"channel": 7, "properties": {"channel": ""}}, None),
        ({"context": {"library": "analytics-go"}}, "server"),
        ({}, None),
    ],
)
def test_the_channel_is_the_messages_own_before_that_of_its_library(document, channel):
    assert read(document).channel == channel


@pytest.mark.parametrize(
    ("library", "channel"),
    [
        ("analytics.js", "web"),
        ("RudderLabs JavaScript SDK", "web"),
        ("@customerio/cdp-analytics-browser", "web"),
        ("analytics-python", "server"),
        ("@customerio/cdp-analytics-node", "server"),
        ("analytics-java", "server"),
        ("analytics-react-native", "mobile"),
        ("rudder-ios-library", "mobile"),
        ("analytics_flutter", "mobile"),
        ("axios", None),
        ("", None),
    ],
)
def test_a_library_implies_a_channel(library, channel):
    assert read({"context": {"library": {"name": library}}}).channel == channel


@pytest.mark.parametrize(
    ("document", "session"),
    [
        ({"context": {"sessionId": 1767225600000}}, "1767225600000"),
        ({"context": {"session_id": "s-1"}}, "s-1"),
        ({"properties": {"session_id": "s-2"}}, "s-2"),
        ({"context": {"session": {"id": "s-3"}}}, "s-3"),
        ({"context": {"sessionId": "", "session": {"id": 4}}}, "4"),
        ({"context": {"sessionId": True, "session": "x"}}, None),
        ({"context": None}, None),
    ],
)
def test_the_session_id_is_read_from_where_sdks_put_it(document, session):
    assert read(document).session_id == session


@pytest.mark.parametrize(
    ("document", "properties"),
    [
        (rb'{"properties":{"a":"x\u0000y"}}', {"a": "x\ufffdy"}),
        (rb'{"properties":{"a\u0000":1}}', {"a\ufffd": 1}),
        (rb'{"properties":{"a":"\ud800"}}', {"a": "\ufffd"}),
        (rb'{"properties":{"a":"\ud83d\ude00"}}', {"a": "\U0001f600"}),
        (rb'{"properties":{"a":9007199254740993}}', {"a": "9007199254740993"}),
        (rb'{"properties":{"a":-9007199254740993}}', {"a": "-9007199254740993"}),
        (rb'{"properties":{"a":18446744073709551616}}', {"a": "18446744073709551616"}),
        (rb'{"properties":{"a":1e400,"b":[1e-400]}}', {"a": "1e400", "b": ["1e-400"]}),
        (rb'{"properties":{"a":1e131071}}', {"a": "1e131071"}),
        (rb'{"properties":{"a":9e308}}', {"a": "9e308"}),
        (rb'{"properties":{"a":"1234567890123456789"}}', {"a": "1234567890123456789"}),
        (b'{"properties":{"a":"\xff"}}', {"a": "\ufffd"}),
        (b'{"properties":{"a":NaN,"b":-Infinity}}', {"a": "NaN", "b": "-Infinity"}),
        (b'{"properties":{"a":1},"context":"wrong"}', {"a": 1}),
        (b'{"properties":{"a":1},"context":{"library":{"name":["x"]}}}', {"a": 1}),
        (b'{"properties":{"a":' + b"9" * 10_000 + b"}}", {"a": "9" * 10_000}),
        (b'{"properties":{"a":0.' + b"9" * 200 + b"}}", {"a": "0." + "9" * 200}),
        (b'{"properties":{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}}", {}),
    ],
)
def test_what_jsonb_cannot_hold_is_repaired(document, properties):
    parsed = read(document)
    assert parsed.properties == properties
    assert msgspec.json.decode(parsed.properties_json) == properties


def test_only_numbers_that_jsonb_cannot_hold_become_text():
    document = read(rb'{"properties":{"a":1e400,"b":12345678901234.123456789,"c":1.10,"d":7}}')
    assert document.properties_json == b'{"a":"1e400","b":12345678901234.123456789,"c":1.10,"d":7}'


def test_a_name_is_repaired_and_cut_to_the_length_of_an_index():
    document = read({}, name="a\0" + "ä" * 1_000)
    assert document.name == "a\ufffd" + "ä" * 254


def test_names_at_the_top_are_repaired_with_the_properties():
    document = read(rb'{"name":"a\u0000","category":18446744073709551616}', kind="page")
    assert document.properties == {"name": "a\ufffd", "category": "18446744073709551616"}
