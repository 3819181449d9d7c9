"""Deliveries, endpoints and outbound subscriptions.

No rebuild touches these: a rebuild recomputes triggers and sends nothing.  A delivery's id is a digest
of its trigger, so the same trigger, found twice, is sent once.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = """
-- One row a delivery, for ever: its id is what keeps it from being sent again.
CREATE TABLE ledger.delivery (
    workspace    integer NOT NULL,
    id           uuid NOT NULL,
    rule         text NOT NULL,
    version      integer NOT NULL,
    cause        text NOT NULL,
    person       uuid,
    lane         text NOT NULL,
    action       bytea NOT NULL,
    context      bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at       timestamptz NOT NULL,
    state        text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sending', 'delivered', 'failed')),
    attempts     integer NOT NULL DEFAULT 0,
    step         integer NOT NULL DEFAULT 0,
    fence        bigint NOT NULL DEFAULT 0,
    worker       uuid,
    leased_until timestamptz,
    finished_at  timestamptz,
    reason       text,
    PRIMARY KEY (workspace, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

-- By lane (an endpoint, or all commands), so that what waits for one endpoint hides no other's.
CREATE INDEX delivery_waiting ON ledger.delivery (workspace, lane, due_at)
WHERE state = 'waiting';
CREATE INDEX delivery_sending ON ledger.delivery (workspace, lane, leased_until)
WHERE state = 'sending';
CREATE INDEX delivery_newest ON ledger.delivery (workspace, created_at, id);
CREATE INDEX delivery_of_rule ON ledger.delivery (workspace, rule, created_at, id);
CREATE INDEX delivery_failed ON ledger.delivery (workspace, created_at, id) WHERE state = 'failed';
CREATE INDEX delivery_person ON ledger.delivery (workspace, person) WHERE person IS NOT NULL;

CREATE TABLE ledger.delivery_attempt (
    workspace   integer NOT NULL,
    delivery    uuid NOT NULL,
    attempt     integer NOT NULL,
    at          timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    status      integer,
    error       text,
    reply       bytea,
    PRIMARY KEY (workspace, delivery, attempt)
);

CREATE TABLE ledger.endpoint (
    workspace       integer NOT NULL,
    id              text NOT NULL,
    url             text NOT NULL,
    description     text NOT NULL,
    concurrency     integer NOT NULL CHECK (concurrency BETWEEN 1 AND 4),
    secret          bytea NOT NULL,
    previous_secret bytea,
    previous_until  timestamptz,
    created_at      timestamptz NOT NULL,
    disabled_at     timestamptz,
    disabled_reason text,
    failing_since   timestamptz,
    failures        integer NOT NULL DEFAULT 0,
    parked_until    timestamptz,
    PRIMARY KEY (workspace, id)
) WITH (fillfactor = 50);

CREATE TABLE ledger.outbound_stream (
    workspace  integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    definition bytea NOT NULL,
    position   bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, id)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);
"""

ROLES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_service') THEN
        GRANT SELECT, INSERT, UPDATE ON ledger.delivery, ledger.delivery_attempt
            TO foldline_service;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.endpoint, ledger.outbound_stream
            TO foldline_service;
    END IF;
END $$;
"""


def upgrade() -> None:
    for script in (TABLES, ROLES):
        op.execute(script)
