"""Read models: each is a package here and an entry of PROJECTIONS."""

from __future__ import annotations

from projections import (
    channel_funnels,
    event_catalogue,
    identity,
    profile,
    saved_funnels,
    segments,
    sessions,
    timeline,
)
from projections.runtime.projection import Projection

PROJECTIONS: tuple[Projection, ...] = (
    identity.projection,
    timeline.projection,
    event_catalogue.projection,
    sessions.projection,
    profile.projection,
    channel_funnels.projection,
    saved_funnels.projection,
    segments.projection,
)
"""Every read model.  Workers, routes, CLI and tests use this list."""
