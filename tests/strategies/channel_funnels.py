"""Events about messages, and questions about their funnels."""

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


who = st.sampled_from([user("ann"), user("bob"), anonymous("x"), anonymous("y")])
told = st.builds(
    lambda name, whom, at, campaign, message, template: tracked(
        name,
        *whom,
        occurred_at=NOON + timedelta(seconds=at),
        properties={"channel": "email", "campaign_id": campaign} | message | template,
    ),
    st.sampled_from([*EVENTS]),
    st.one_of(st.tuples(who), st.tuples(st.just(user("ann")), st.just(anonymous("x")))),
    st.integers(0, 6),
    st.sampled_from(["c-1", "c-2"]),
    st.sampled_from([{}, {"message_id": "1"}, {"message_id": "2"}]),
    st.sampled_from([{}, {}, {"template_id": "t-1"}, {"template_id": "t-2"}]),
)
since, until = (NOON + timedelta(seconds=it) for it in (2, 5))
questions = st.builds(
    lambda template, first, last: template | first | last,
    st.sampled_from([{}, {}, {"template": "t-1"}]),
    st.sampled_from([{}, {}, {"from": since.isoformat()}]),
    st.sampled_from([{}, {}, {"to": until.isoformat()}]),
)
said = st.one_of(told, told, told, st.builds(merged, who, who), st.builds(unmerged, who, who))
histories = st.lists(said, min_size=1, max_size=16)


few_merged = st.sampled_from([0, sql.MAX_MERGED_READ])
"""Those who were merged are looked up in another way when they are many."""
