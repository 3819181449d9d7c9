"""One index of all definition events, and the versions of endpoints and subscriptions.

The index takes the place of two, so an append evaluates one predicate less.  Existing endpoints and
subscriptions get one revision, at the version that they have.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

INDEXES = """
CREATE INDEX definition_decided ON ledger.event (workspace, topic, position) WHERE topic IN (
    'segment.defined.v1', 'segment.archived.v1',
    'funnel.defined.v1', 'funnel.archived.v1',
    'computed_attribute.defined.v1', 'computed_attribute.archived.v1',
    'rule.defined.v1', 'rule.enabled.v1', 'rule.disabled.v1', 'rule.archived.v1'
);
DROP INDEX ledger.segment_decided;
DROP INDEX ledger.rule_decided;
"""

TABLES = """
-- One row a change, for ever; a document that is NULL: deleted.
CREATE TABLE ledger.outbound_revision (
    workspace   integer NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('endpoint', 'subscription')),
    id          text NOT NULL,
    version     integer NOT NULL,
    event_id    uuid NOT NULL,
    document    bytea,
    decided_at  timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor       text NOT NULL,
    reason      text NOT NULL,
    PRIMARY KEY (workspace, kind, id, version),
    UNIQUE (workspace, kind, event_id)
);

ALTER TABLE ledger.endpoint ADD COLUMN version integer NOT NULL DEFAULT 1;

INSERT INTO ledger.outbound_revision
SELECT workspace, 'endpoint', id, 1, gen_random_uuid(), convert_to(json_build_object(
    'concurrency', concurrency, 'description', description, 'url', url)::text, 'UTF8'),
    created_at, created_at, '', ''
FROM ledger.endpoint;

INSERT INTO ledger.outbound_revision
SELECT workspace, 'subscription', id, version, gen_random_uuid(), definition,
    created_at, created_at, '', ''
FROM ledger.outbound_stream;
"""

ROLES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_service') THEN
        GRANT SELECT, INSERT ON ledger.outbound_revision TO foldline_service;
    END IF;
END $$;
"""


def upgrade() -> None:
    for script in (INDEXES, TABLES, ROLES):
        op.execute(script)
