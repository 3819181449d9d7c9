"""The real `segment-analytics-python` delivers every message to a running server, once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from segment.analytics.client import Client

from tests.e2e.relay import Relay
from tests.e2e.tenants import Tenant


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_every_call_is_recorded_once_as_what_it_is(shop: Tenant, gzip: bool) -> None:
    with Relay(shop.server.port) as relay:
        client = Client(shop.write, host=relay.url, gzip=gzip, on_error=_fail, thread=1)
        _call_everything(client)
        client.flush()
        client.track("u-1", "After the flush", {"at": datetime(2026, 1, 1, tzinfo=UTC)})
        client.shutdown()
    sent = relay.sent()
    assert {(seen.path, seen.status, seen.gzipped) for seen in relay.seen} == {
        ("/v1/batch", 200, gzip)
    }
    assert len(sent) == len({message["messageId"] for message in sent}) == 8, (
        "nothing was sent again"
    )

    listed = {event["message_id"]: event for event in shop.events()}
    assert listed.keys() == {message["messageId"] for message in sent}
    assert sorted((event["kind"], event["name"]) for event in listed.values()) == [
        ("alias", "alias"),
        ("group", "group"),
        ("identify", "identify"),
        ("page", "page_view"),
        ("screen", "screen_view"),
        ("track", "After the flush"),
        ("track", "Anonymous"),
        ("track", "Order Completed"),
    ]
    by_name = {event["name"]: event for event in listed.values()}
    order = by_name["Order Completed"]
    assert order["properties"]["total"] == 129.9
    page = by_name["page_view"]
    assert (page["properties"]["name"], page["properties"]["category"]) == ("Pricing", "Docs")
    assert shop.rejected() == []


def test_many_messages_arrive_in_as_many_requests_as_there_are_batches(shop: Tenant) -> None:
    with Relay(shop.server.port) as relay:
        client = Client(shop.write, host=relay.url, upload_size=100, on_error=_fail, thread=2)
        for n in range(1000):
            client.track(f"u-{n % 10}", "Viewed", {"n": n})
        client.shutdown()
    assert {exchange.status for exchange in relay.seen} == {200}
    assert {exchange.headers.get("x-retry-count", "0") for exchange in relay.seen} == {"0"}
    sent = Counter(message["messageId"] for message in relay.sent())
    assert len(sent) == sent.total() == 1000
    listed = shop.events()
    assert {event["message_id"] for event in listed} == sent.keys()
    assert sorted(event["properties"]["n"] for event in listed) == list(range(1000))


def _call_everything(client: Client) -> None:
    client.identify("u-1", {"email": "ann@example.com", "plan": "pro", "since": None})
    client.track("u-1", "Order Completed", {"total": 129.9, "items": [{"sku": "a", "n": 2}]})
    client.track(anonymous_id="a-1", event="Anonymous", properties={"emoji": "\U0001f600"})
    client.page("u-1", "Docs", "Pricing", {"url": "https://example.com/pricing"})
    client.screen("u-1", "App", "Home", {"dark": True})
    client.group("u-1", "g-1", {"name": "Acme"})
    client.alias("a-1", "u-1")


def _fail(error: object, _: object) -> None:
    raise AssertionError(error)
