"""What real SDKs sent, replayed: the requests were captured from the official packages."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from domain.core.identifiers import Identifier
from interfaces.wire import FORMATS
from tests.unit.wire.given import LIMITS

CAPTURED = Path(__file__).parents[2] / "data" / "wire"
NAMES = {"page": "page_view", "screen": "screen_view"}


def exchanges():
    """Every captured POST of messages: (name for the test, path, body, decoded body)."""
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
    said = [it.get("sentAt") or body.get("sentAt") for it in body.get("batch", [body])]
    sent = max((datetime.fromisoformat(it) for it in said if it), default=None)
    received = (sent or datetime.fromisoformat("2026-11-22T05:00:00Z")) + timedelta(seconds=3)
    written = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    parse = FORMATS["segment"].routes[path]
    return received, parse(
        written, received_at=received, limits=LIMITS, default_id=lambda: "none needed"
    )


def test_there_is_something_to_replay():
    captured = [it.id for it in exchanges()]
    assert len(captured) == 36
    for client in ("segment-analytics-python", "segment-analytics-next-browser", "rudder-sdk-node",
                   "customerio-cdp-analytics-node"):  # fmt: skip
        assert any(it.startswith(client) for it in captured)


@pytest.mark.parametrize(("path", "body"), list(exchanges()))
def test_a_captured_request_replays(path, body):
    received, parsed = replay(path, body)
    items = body.get("batch", [body])
    assert parsed.rejections == []
    assert parsed.write_key == body.get("writeKey")
    assert [it.kind for it in parsed.messages] == [it["type"] for it in items]
    assert [it.message_id for it in parsed.messages] == [it["messageId"] for it in items]
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
    return [it["request"] for it in posts if it["request"]["method"] == "POST"]


def test_a_retry_of_the_browser_is_the_same_message_with_the_same_content():
    first, second = captured("segment-analytics-next-browser", "standard_500_then_ok")
    assert first["body_json"] != second["body_json"]
    (one,) = replay(first["path"], first["body_json"])[1].messages
    (two,) = replay(second["path"], second["body_json"])[1].messages
    assert (one.message_id, one.fingerprint) == (two.message_id, two.fingerprint)
    assert one.sent_at < two.sent_at


def test_an_alias_after_identify_goes_to_the_current_user():
    aliases = [
        replay(it["path"], it["body_json"])[1].messages[0]
        for it in captured("segment-analytics-next-browser", "alias_after_load")
        if it["path"] == "/v1/a"
    ]
    to_itself, of_another = aliases
    assert to_itself.absorbs == ()
    assert of_another.identifiers[0] == Identifier("user_id", "u-1")
    visitors = (Identifier("anonymous_id", it) for it in ("u-3", "u-1"))
    assert of_another.absorbs == (Identifier("user_id", "u-3"), *visitors)


def test_python_and_node_send_the_same_suite():
    for client in ("segment-analytics-python", "rudder-sdk-node", "customerio-cdp-analytics-node"):
        (request,) = captured(client, "plain")
        _, parsed = replay(request["path"], request["body_json"])
        kinds = ["identify", "track", "track", "page", "screen", "group", "alias"]
        assert [it.kind for it in parsed.messages][:7] == kinds
        assert parsed.messages[1].name == "Order Completed"
        assert parsed.messages[2].identifiers == (Identifier("anonymous_id", "anon-2"),)
        assert parsed.messages[6].absorbs == (
            Identifier("user_id", "anon-1"),
            Identifier("anonymous_id", "anon-1"),
            Identifier("anonymous_id", "u-1"),
        )
