"""Channel events, and queries of channel funnels."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

from projections.channel_funnels import sql
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user

EVENTS = {
    "message_sent": "sent",
    "message_delivered": "delivered",
    "message_read": "read",
    "link_clicked": "clicked",
    "message_unsubscribed": "unsubscribed",
}


identifiers = st.sampled_from([user("ann"), user("bob"), anonymous("x"), anonymous("y")])
channel_events = st.builds(
    lambda name, shown, at, campaign, message, template: tracked(
        name,
        *shown,
        occurred_at=NOON + timedelta(seconds=at),
        properties={"channel": "email", "campaign_id": campaign} | message | template,
    ),
    st.sampled_from([*EVENTS]),
    st.one_of(st.tuples(identifiers), st.tuples(st.just(user("ann")), st.just(anonymous("x")))),
    st.integers(0, 6),
    st.sampled_from(["c-1", "c-2"]),
    st.sampled_from([{}, {"message_id": "1"}, {"message_id": "2"}]),
    st.sampled_from([{}, {}, {"template_id": "t-1"}, {"template_id": "t-2"}]),
)
since, until = (NOON + timedelta(seconds=seconds) for seconds in (2, 5))
questions = st.builds(
    lambda template, first, last: template | first | last,
    st.sampled_from([{}, {}, {"template": "t-1"}]),
    st.sampled_from([{}, {}, {"from": since.isoformat()}]),
    st.sampled_from([{}, {}, {"to": until.isoformat()}]),
)
messages = st.one_of(
    channel_events,
    channel_events,
    channel_events,
    st.builds(merged, identifiers, identifiers),
    st.builds(unmerged, identifiers, identifiers),
)
histories = st.lists(messages, min_size=1, max_size=16)


merged_read_limits = st.sampled_from([0, sql.MAX_MERGED_READ])
"""Limits above which merged profiles are read by another query."""
