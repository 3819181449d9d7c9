"""Tags in messages: the trait and the events that set them.

`Tag Added` and `Tag Removed` are Foldline's own event names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from domain.core.lww_register import JSON_NULL

TAGS_TRAIT = "tags"
"""The trait whose list is the profile's tags."""

TAG_EVENTS: Mapping[str, bytes] = MappingProxyType({"Tag Added": b"true", "Tag Removed": JSON_NULL})
"""Names of the track calls that change single tags, and what they set a tag's register to."""


def tags_in(properties: Mapping[str, Any]) -> Iterator[str]:
    """Yields the tags that a `Tag Added` or `Tag Removed` names, in ``tag`` or in ``tags``."""
    listed = properties.get("tags")
    for tag in [properties.get("tag"), *(listed if isinstance(listed, list) else ())]:
        if isinstance(tag, str) and tag.strip():
            yield tag.strip()
