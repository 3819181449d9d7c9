"""Channel funnels: steps that messages reached, by campaign, channel, template and day."""

from __future__ import annotations

from projections.channel_funnels import tables
from projections.channel_funnels.fold import apply, erase
from projections.channel_funnels.queries import channel_funnels, profiles
from projections.runtime.projection import Projection

projection = Projection(
    tables.NAME,
    tables.VERSION,
    tables.metadata,
    apply,
    weight=2,
    queries=(channel_funnels, profiles),
    erase=erase,
)
