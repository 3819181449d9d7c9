"""What a page view shows beyond what was sent: derived here, never written into the record."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from domain.events.payload import ParsedMessage
from projections.kit import visit
from projections.kit.visit import first_text

PAGE_VIEW = "page_view"
"""The name of every page call, and of a track call that means one."""

MAX_URL_LENGTH = 1_500
"""Characters of a URL or path that are kept."""


def page_view_fields(kind: str, document: ParsedMessage) -> dict[str, str | None] | None:
    """Return the derived fields of a page view, None for any other message.  Never fails."""
    if kind != "page" and (kind != "track" or document.name != PAGE_VIEW):
        return None
    said, context = document.properties, visit.context_of(document)
    page, client = visit.decode_object(context.page), visit.client_of(context)
    url = first_text(said.get("url"), said.get("page_url"), page.get("url"))
    domain, path = _split_url(url) if url else (None, None)
    path = first_text(said.get("path"), page.get("path"), path)
    return {
        "title": first_text(
            *_values_of(said, "title", "page_title", "pageTitle"), page.get("title")
        ),
        "url": url and url[:MAX_URL_LENGTH],
        "domain": domain,
        "path": path and ("/" + path.removeprefix("/"))[:MAX_URL_LENGTH],
        "referrer": first_text(said.get("referrer"), page.get("referrer")),
        "device_type": client.device_type,
        "browser_name": client.browser_name,
        "browser_version": client.browser_version,
        "os": client.os,
        "browser_language": first_text(
            *_values_of(said, "browser_language", "browserLanguage"), context.locale
        ),
        "website_language": first_text(
            *_values_of(said, "website_language", "websiteLanguage", "language"),
            *(page.get(it) for it in ("language", "lang")),
        ),
    }


def _values_of(said: dict[str, Any], *names: str) -> list[Any]:
    return [said.get(it) for it in names]


def _split_url(url: str) -> tuple[str | None, str | None]:
    """Return domain and path of a URL; one without a scheme begins with its domain."""
    whole = url if "://" in url or url.startswith("/") else f"//{url}"
    try:
        parts = urlsplit(whole)
        domain = parts.hostname
    except ValueError:  # brackets that hold no address
        return None, None
    return domain, parts.path or "/"
