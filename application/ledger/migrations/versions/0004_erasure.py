"""Erasure: suppressed streams, and the erasure epoch by which every writer notices a change.

`ledger_head.erasures` counts erasures, suppressions and liftings.  Each append reads it with the head
that it advances anyway, so that no process keeps cached links or misses a suppression.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
ALTER TABLE ledger.ledger_head ADD COLUMN erasures bigint NOT NULL DEFAULT 0;

CREATE TABLE ledger.suppressed (
    workspace     integer NOT NULL,
    stream        uuid NOT NULL,
    person        uuid NOT NULL,
    suppressed_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, stream)
);
CREATE INDEX suppressed_person ON ledger.suppressed (workspace, person);
"""

ROLES = """
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['foldline_service', 'foldline_eraser'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('GRANT SELECT ON ledger.suppressed TO %I', wanted);
        END IF;
    END LOOP;
END $$;
"""


def upgrade() -> None:
    for script in (TABLES, ROLES):
        op.execute(script)
