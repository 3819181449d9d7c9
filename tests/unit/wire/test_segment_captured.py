"""Replays requests that were captured from the official SDKs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from domain.core.identifiers import Identifier
from tests.unit.wire.given import post

CAPTURED = Path(__file__).parents[2] / "data" / "wire"
NAMES = {"page": "page_view", "screen": "screen_view"}


def exchanges():
    """Yield the path and body of every captured POST of messages."""
    for file in sorted(CAPTURED.glob("*.json")):
        for name, run in json.loads(file.read_text())["suite"].items():
            for exchange in run if isinstance(run, list) else run["exchanges"]:
                request = exchange["request"]
                if request["method"] == "POST" and request["path"] != "/v1/m":
                    body = request["body_json"]
                    yield pytest.param(
                        request["path"], body, id=f"{file.stem}-{name}-{exchange['seq']}"
                    )


def replay(path, body):
    sent_times = [item.get("sentAt") or body.get("sentAt") for item in body.get("batch", [body])]
    sent = max((datetime.fromisoformat(text) for text in sent_times if text), default=None)
    received = (sent or datetime.fromisoformat("2026-11-22T05:00:00Z")) + timedelta(seconds=3)
    written = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    return received, post(path, written, received)


def test_the_captured_requests_of_all_clients_are_found():
    captured_ids = [exchange.id for exchange in exchanges()]
    assert len(captured_ids) == 36
    for client in ("segment-analytics-python", "segment-analytics-next-browser", "rudder-sdk-node",
                   "customerio-cdp-analytics-node"):  # fmt: skip
        assert any(name.startswith(client) for name in captured_ids)


@pytest.mark.parametrize(("path", "body"), list(exchanges()))
def test_a_captured_request_replays(path, body):
    received, parsed = replay(path, body)
    items = body.get("batch", [body])
    assert parsed.rejections == []
    assert parsed.write_key == body.get("writeKey")
    assert [message.kind for message in parsed.messages] == [item["type"] for item in items]
    assert [message.message_id for message in parsed.messages] == [
        item["messageId"] for item in items
    ]
    for item, message in zip(items, parsed.messages, strict=True):
        assert message.name == item.get("event", NAMES.get(item["type"], item["type"]))
        assert json.loads(message.payload) == item
        assert message.raw == b""
        known = {"user_id": item.get("userId"), "anonymous_id": item.get("anonymousId")}
        expected = tuple(Identifier(kind, value) for kind, value in known.items() if value)
        if item["type"] == "alias" and item["previousId"] == item.get("anonymousId"):
            expected = expected[:1]
        assert message.identifiers == expected
        happened = datetime.fromisoformat(item.get("originalTimestamp") or item["timestamp"])
        sent_at = item.get("sentAt") or body.get("sentAt")
        if sent_at:
            happened = received - (datetime.fromisoformat(sent_at) - happened)
        assert message.occurred_at == happened


def captured(client, run):
    suite = json.loads((CAPTURED / f"{client}.json").read_text())["suite"][run]
    posts = suite if isinstance(suite, list) else suite["exchanges"]
    return [post["request"] for post in posts if post["request"]["method"] == "POST"]


def test_a_retry_of_the_browser_sdk_has_the_same_id_and_fingerprint():
    first, second = captured("segment-analytics-next-browser", "standard_500_then_ok")
    assert first["body_json"] != second["body_json"]
    (original,) = replay(first["path"], first["body_json"])[1].messages
    (retry,) = replay(second["path"], second["body_json"])[1].messages
    assert (original.message_id, original.fingerprint) == (retry.message_id, retry.fingerprint)
    assert original.sent_at < retry.sent_at


def test_an_alias_after_identify_goes_to_the_current_user():
    aliases = [
        replay(request["path"], request["body_json"])[1].messages[0]
        for request in captured("segment-analytics-next-browser", "alias_after_load")
        if request["path"] == "/v1/a"
    ]
    to_itself, of_another_user = aliases
    assert to_itself.absorbs == ()
    assert of_another_user.identifiers[0] == Identifier("user_id", "u-1")
    anonymous_ids = (Identifier("anonymous_id", value) for value in ("u-3", "u-1"))
    assert of_another_user.absorbs == (Identifier("user_id", "u-3"), *anonymous_ids)


def test_python_and_node_send_the_same_suite():
    for client in ("segment-analytics-python", "rudder-sdk-node", "customerio-cdp-analytics-node"):
        (request,) = captured(client, "plain")
        _, parsed = replay(request["path"], request["body_json"])
        kinds = ["identify", "track", "track", "page", "screen", "group", "alias"]
        assert [message.kind for message in parsed.messages][:7] == kinds
        assert parsed.messages[1].name == "Order Completed"
        assert parsed.messages[2].identifiers == (Identifier("anonymous_id", "anon-2"),)
        assert parsed.messages[6].absorbs == (
            Identifier("user_id", "anon-1"),
            Identifier("anonymous_id", "anon-1"),
            Identifier("anonymous_id", "u-1"),
        )
