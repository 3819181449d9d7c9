"""Derives fields of page views for the timeline; the recorded event does not change."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from domain.events.payload import ParsedMessage
from projections.kit import visit
from projections.kit.visit import first_text

PAGE_VIEW = "page_view"
"""Name of every page call, and of a track call that reports a page view."""

MAX_URL_LENGTH = 1_500
"""Characters stored of a URL or path."""


def page_view_fields(kind: str, document: ParsedMessage) -> dict[str, str | None] | None:
    """Returns the derived fields of a page view, None for any other message.  Never fails."""
    if kind != "page" and (kind != "track" or document.name != PAGE_VIEW):
        return None
    properties, context = document.properties, visit.context_of(document)
    page, client = visit.decode_object(context.page), visit.client_of(context)
    url = first_text(properties.get("url"), properties.get("page_url"), page.get("url"))
    domain, path = _split_url(url) if url else (None, None)
    path = first_text(properties.get("path"), page.get("path"), path)
    return {
        "title": first_text(
            *_values_of(properties, "title", "page_title", "pageTitle"), page.get("title")
        ),
        "url": url and url[:MAX_URL_LENGTH],
        "domain": domain,
        "path": path and ("/" + path.removeprefix("/"))[:MAX_URL_LENGTH],
        "referrer": first_text(properties.get("referrer"), page.get("referrer")),
        "device_type": client.device_type,
        "browser_name": client.browser_name,
        "browser_version": client.browser_version,
        "os": client.os,
        "browser_language": first_text(
            *_values_of(properties, "browser_language", "browserLanguage"), context.locale
        ),
        "website_language": first_text(
            *_values_of(properties, "website_language", "websiteLanguage", "language"),
            page.get("language"),
            page.get("lang"),
        ),
    }


def _values_of(properties: dict[str, Any], *names: str) -> list[Any]:
    return [properties.get(name) for name in names]


def _split_url(url: str) -> tuple[str | None, str | None]:
    """Returns domain and path of a URL; one without a scheme begins with its domain."""
    absolute = url if "://" in url or url.startswith("/") else f"//{url}"
    try:
        parts = urlsplit(absolute)
        domain = parts.hostname
    except ValueError:  # brackets without an address in them
        return None, None
    return domain, parts.path or "/"
