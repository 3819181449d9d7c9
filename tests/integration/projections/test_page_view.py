from __future__ import annotations

import pytest

from tests.builders import tracked
from tests.integration.projections.history import with_payload

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"


def page_view(given, payload, *, name="page_view", kind="page"):
    """Return the derived fields of one message."""
    [recorded] = given.messages(with_payload(tracked(name, kind=kind), payload))
    return given.ask("/events/{id}", id=str(recorded.event.id))["page_view"]


def test_a_page_view_shows_what_follows_from_url_and_user_agent(given):
    payload = {
        "properties": {"title": "Shoes", "website_language": "de"},
        "context": {
            "userAgent": FIREFOX,
            "locale": "en-GB",
            "page": {
                "url": "https://Shop.Example.com:8443/shoes/?size=42#top",
                "referrer": "https://search.example.com/",
            },
        },
    }
    assert page_view(given, payload) == {
        "title": "Shoes",
        "url": "https://Shop.Example.com:8443/shoes/?size=42#top",
        "domain": "shop.example.com",
        "path": "/shoes/",
        "referrer": "https://search.example.com/",
        "device_type": "desktop",
        "browser_name": "Firefox",
        "browser_version": "115.0",
        "os": "Linux",
        "browser_language": "en-GB",
        "website_language": "de",
    }


def test_the_record_itself_stays_as_it_was_received(given):
    payload = {"properties": {"url": "https://example.com/a"}, "context": {"userAgent": FIREFOX}}
    [recorded] = given.messages(with_payload(tracked("page_view", kind="page"), payload))
    shown = given.ask("/events/{id}", id=str(recorded.event.id))
    assert shown["properties"] == payload["properties"]
    assert shown["payload"] == payload


def test_a_long_url_is_cut_and_not_refused(given):
    url = "https://example.com/" + "x" * 3_000
    seen = page_view(given, {"properties": {"url": url}})
    assert seen["url"] == url[:1_500]
    assert (seen["domain"], len(seen["path"])) == ("example.com", 1_500)


@pytest.mark.parametrize(
    ("properties", "domain", "path"),
    [
        ({"url": "example.com/a"}, "example.com", "/a"),
        ({"url": "https://example.com"}, "example.com", "/"),
        ({"url": "https://example.com/a", "path": "b"}, "example.com", "/b"),
        ({"url": "/only/a/path?x=1"}, None, "/only/a/path"),
        ({"url": "http://[broken/a"}, None, None),
        ({"url": 7, "path": ["/"]}, None, None),
        ({"url": "https://example.com/\0"}, "example.com", "/\ufffd"),
        ({}, None, None),
    ],
)
def test_domain_and_path_come_from_whatever_is_there(given, properties, domain, path):
    seen = page_view(given, {"properties": properties})
    assert (seen["domain"], seen["path"]) == (domain, path)


@pytest.mark.parametrize(
    "context", [None, 7, "x", [], {"page": 7, "userAgent": []}, {"page": {"url": {}}}]
)
def test_a_page_without_a_readable_context_is_still_a_page_view(given, context):
    seen = page_view(given, {"properties": {}, "context": context})
    assert (seen["url"], seen["device_type"], seen["os"]) == (None, "unknown", None)


def test_a_track_call_named_page_view_is_one_too(given):
    payload = {"properties": {"url": "https://example.com/a", "page_title": "A"}}
    assert page_view(given, payload, kind="track")["title"] == "A"
    assert page_view(given, payload, kind="track", name="Viewed") is None
