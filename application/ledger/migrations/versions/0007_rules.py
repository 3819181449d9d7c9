"""Automation rules: an index of their definition events, and the watermark of firings.

The watermark never goes back: a trigger before it, found by a rebuild, does not fire, whether or not it
fired at its time.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = """
CREATE INDEX rule_decided ON ledger.event (workspace, position)
WHERE topic IN ('rule.defined.v1', 'rule.enabled.v1', 'rule.disabled.v1', 'rule.archived.v1');

CREATE TABLE ledger.fired (
    workspace integer PRIMARY KEY,
    at        bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);
"""

ROLES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_service') THEN
        GRANT SELECT, INSERT, UPDATE ON ledger.fired TO foldline_service;
    END IF;
END $$;
"""


def upgrade() -> None:
    for script in (TABLES, ROLES):
        op.execute(script)
