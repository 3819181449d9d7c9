"""Registry of the kinds of definitions that the API serves.  A new kind is its line here."""

from __future__ import annotations

from interfaces.http.api.deliveries.endpoints import ENDPOINTS
from interfaces.http.api.deliveries.subscriptions import STREAMS, SUBSCRIPTIONS
from interfaces.http.api.funnels.saved_funnels import SAVED_FUNNELS
from interfaces.http.api.rules.rules import RULES
from interfaces.http.api.segments.computed_attributes import COMPUTED_ATTRIBUTES
from interfaces.http.api.segments.segments import SEGMENTS
from interfaces.http.kit.definition_resource import Resource

DEFINITIONS: tuple[Resource, ...] = (
    SEGMENTS,
    COMPUTED_ATTRIBUTES,
    SAVED_FUNNELS,
    RULES,
    ENDPOINTS,
    SUBSCRIPTIONS,
    STREAMS,
)
