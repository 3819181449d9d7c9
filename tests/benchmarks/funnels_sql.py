"""The SQL of the funnel benchmarks: seeds, and the hand-written yardsticks."""

from __future__ import annotations

from projections.channel_funnels.tables import message
from projections.identity.tables import member
from projections.timeline.tables import timeline

# Every profile has an anonymous id too; one click in ten has only that.
MEMBERS = f"""
INSERT INTO {member} (workspace, stream, kind, value, profile_id, guessed)
SELECT %(workspace)s, md5(kind || n)::uuid, kind, kind || n, md5('user_id' || n)::uuid, false
FROM generate_series(0, %(profiles)s - 1) AS n, unnest(ARRAY['user_id', 'anonymous_id']) AS kind
"""

MESSAGES = f"""
WITH drawn AS MATERIALIZED (
    SELECT c, i, (i * 7919 + c * 300) %% %(profiles)s AS n,
        (%(start)s + c * 75000 + i * 3) * 1000000::bigint + floor(random() * 1e6)::bigint AS sent,
        CASE WHEN random() < 0.95 THEN (2 - ln(random()) * 60) * 1e6 END AS delivered,
        CASE WHEN random() < 0.42 THEN -ln(random()) * 2e4 * 1e6 END AS read,
        CASE WHEN random() < 0.38 THEN -ln(random()) * 60 * 1e6 END AS clicked,
        random() AS chance
    FROM generate_series(0, %(campaigns)s - 1) AS c, generate_series(0, %(sent)s - 1) AS i
), known AS (
    SELECT *, md5(c || '/' || i)::uuid AS id, clicked + read + delivered IS NOT NULL AS clicks,
        clicked + read + delivered IS NOT NULL AND chance < 0.1 AS elsewhere FROM drawn
)
INSERT INTO {message} (workspace, id, stream, by_user, shared, first_at, sent, delivered, read, clicked,
    implied_from, reached_bits, campaign, channel, message, template, outcomes)
SELECT %(workspace)s, id, md5('user_id' || n)::uuid, true, elsewhere, sent, sent,
    sent + delivered::bigint, sent + (delivered + read)::bigint,
    CASE WHEN NOT elsewhere THEN sent + (delivered + read + clicked)::bigint END, 1,
    CASE WHEN clicks AND NOT elsewhere THEN 15 WHEN delivered + read IS NOT NULL THEN 7
        WHEN delivered IS NOT NULL THEN 3 ELSE 1 END
    | CASE WHEN chance > 0.99 THEN %(failed)s ELSE 0 END,
    'campaign-' || c, (ARRAY['email', 'push', 'sms', 'whatsapp'])[1 + c %% 4], 'message-' || i,
    'template-' || c || '-' || i %% 2,
    CASE WHEN chance > 0.99 THEN jsonb_build_object('failed', sent) ELSE '{{}}' END
FROM known
UNION ALL
SELECT %(workspace)s, id, md5('anonymous_id' || n)::uuid, false, true,
    sent + (delivered + read + clicked)::bigint, NULL, NULL, NULL,
    sent + (delivered + read + clicked)::bigint, 1, 15,
    'campaign-' || c, (ARRAY['email', 'push', 'sms', 'whatsapp'])[1 + c %% 4], 'message-' || i,
    NULL, '{{}}'
FROM known WHERE elsewhere
"""

TIMELINE = f"""
INSERT INTO {timeline} (workspace, position, stream, ordinal, id, occurred_at,
    received_at, recorded_at, kind, name, subject, message_id, source, properties)
SELECT %(workspace)s, position,
    md5((ARRAY['user_id', 'user_id', 'anonymous_id'])[1 + position %% 3]
        || floor(%(profiles)s * power(random(), 2))::int)::uuid,
    0, gen_random_uuid(), at, at, at, 'track', (ARRAY[%(names)s])[1 + floor(4 * power(random(), 1.5))::int],
    'user_id', position::text, 'segment', jsonb_build_object('total', position %% 500)
FROM (
    SELECT position, to_timestamp(%(start)s + position * 5) AS at
    FROM generate_series(1, %(events)s::bigint) AS position
) AS drawn
"""

BY_HAND = f"""
WITH mine AS MATERIALIZED (
    SELECT coalesce(m.profile_id, f.stream) AS profile, f.id, min(sent) AS sent, min(delivered) AS delivered,
        min(read) AS read, min(clicked) AS clicked, bit_or(reached) AS reached
    FROM {message} AS f
    LEFT JOIN {member} AS m ON m.workspace = f.workspace AND m.stream = f.stream
    WHERE f.workspace = %(workspace)s AND campaign = %(campaign)s
    GROUP BY 1, 2
)
SELECT count(*), count(coalesce(delivered, read, clicked)), count(coalesce(read, clicked)), count(clicked),
    count(DISTINCT profile), count(DISTINCT profile) FILTER (WHERE coalesce(delivered, read, clicked) > 0),
    count(DISTINCT profile) FILTER (WHERE coalesce(read, clicked) > 0),
    count(DISTINCT profile) FILTER (WHERE clicked > 0),
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY ((delivered - sent) / 1e6)::float8),
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY ((read - delivered) / 1e6)::float8),
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY ((clicked - read) / 1e6)::float8)
FROM mine
"""

# In SQL each step is the earliest after the step before: no window, no filters.
FUNNEL_BY_HAND = f"""
WITH e AS MATERIALIZED (
    SELECT coalesce(m.profile_id, t.stream) AS profile, t.occurred_at AS at, t.name
    FROM {timeline} AS t
    LEFT JOIN {member} AS m ON m.workspace = t.workspace AND m.stream = t.stream
    WHERE t.workspace = %(workspace)s AND t.name = ANY (%(names)s)
), a AS (SELECT profile, min(at) AS at FROM e WHERE name = 'product_viewed' GROUP BY 1
), b AS (SELECT e.profile, min(e.at) AS at, min(e.at - a.at) AS took FROM e JOIN a USING (profile)
    WHERE name = 'added_to_cart' AND e.at >= a.at GROUP BY 1
), c AS (SELECT e.profile, min(e.at) AS at, min(e.at - b.at) AS took FROM e JOIN b USING (profile)
    WHERE name = 'purchased' AND e.at >= b.at GROUP BY 1
)
SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM c),
    (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) FROM b),
    (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) FROM c)
"""
