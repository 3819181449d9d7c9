"""The SQL that creates millions of events."""

from __future__ import annotations

from projections.event_catalogue.tables import day, event_type
from projections.segments.tables import stream
from projections.timeline.tables import timeline

CHUNK = 200_000
"""Events of one statement."""

# Some profiles are much more active than others (the number is the square of a uniform random number), and
# some events are common.  Most are recorded within minutes of their time, one in thirty up to days later.
DRAFT = """
CREATE UNLOGGED TABLE seed_event AS
SELECT position, n, name, digest, recorded_at, recorded_at - late AS occurred_at,
    row_number() OVER (PARTITION BY n ORDER BY position) AS version
FROM (
    SELECT position,
        floor(%(profiles)s * power(random(), 2))::int AS n,
        (%(names)s::text[])[1 + width_bucket(random(), %(bounds)s::float8[])] AS name,
        gen_random_uuid() AS digest,
        %(start)s::timestamptz + position * (%(days)s * interval '1 day' / %(events)s) AS recorded_at,
        CASE WHEN random() < 0.033 THEN random() * interval '3 days'
             ELSE -ln(1 - random()) * interval '2 minutes' END AS late
    FROM generate_series(1, %(events)s::bigint) AS position
) AS drawn;
CREATE INDEX ON seed_event (position);
ANALYZE seed_event;
"""

LEDGER = """
WITH bare AS MATERIALIZED (
    SELECT position, stream, version, recorded_at, digest, {state} AS state,
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) AS salt
    FROM seed_event JOIN seed_profile USING (n)
    WHERE position BETWEEN %(first)s AND %(last)s
    ORDER BY position
), committed AS MATERIALIZED (
    SELECT *, sha256('\\x02'::bytea || salt || state) AS commitment FROM bare
), seen AS (
    INSERT INTO ledger.message_seen
    SELECT %(workspace)s, digest, hashtextextended(digest::text, 0) FROM bare
)
INSERT INTO ledger.event
SELECT %(workspace)s, position, stream, version, recorded_at, 'profile.tracked.v1', salt, commitment,
    sha256('\\x00'::bytea || commitment), state
FROM committed
"""

TIMELINE = f"""
INSERT INTO {timeline} (workspace, position, stream, ordinal, id, occurred_at, sent_at, received_at,
    recorded_at, kind, name, subject, message_id, source, channel, session_id, properties)
SELECT %(workspace)s, position, stream, 0, digest, occurred_at, NULL, recorded_at, recorded_at, 'track', name,
    kind, digest::text, 'segment', (ARRAY['web', 'web', 'mobile', 'server'])[1 + position %% 4],
    CASE WHEN position %% 9 > 0 THEN 's-' || n || '-' || version / 5 END,
    jsonb_build_object(
        'product_id', 'sku-' || floor(random() * 5000)::int,
        'category', (%(goods)s::text[])[1 + floor(random() * cardinality(%(goods)s::text[]))::int],
        'price', round((random() * 500)::numeric, 2),
        'quantity', 1 + floor(random() * 4)::int,
        'currency', 'EUR',
        'total', round((random() * 2000)::numeric, 2),
        'items', jsonb_build_array(jsonb_build_object(
            'type', (%(goods)s::text[])[1 + floor(random() * cardinality(%(goods)s::text[]))::int])))
FROM seed_event JOIN seed_profile USING (n)
WHERE position BETWEEN %(first)s AND %(last)s
ORDER BY position
"""

ONCE = (
    """
    INSERT INTO ledger.stream_head
    SELECT stream, max(version) FROM seed_event JOIN seed_profile USING (n) GROUP BY stream
    """,
    """
    UPDATE ledger.ledger_head SET (last_position, recorded_at) =
        (SELECT max(position), max(recorded_at) FROM seed_event)
    WHERE workspace = %(workspace)s
    """,
)

CATALOGUE = (
    f"""
    INSERT INTO {event_type}
        (workspace, name, kind, first_seen, last_seen, count)
    SELECT %(workspace)s, name, 'track', min(occurred_at), max(occurred_at), count(*)
    FROM seed_event GROUP BY name
    """,
    f"""
    INSERT INTO {day} (workspace, name, day, count)
    SELECT %(workspace)s, name, (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*)
    FROM seed_event GROUP BY name, day
    """,
)

SEGMENTS = f"""
INSERT INTO {stream} (workspace, stream, profile, kind, guessed, first_event_at, first_seen_position)
SELECT %(workspace)s, stream, stream, kind, false, (extract(epoch FROM min(occurred_at)) * 1000000)::bigint,
    min(position)
FROM seed_event JOIN seed_profile USING (n) GROUP BY stream, kind
"""

FINISH = ("DROP TABLE seed_event", "VACUUM (FREEZE, ANALYZE)", "CHECKPOINT")
