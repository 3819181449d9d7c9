"""Campaign of a visit: the five utm parameters, wherever a source puts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from domain.events.payload import MessageContext, is_session_event
from projections.kit import visit
from projections.kit.visit import first_text

UTM_PARTS = ("source", "medium", "campaign", "term", "content")
DIRECT_SOURCE = "direct"
"""Source of a visit that does not name one."""

MAX_VALUE_LENGTH = 256
"""Characters stored of each parameter."""

_MAX_PARAMETERS = 100


def utm_parameters(
    name: str, properties: Mapping[str, Any], context: MessageContext
) -> dict[str, str] | None:
    """Returns the utm parameters of an event by part, None if it has none."""
    campaign, query = visit.decode_object(context.campaign), _query(properties, context)
    values = {
        part: first_text(
            campaign.get("name" if part == "campaign" else part),
            properties.get(f"utm_{part}"),
            query.get(f"utm_{part}"),
        )
        for part in UTM_PARTS
    }
    if values["source"] is None and is_session_event(name):
        values["source"] = first_text(properties.get("source"))
    return {part: value[:MAX_VALUE_LENGTH] for part, value in values.items() if value} or None


def _query(properties: Mapping[str, Any], context: MessageContext) -> Mapping[str, str]:
    """Returns the query of the first URL, or search part, that has utm parameters."""
    for url in _urls(properties, context):
        if isinstance(url, str) and "utm_" in url:
            try:
                return dict(parse_qsl(urlsplit(url).query, max_num_fields=_MAX_PARAMETERS))
            except ValueError:
                continue
    return {}


def _urls(properties: Mapping[str, Any], context: MessageContext) -> Iterator[Any]:
    page = visit.decode_object(context.page)
    for part in ("url", "search"):
        yield properties.get(part)
        yield page.get(part)
