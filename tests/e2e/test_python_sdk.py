"""The real `segment-analytics-python` delivers to a running server: all of it, once."""

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
    assert {(it.path, it.status, it.gzipped) for it in relay.seen} == {("/v1/batch", 200, gzip)}
    assert len(sent) == len({it["messageId"] for it in sent}) == 8, "nothing was sent again"

    listed = {it["message_id"]: it for it in shop.events()}
    assert listed.keys() == {it["messageId"] for it in sent}
    assert sorted((it["kind"], it["name"]) for it in listed.values()) == [
        ("alias", "alias"),
        ("group", "group"),
        ("identify", "identify"),
        ("page", "page_view"),
        ("screen", "screen_view"),
        ("track", "After the flush"),
        ("track", "Anonymous"),
        ("track", "Order Completed"),
    ]
    order = next(it for it in listed.values() if it["name"] == "Order Completed")
    assert order["properties"]["total"] == 129.9
    page = next(it for it in listed.values() if it["name"] == "page_view")
    assert (page["properties"]["name"], page["properties"]["category"]) == ("Pricing", "Docs")
    assert shop.rejected() == []


def test_many_messages_arrive_in_as_many_requests_as_there_are_batches(shop: Tenant) -> None:
    with Relay(shop.server.port) as relay:
        client = Client(shop.write, host=relay.url, upload_size=100, on_error=_fail, thread=2)
        for n in range(1000):
            client.track(f"u-{n % 10}", "Viewed", {"n": n})
        client.shutdown()
    assert {it.status for it in relay.seen} == {200}
    assert all(
        "x-retry-count" not in it.headers or it.headers["x-retry-count"] == "0" for it in relay.seen
    )
    sent = Counter(it["messageId"] for it in relay.sent())
    assert len(sent) == sent.total() == 1000
    listed = shop.events()
    assert {it["message_id"] for it in listed} == sent.keys()
    assert sorted(it["properties"]["n"] for it in listed) == list(range(1000))


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
