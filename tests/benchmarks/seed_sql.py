"""The SQL that makes millions of events."""

from __future__ import annotations

CHUNK = 200_000
"""Events a statement."""

# Some people do much more than others (the number is the square of an even chance), some events are
# common; most are recorded within minutes of when they occurred, one in thirty days later.
DRAFT = """
CREATE UNLOGGED TABLE seed_event AS
SELECT position, n, name, digest, recorded_at, recorded_at - late AS occurred_at,
    row_number() OVER (PARTITION BY n ORDER BY position) AS version
FROM (
    SELECT position,
        floor(%(people)s * power(random(), 2))::int AS n,
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
    FROM seed_event JOIN seed_person USING (n)
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

TIMELINE = """
INSERT INTO read_timeline_v3.event (workspace, position, stream, ordinal, id, occurred_at, sent_at, received_at,
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
FROM seed_event JOIN seed_person USING (n)
WHERE position BETWEEN %(first)s AND %(last)s
ORDER BY position
"""

ONCE = (
    """
    INSERT INTO ledger.stream_head
    SELECT stream, max(version) FROM seed_event JOIN seed_person USING (n) GROUP BY stream
    """,
    """
    UPDATE ledger.ledger_head SET (last_position, recorded_at) =
        (SELECT max(position), max(recorded_at) FROM seed_event)
    WHERE workspace = %(workspace)s
    """,
)

CATALOGUE = (
    """
    INSERT INTO read_event_catalogue_v1.event_type
        (workspace, name, kind, first_seen, last_seen, count)
    SELECT %(workspace)s, name, 'track', min(occurred_at), max(occurred_at), count(*)
    FROM seed_event GROUP BY name
    """,
    """
    INSERT INTO read_event_catalogue_v1.day (workspace, name, day, count)
    SELECT %(workspace)s, name, (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*)
    FROM seed_event GROUP BY name, day
    """,
)

SEGMENTS = """
INSERT INTO {stream} (workspace, stream, person, kind, guessed, first_at, met_by)
SELECT %(workspace)s, stream, stream, kind, false, (extract(epoch FROM min(occurred_at)) * 1000000)::bigint,
    min(position)
FROM seed_event JOIN seed_person USING (n) GROUP BY stream, kind
"""

FINISH = ("DROP TABLE seed_event", "VACUUM (FREEZE, ANALYZE)", "CHECKPOINT")
